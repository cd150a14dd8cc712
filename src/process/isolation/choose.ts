import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { WindlassError } from '../../model/index.ts';
import { tryBubblewrap } from './bubblewrap.ts';
import { withoutIsolation } from './isolation.ts';
import type { Isolation, IsolationWay, StackPath } from './isolation.ts';
import { tryUser } from './user.ts';

export interface IsolationSettings {
  readonly wanted: 'auto' | IsolationWay;
  /** Embedded: everything is one person's, on one machine, so tools may run without any when there is none. */
  readonly mayDoWithout: boolean;
  readonly stackPaths: readonly StackPath[];
  /** Of Windlass's own: data directory, cache, encryption key. */
  readonly hidden: readonly string[];
  /** Of these the ones in which tools work or from which they read. */
  readonly directories: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
}

function findProgram(name: string, path: string): string | null {
  for (const directory of path.split(delimiter).filter((one) => one !== '')) {
    try {
      accessSync(join(directory, name), constants.X_OK);
      return join(directory, name);
    } catch {
      // Not in this one.
    }
  }
  return null;
}

const exposed =
  'tools run without a sandbox: a stack may read what this user can read, also the keys of Windlass and the work of other stacks';

function refuse(reasons: readonly string[]): never {
  throw new WindlassError('unavailable', `tools cannot be kept apart on this machine: ${reasons.join('; ')}`, {
    hint: 'install bubblewrap and let its user make namespaces, or say WINDLASS_ISOLATION=off to run stacks that you trust with everything',
  });
}

/** Finds the best way that works here; throws when there is none and one is needed, or when the one asked for does not work. */
export async function chooseIsolation(settings: IsolationSettings): Promise<Isolation> {
  const { wanted, environment } = settings;
  if (wanted === 'off') return withoutIsolation(exposed);
  const path = environment['PATH'] ?? '';
  const reasons: string[] = [];
  const attempt = async (
    name: string,
    use: (program: string) => Promise<Isolation | string>,
  ): Promise<Isolation | null> => {
    const program = findProgram(name, path);
    const found = program === null ? 'it is not installed' : await use(program);
    if (typeof found !== 'string') return found;
    reasons.push(`${name}: ${found}`);
    return null;
  };
  if (wanted === 'auto' || wanted === 'bubblewrap') {
    const { stackPaths, hidden } = settings;
    const found = await attempt('bwrap', (program) =>
      tryBubblewrap(program, { path, home: environment['HOME'], stackPaths, hidden }),
    );
    if (found !== null) return found;
  }
  if (wanted === 'auto' || wanted === 'user') {
    const found = await attempt('setpriv', (program) =>
      tryUser(program, { ...settings, embedded: settings.mayDoWithout }),
    );
    if (found !== null) return found;
  }
  if (wanted !== 'auto' || !settings.mayDoWithout) return refuse(reasons);
  return withoutIsolation(`${exposed} (${reasons.join('; ')})`);
}
