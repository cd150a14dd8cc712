import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { CliError } from './exit.ts';

/** The directory Windlass was installed to, with `examples/`; found from the sources and from the compiled files alike. */
export function packageRoot(): string {
  for (let at = __dirname; ; at = dirname(at)) {
    if (existsSync(join(at, 'package.json')) && existsSync(join(at, 'examples'))) return at;
    if (dirname(at) === at)
      throw new CliError('the examples of Windlass are not where they should be', { hint: 'install it again' });
  }
}

const packageSchema = z.object({ version: z.string() });

export function ownVersion(): string {
  for (let at = __dirname; ; at = dirname(at)) {
    const file = join(at, 'package.json');
    if (existsSync(file)) return packageSchema.parse(JSON.parse(readFileSync(file, 'utf8'))).version;
    if (dirname(at) === at) return 'unknown';
  }
}
