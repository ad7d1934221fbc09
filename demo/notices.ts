// What the visitor has to know: at most one notice of each kind, above everything else.
import { byId, element } from './dom.ts';

export type NoticeKind = 'failure' | 'software' | 'synthetic' | 'too-short' | 'remark';

/** A button of a notice. */
export interface NoticeAction {
  readonly label: string;
  readonly act: () => void;
}

/** Shows a notice, in place of the one of its kind. */
export function showNotice(kind: NoticeKind, text: string, action?: NoticeAction): void {
  hideNotice(kind);
  const notice = element('div', `notice notice-${kind}`, element('p', '', text));
  notice.dataset['kind'] = kind;
  // what stops the visitor is read aloud at once
  notice.setAttribute('role', kind === 'failure' || kind === 'too-short' ? 'alert' : 'note');
  if (action) {
    const button = element('button', '', action.label);
    button.type = 'button';
    button.addEventListener('click', action.act);
    notice.append(button);
  }
  byId('notices', HTMLElement).append(notice);
}

export function hideNotice(...kinds: readonly NoticeKind[]): void {
  for (const kind of kinds) {
    for (const notice of document.querySelectorAll(`.notice[data-kind="${kind}"]`)) notice.remove();
  }
}
