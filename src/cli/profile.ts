import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { z } from 'zod';
import { profilePath } from '../config-trust.ts';
import { CliError } from './exit.ts';

const profileSchema = z.object({
  url: z.url({ protocol: /^https?$/ }),
  token: z.string().min(1),
  /** Made by the embedded server of this machine, not by `windlass login`. */
  embedded: z.boolean().optional(),
});
/** The server that commands talk to when nothing else says so, and the key for it. */
export type Profile = z.infer<typeof profileSchema>;

type Variables = Readonly<Record<string, string | undefined>>;

/** null when there is none. */
export function readProfile(env: Variables): Profile | null {
  const file = profilePath(env);
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw new CliError(`cannot read ${file}`, { hint: 'check its owner and mode', cause: error });
  }
  const parsed = profileSchema.safeParse(parseJson(text));
  if (parsed.success) return parsed.data;
  throw new CliError(`${file} is damaged`, {
    hint: 'delete it, then: windlass login URL (or windlass up for the embedded server)',
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** Readable by its owner alone, and whole or not at all. */
export function writeProfile(env: Variables, profile: Profile): string {
  const file = profilePath(env);
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, `${JSON.stringify(profile, null, 2)}\n`, { mode: 0o600 });
  renameSync(draft, file);
  return file;
}

export function removeProfile(env: Variables): boolean {
  const file = profilePath(env);
  try {
    rmSync(file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}
