import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { z } from 'zod';

/** A path on this machine; `~` is the home directory. */
export const path = z
  .string()
  .refine((text) => !text.includes('\0'), 'expected a path')
  .transform((text) => resolve(text.replace(/^~(?=$|\/)/, homedir())));

/** Where the command line keeps the key that it uses. */
export function profilePath(environment: Readonly<Record<string, string | undefined>>): string {
  const base = environment['XDG_CONFIG_HOME'] || join(environment['HOME'] || homedir(), '.config');
  return join(base, 'windlass', 'profile.json');
}

export const isolationChoices = ['auto', 'bubblewrap', 'user', 'off'] as const;

/** How stacks are kept from the machine that runs them. */
export interface IsolationConfig {
  /** `auto` takes the best way that works there. */
  readonly wanted: (typeof isolationChoices)[number];
  /** Directories that every stack may use besides its own. */
  readonly stackPaths: readonly { readonly path: string; readonly writable: boolean }[];
}

/** Which sources of this machine may be used. */
export interface SourcesConfig {
  /** Directories in which local sources may lie; null for anywhere. */
  readonly localDirectories: readonly string[] | null;
  /** Git may be asked for addresses of this machine and its link. */
  readonly localGit: boolean;
}

const pathList = z
  .string()
  .transform((text) => text.split(':').filter((part) => part !== ''))
  .pipe(z.array(path));

/** `/opt/cache:/etc/cloud:ro`: a path, and `ro` behind it when it may only be read. */
const stackPaths = z.string().transform((text) =>
  [...text.matchAll(/([^:]+)(:ro(?=:|$))?/g)].map(([, place = '', readOnly]) => ({
    path: path.parse(place),
    writable: readOnly === undefined,
  })),
);

export const trustVariables = {
  WINDLASS_ISOLATION: z.enum(isolationChoices, `expected one of ${isolationChoices.join(', ')}`).optional(),
  WINDLASS_STACK_PATHS: stackPaths.optional(),
  WINDLASS_LOCAL_SOURCES: pathList.optional(),
  WINDLASS_ALLOW_LOCAL_GIT: z
    .string()
    .regex(/^(true|false|1|0)$/i, 'expected true or false')
    .transform((text) => /^(true|1)$/i.test(text))
    .optional(),
};
type Values = z.infer<z.ZodObject<typeof trustVariables>>;

/** Embedded, everything is one person's, who may deploy from anywhere on the machine. */
export function trustOf(values: Values, embedded: boolean): { isolation: IsolationConfig; sources: SourcesConfig } {
  return {
    isolation: { wanted: values.WINDLASS_ISOLATION ?? 'auto', stackPaths: values.WINDLASS_STACK_PATHS ?? [] },
    sources: {
      localDirectories: values.WINDLASS_LOCAL_SOURCES ?? (embedded ? null : []),
      localGit: values.WINDLASS_ALLOW_LOCAL_GIT ?? embedded,
    },
  };
}
