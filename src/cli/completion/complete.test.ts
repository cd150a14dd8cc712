import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fakeIo } from '../testing/fake-io.test-support.ts';
import { createProgram } from '../program.ts';
import { realDependencies } from '../session.ts';
import { complete } from './complete.ts';
import type { CommandShape } from './complete.ts';
import { shapeOf } from './shape.ts';

const options = { io: fakeIo(), dependencies: realDependencies, onExit: () => undefined };
let program: CommandShape;
beforeAll(async () => {
  program = shapeOf(await createProgram(options));
});

test('each command is loaded by its own name as it is loaded with all the others', async () => {
  for (const command of program.commands) {
    const alone = shapeOf(await createProgram(options, command.name));
    expect(alone.commands.find(({ name }) => name === command.name)).toEqual(command);
    if (command.name !== 'help') expect(alone.commands.length).toBeLessThan(10);
  }
});

test.each([
  [['status', ''], 'environment'],
  [['approve', ''], 'environment'],
  [['env', 'show', 'shop'], 'environment'],
  [['deployment', 'show', ''], 'deployment'],
  [['deployment', 'show', '7', '--environment', ''], 'environment'],
  [['template', 'update', ''], 'template'],
  [['project', 'show', ''], 'project'],
  [['approval', 'show', ''], 'approval'],
  [['key', 'delete', ''], 'key'],
  [['audit', 'list', '--project', ''], 'project'],
  [['deploy', 'shop', '--comment', ''], null],
  [['status', 'shop', ''], null],
  [['status', '--js'], null],
] as const)('%j asks for names of kind %s', (words, kind) => {
  expect(complete(program, words).wants).toBe(kind);
});

test('values are offered after the option that takes them, aliases of commands are understood', () => {
  expect(complete(program, ['env', 'ls', '--status', 'f']).candidates).toEqual(['failed']);
  expect(complete(program, ['deploy', '-o', 'j']).candidates).toEqual(['json']);
  expect(complete(program, ['deploy', '--detach', '']).wants).toBe('environment');
});

test('what answers at the prompt loads nothing but modules of Node and its own', () => {
  const own = readdirSync(__dirname);
  const seen = new Set<string>();
  const loads = (file: string): string[] => {
    if (seen.has(file)) return [];
    seen.add(file);
    const text = readFileSync(join(__dirname, file), 'utf8');
    const imports = [...text.matchAll(/^import (?!type )[^;]* from '([^']+)'/gms)].map(([, from = '']) => from);
    return imports.flatMap((from) => {
      const near = from.replace(/^\.\//, '');
      return own.includes(near) ? loads(near) : [from];
    });
  };
  expect(loads('answer.ts').filter((from) => !from.startsWith('node:'))).toEqual([]);
  expect(seen.size).toBeGreaterThan(2);
});
