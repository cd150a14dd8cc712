import { messageOf, WindlassError } from '../model/index.ts';
import { errorCode } from './tree.ts';

/** What this machine lacks, whatever the source is. */
const machineCodes: ReadonlySet<string> = new Set(['ENOSPC', 'EDQUOT', 'EMFILE', 'ENFILE', 'ENOMEM', 'EROFS']);

/**
 * What an error of the system means to whoever gave the source: it cannot be read, or this machine cannot keep it.
 * Everything else is answered as it is.
 */
export function asSourceError(what: string, thrown: unknown): unknown {
  const code = errorCode(thrown);
  if (thrown instanceof WindlassError || code === null || !/^E[A-Z0-9]+$/.test(code)) return thrown;
  if (machineCodes.has(code)) {
    return new WindlassError('sourceUnavailable', `${what} cannot be copied on this machine: ${messageOf(thrown)}`, {
      hint: 'Free space or raise the limit on the machine that runs Windlass, then run it again.',
      class: 'internal',
      cause: thrown,
    });
  }
  return new WindlassError('sourceUnavailable', `${what} cannot be read: ${messageOf(thrown)}`, {
    hint: 'Point the source at ordinary files that the user that runs Windlass may read.',
    class: 'definition',
    cause: thrown,
  });
}
