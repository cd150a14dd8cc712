import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { chooseIsolation } from './isolation/index.ts';
import type { IsolationWay } from './isolation/index.ts';
import type { Sandbox } from './index.ts';

/** A sandbox in which a directory can be written to. */
export async function sandboxIn(root: string, wanted: IsolationWay): Promise<Sandbox> {
  const home = join(root, 'home');
  mkdirSync(home, { recursive: true });
  const isolation = await chooseIsolation({
    wanted,
    mayDoWithout: false,
    stackPaths: [],
    hidden: [],
    directories: [root],
    environment: process.env,
  });
  return { isolation, view: { read: [], write: [root], home } };
}
