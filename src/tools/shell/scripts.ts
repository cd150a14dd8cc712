import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { StackRun, ToolVariable } from '../runner.ts';
import { shellSettings } from './definition.ts';

/** What a template says to this tool; the rest is for others. */
const settings = z.object(shellSettings);

export type ScriptName = 'deploy' | 'destroy' | 'plan' | 'drift';

/** A script of a stack: text from the template, or a file beside the code. */
export type Script =
  { readonly kind: 'text'; readonly text: string } | { readonly kind: 'file'; readonly name: string };

const configured = {
  deploy: 'deployScript',
  destroy: 'destroyScript',
  plan: 'planScript',
  drift: 'driftScript',
} as const satisfies Record<ScriptName, keyof typeof shellSettings>;

/** The stack's script for this; what the template says wins over the file. Null when there is none. */
export function findScript(run: StackRun, name: ScriptName): Script | null {
  const text = settings.parse(run.config)[configured[name]];
  if (text !== undefined && text.trim() !== '') return { kind: 'text', text };
  try {
    return statSync(join(run.sourceDirectory, run.path, `${name}.sh`)).isFile()
      ? { kind: 'file', name: `${name}.sh` }
      : null;
  } catch {
    return null;
  }
}

/** Command line for a script file: its own interpreter, else a shell that stops at the first error. */
export function scriptCommand(path: string): string[] {
  const first = readFileSync(path, 'utf8').split('\n', 1)[0] ?? '';
  const interpreter = /^#!\s*(\S+)(?:\s+(\S.*?))?\s*$/.exec(first);
  if (interpreter?.[1] === undefined) return ['/bin/sh', '-eu', path];
  return [interpreter[1], ...(interpreter[2] === undefined ? [] : [interpreter[2]]), path];
}

/** Longer values are in the variables file alone: the system takes no argument or variable above 128 KiB. */
const longestValue = 100_000;

/** Tool variables as process variables: text as it is, everything else as JSON. */
export function variableEnvironment(variables: readonly ToolVariable[]): Record<string, string> {
  const environment: Record<string, string> = {};
  for (const { name, value } of variables) {
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    if (text.length <= longestValue && !text.includes('\0')) {
      environment[`WINDLASS_VAR_${name.replace(/[^A-Za-z0-9_]/g, '_')}`] = text;
    }
  }
  return environment;
}
