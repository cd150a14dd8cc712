/** How tools are kept from the rest of their machine. */
export type IsolationWay = 'bubblewrap' | 'user' | 'off';

/** What a tool may use of its machine, besides the system's own directories. Absolute paths. */
export interface View {
  /** What is not there is left out. */
  readonly read: readonly string[];
  /** Directories of this run alone; they are there. */
  readonly write: readonly string[];
  /** Stands for the home directory. */
  readonly home: string;
}

/** A call of a tool as it is asked for. */
export interface Call {
  readonly argv: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** Private and empty; stands for the system's temporary directory, and ends with the call. */
  readonly temporary: string;
  /** File that is not there yet, for what the tool's environment is to be. */
  readonly environmentFile: string;
}

/**
 * A call as it is started. The programs that confine a tool run outside of what they make, so they get nothing of the tool's
 * environment: with `LD_PRELOAD` or an exported function a stack could run its code there.
 */
export interface ConfinedCall {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** The user of the tool; null when it is the worker's. */
  readonly user: number | null;
}

export interface Isolation {
  readonly way: IsolationWay;
  /** For people: why it is this one, when it is not the best. */
  readonly note: string | null;
  confine(call: Call, view: View): Promise<ConfinedCall>;
}

/** A directory that the operator opens to all stacks. */
export interface StackPath {
  readonly path: string;
  readonly writable: boolean;
}

/** The environment of programs that confine a tool. */
export const plainEnvironment: Readonly<Record<string, string>> = { PATH: '/usr/local/bin:/usr/bin:/bin' };

/** Tools run as the worker does. */
export function withoutIsolation(note: string | null = null): Isolation {
  return { way: 'off', note, confine: ({ argv, env }) => Promise.resolve({ argv, env, user: null }) };
}
