/** What can be said of a tool without running it; see docs/architecture.md, "Tools". Pure: no Node, and no other room. */
import type { z } from 'zod';

/** Places of a run around which a custom flow may have commands, whatever a tool calls them. */
export const flowSteps = ['prepare', 'init', 'plan', 'apply', 'destroy', 'outputs'] as const;
export type FlowStep = (typeof flowSteps)[number];

/** How the `vcs` block of a workflow file names a type. */
export interface TypeWord {
  readonly word: string;
  readonly type: string;
  /** Only files in the format of Windlass have it. */
  readonly ownFormat?: true;
}

/** A key of the `vcs` block that a tool brings along. */
export type FileKey = {
  /** Only files in the format of Windlass have it. */
  readonly ownFormat?: true;
} & (
  | {
      /** The wanted version of the type; other types leave it alone. */
      readonly value: 'version';
      readonly type: string;
    }
  | {
      /** Commands, in which `${…}` stays as it is. It is kept as a setting, and refused for the types of other tools. */
      readonly value: 'script';
    }
  /** Kept among the `extra` settings. */
  | { readonly value: 'text'; readonly oneOf?: readonly string[] }
  | { readonly value: 'flag' }
);

/** Names of environment variables. */
export interface NameSet {
  readonly names: readonly string[];
  readonly beginnings: readonly string[];
}

/** An environment variable that says which account a tool works in. `shown`: its value is a name, which people may read. */
export interface AccountVariable {
  readonly name: string;
  readonly shown: boolean;
}

/** A program that a runner starts. */
export interface ToolProgram {
  /** Its name on PATH. */
  readonly name: string;
  /** Environment variable of Windlass that names it. */
  readonly variable: string;
  /** A machine that runs Windlass by itself gets it at the first start, and not when a run asks for it. */
  readonly atStart?: true;
}

/**
 * One IaC tool: what it is called, what it adds to files and templates, and what others have to know about it. A tool without
 * a `Tool` beside it (see tool.ts) can be named in files and templates; runs refuse it.
 */
export interface ToolDefinition {
  /** Its folder. */
  readonly name: string;
  /** Types of templates that it serves, as they are recorded. */
  readonly types: readonly string[];
  readonly words: readonly TypeWord[];
  /** Settings of a template beside those that all have; a zod shape, all of it optional. */
  readonly settings: z.ZodRawShape;
  readonly keys: Readonly<Record<string, FileKey>>;
  /** Its own names of a run's steps in custom flows. */
  readonly steps: {
    readonly both: Readonly<Record<string, FlowStep>>;
    readonly deploy: Readonly<Record<string, FlowStep>>;
    readonly destroy: Readonly<Record<string, FlowStep>>;
  };
  /** Versions that leave the choice to the tool, besides `latest`. */
  readonly openVersions: readonly string[];
  readonly environment: {
    /** Set by Windlass itself. */
    readonly reserved: NameSet;
    /** Decide what the tool does with a stack instead of telling the stack something. */
    readonly steering: NameSet;
    /** Carry variables of the stack, and so no credentials. */
    readonly values: NameSet;
  };
  /** The first that is set tells the account whose quota a call counts for. */
  readonly accounts: readonly AccountVariable[];
  /** What it leaves in directories of code. */
  readonly leavings: {
    /** Its own directories, which are no part of a source. */
    readonly caches: readonly string[];
    /** States: files by the end of their name, and directories. A stack must not be laid out with one. */
    readonly states: { readonly names: readonly string[]; readonly endings: readonly string[] };
  };
  /** Files of a stack that it completes, so that a change of them says nothing. */
  readonly completes: readonly string[];
  /** How a directory of code is known to be its own; `hint` in words. Null when it cannot be. */
  readonly detect: { readonly file: RegExp; readonly type: string; readonly hint?: string } | null;
  /** Its state is kept by Windlass, unless a stack brings a backend: each call gets a grant for it. */
  readonly managesState: boolean;
  readonly programs: readonly ToolProgram[];
  /** Environment variables of Windlass that name further files of this machine for its runner. */
  readonly files: readonly string[];
  /** Directory in the cache that its runs on one machine share; null when nothing is kept. */
  readonly cache: string | null;
  /** A type of resource, for examples of the command line. */
  readonly exampleResource?: string;
}

export const noNames: NameSet = { names: [], beginnings: [] };

/** What most tools have nothing of. */
export const plainTool = {
  settings: {},
  keys: {},
  steps: { both: {}, deploy: {}, destroy: {} },
  openVersions: [],
  environment: { reserved: noNames, steering: noNames, values: noNames },
  leavings: { caches: [], states: { names: [], endings: [] } },
  completes: [],
  detect: null,
  managesState: false,
  programs: [],
  files: [],
  cache: null,
} as const satisfies Partial<ToolDefinition>;

export function includesName({ names, beginnings }: NameSet, name: string): boolean {
  return names.includes(name) || beginnings.some((beginning) => name.startsWith(beginning));
}
