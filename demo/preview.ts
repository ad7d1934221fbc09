// The field that videos are dropped on, and that shows the one chosen, or the camera.
import { byId } from './dom.ts';

export class Preview {
  readonly view = byId('preview', HTMLVideoElement);
  readonly #field = byId('drop', HTMLElement);
  #address: string | undefined;

  /** `onDrop` is given a file that is dropped anywhere on the page. */
  constructor(onDrop: (file: File) => void) {
    const over = (is: boolean) => this.#field.toggleAttribute('data-over', is);
    document.addEventListener('dragover', (event) => {
      event.preventDefault(); // else the browser opens what is dropped
      over(true);
    });
    document.addEventListener('dragleave', (event) => over(event.relatedTarget !== null));
    document.addEventListener('drop', (event) => {
      event.preventDefault();
      over(false);
      const [file] = event.dataTransfer?.files ?? [];
      if (file) onDrop(file);
    });
  }

  /** Shows a file, or nothing. */
  showFile(file: File | undefined): void {
    this.#release();
    if (!file) return;
    this.#address = URL.createObjectURL(file);
    this.view.src = this.#address;
    this.view.controls = true;
    this.#field.toggleAttribute('data-filled', true);
  }

  /** Makes room for the camera, whose pictures the caller puts into the view. */
  showCamera(): void {
    this.#release();
    this.#field.toggleAttribute('data-filled', true);
  }

  #release(): void {
    this.#field.toggleAttribute('data-filled', false);
    this.view.controls = false;
    this.view.removeAttribute('src');
    this.view.load();
    if (this.#address) URL.revokeObjectURL(this.#address);
    this.#address = undefined;
  }
}
