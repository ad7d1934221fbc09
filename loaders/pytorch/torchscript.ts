// Archives of torch.jit.save look like those of torch.save, and hold a program beside the weights. They are told by their entries.
import { StamError } from '../../engine/errors.ts';

/** What to throw for an archive with entries of these names, where it is a TorchScript archive: unsupported. */
export function torchScriptError(names: readonly string[], file: string): StamError | undefined {
  if (!names.some((name) => /^[^/]+\/(?:constants\.pkl$|code\/)/.test(name))) return undefined;
  return new StamError('unsupported', {
    where: file,
    problem: 'a TorchScript archive: a program with its weights',
    expected: 'a checkpoint of torch.save',
    hint: 'in PyTorch: torch.save(torch.jit.load(file).state_dict(), other)',
  });
}
