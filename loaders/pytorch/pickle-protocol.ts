// Pickles of other protocols than 2. torch.save writes them when it is asked to, and other programs write them by default; people have
// to be told which of the two they have, for the ways out differ.
import { StamError } from '../../engine/errors.ts';

/** torch.save's magic number as protocols 2 and later write it, and as text. */
const magicBytes = String.raw`(?:\x95[^]{8})?\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19\.`;
const magicText = String.raw`L119547037146038801333356L?\n\.`;

const ofTorch = new RegExp(`^(?:${magicText}|\\x80[\\x03-\\x05]${magicBytes})`);
/** A dict, a list, or the name of a class, and that it is to be remembered: such pickles do not say which protocol they are of. */
const withoutProtocol = /^(?:[}\]]q[^ -~]|\([dl]p\d+\n|c[A-Za-z_][\w.]*\n[A-Za-z_]\w*\n(?:p\d+\n|q))/;

/** The way out of a pickle that torch.save did not write; nothing of it is run here, but there it is. */
export const resaveHint = "if you trust it, save it again in Python: torch.save(pickle.load(open(file, 'rb')), other)";

/** What to throw for bytes that begin as a pickle of another protocol than 2: unsupported where torch.save wrote it, else bad-checkpoint. */
export function otherProtocolError(where: string, start: Uint8Array, isInZip = false): StamError | undefined {
  const text = new TextDecoder('latin1').decode(start.subarray(0, 256));
  const saysProtocol = start[0] === 0x80 && [0, 1, 3, 4, 5].includes(start[1]);
  const byTorch = isInZip || ofTorch.test(text);
  if (!saysProtocol && !ofTorch.test(text) && !withoutProtocol.test(text)) return undefined;
  const protocol = saysProtocol ? `${start[1]}` : '0 or 1';
  return new StamError(byTorch ? 'unsupported' : 'bad-checkpoint', {
    where,
    problem: 'not a checkpoint that can be read',
    got: `a pickle of protocol ${protocol}${byTorch ? '' : ', which torch.save did not write'}`,
    expected: 'protocol 2, the default of torch.save',
    hint: byTorch
      ? 'save it again in PyTorch, without pickle_protocol: torch.save(torch.load(file), other)'
      : resaveHint,
  });
}
