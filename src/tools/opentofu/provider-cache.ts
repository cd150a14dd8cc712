import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import {
  cp,
  lstat,
  mkdir,
  open,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  symlink,
  unlink,
  writeFile,
} from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { chownTree, isRunning, ownIdentity, processHome } from '../../process/index.ts';

/**
 * Providers for all stacks of this machine.
 *
 * No tool ever writes into the shared directory: a provider that is being executed cannot be overwritten there
 * ("text file busy"), nor seen half-written. Each environment has a staging directory that its `init` takes for the plugin
 * cache; it holds links to what is shared already. What `init` newly put there is moved into the shared directory in one
 * step and replaced by a link. The lock around an `init` that has something to install only saves double downloads; if
 * it were lost, the second download would be thrown away.
 */
export interface ProviderCache {
  readonly shared: string;
  readonly staging: string;
}

export function providerCache(cacheDirectory: string, staging: string): ProviderCache {
  return { shared: join(cacheDirectory, 'providers'), staging };
}

/** Packages lie five levels deep: host, namespace, type, version, platform. */
function listPackages(directory: string, depth = 5): string[] {
  let entries;
  try {
    entries = readdirSync(directory, { withFileTypes: true });
  } catch {
    return [];
  }
  const found: string[] = [];
  for (const entry of entries) {
    if (entry.name.startsWith('.')) continue;
    if (depth === 1) {
      if (entry.isDirectory() || entry.isSymbolicLink()) found.push(entry.name);
    } else if (entry.isDirectory()) {
      for (const inner of listPackages(join(directory, entry.name), depth - 1)) found.push(join(entry.name, inner));
    }
  }
  return found;
}

/** Makes what is shared visible to the next `init`. */
export async function offerProviders({ shared, staging }: ProviderCache): Promise<void> {
  await mkdir(staging, { recursive: true });
  for (const name of listPackages(shared)) {
    const link = join(staging, name);
    if (await lstat(link).catch(() => null)) continue;
    await mkdir(dirname(link), { recursive: true });
    await symlink(join(shared, name), link).catch(() => undefined);
  }
  // A link whose package was cleaned away would stop `init`.
  for (const name of listPackages(staging)) {
    if (!existsSync(join(staging, name))) await unlink(join(staging, name)).catch(() => undefined);
  }
}

/** Shares what `init` has newly installed. */
export async function shareProviders({ shared, staging }: ProviderCache): Promise<void> {
  for (const name of listPackages(staging)) {
    const from = join(staging, name);
    const to = join(shared, name);
    const target = await readlink(from).catch(() => null);
    if (target !== null && target.startsWith(shared)) continue;
    if (!existsSync(to)) {
      await mkdir(dirname(to), { recursive: true });
      if (target !== null) {
        // From a mirror on this machine, which the tool links to instead of copying.
        await symlink(target, to).catch(() => undefined);
        continue;
      }
      await moveDirectory(from, to);
    }
    if (target === null && existsSync(to)) {
      await rm(from, { recursive: true, force: true });
      await symlink(to, from);
    }
  }
}

/** One step for those who look at `to`, also from another file system. */
async function moveDirectory(from: string, to: string): Promise<void> {
  const draft = join(dirname(to), `.${randomUUID()}`);
  try {
    await rename(from, draft);
  } catch {
    await cp(from, draft, { recursive: true });
  }
  // What a tool with a user of its own has installed must not stay that user's to change.
  if (process.getuid?.() === 0) await chownTree(0, draft);
  try {
    await rename(draft, to);
  } catch {
    // Another process was faster.
    await rm(draft, { recursive: true, force: true });
  }
}

/** Providers and versions that a dependency lock file names, as directories of a cache. */
export function lockedProviders(lockFile: string): string[] {
  return [...lockFile.matchAll(/^provider\s+"([^"]+)"\s*\{[^}]*?^\s*version\s*=\s*"([^"]+)"/gm)].map(
    ([, name, version]) => join(name ?? '', version ?? ''),
  );
}

/** Whether every provider of this lock file is shared already, so that `init` has nothing to install. */
export function hasProviders({ shared }: ProviderCache, lockFile: string): boolean {
  const locked = lockedProviders(lockFile);
  return (
    locked.length > 0 &&
    locked.every((name) => {
      try {
        return readdirSync(join(shared, name)).some((platform) => existsSync(join(shared, name, platform)));
      } catch {
        return false;
      }
    })
  );
}

/** How long stacks without a lock file of their own take the versions that another one was given. */
const choiceLastsMs = 3_600_000;

function choicePath({ shared }: ProviderCache, key: string): string {
  return join(shared, '.choices', `${key}.hcl`);
}

/** The lock file that `init` wrote for another stack with the same requirements a short while ago. */
export async function earlierChoice(cache: ProviderCache, key: string): Promise<string | null> {
  try {
    const { mtimeMs } = await stat(choicePath(cache, key));
    return Date.now() - mtimeMs < choiceLastsMs ? await readFile(choicePath(cache, key), 'utf8') : null;
  } catch {
    return null;
  }
}

export async function rememberChoice(cache: ProviderCache, key: string, lockFile: string): Promise<void> {
  const path = choicePath(cache, key);
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const draft = `${path}.${randomUUID()}`;
  await writeFile(draft, lockFile, { mode: 0o600 });
  await rename(draft, path);
}

const ownerSchema = z.object({ pid: z.number(), started: z.string(), boot: z.string(), namespace: z.string() });

function isOwnerDead(text: string): boolean {
  const here = processHome();
  try {
    const owner = ownerSchema.parse(JSON.parse(text));
    if (owner.boot !== here.boot) return true;
    return owner.namespace === here.namespace && !isRunning(owner);
  } catch {
    // Cut off in the middle of being written: its writer holds it for a moment only.
    return false;
  }
}

const inThisProcess = new Map<string, Promise<unknown>>();

/** One `init` at a time may install providers, over all processes of this machine. Waiting ends when `signal` is aborted. */
export async function withInstallLock<T>(
  { shared }: ProviderCache,
  signal: AbortSignal,
  work: () => Promise<T>,
): Promise<T> {
  // Those of this process queue up here, and only their first looks at the file.
  const before = inThisProcess.get(shared) ?? Promise.resolve();
  const turn = before.then(async () => {
    await mkdir(shared, { recursive: true });
    const path = join(shared, '.install-lock');
    const held = await take(path, signal);
    try {
      return await work();
    } finally {
      if (held) await unlink(path).catch(() => undefined);
    }
  });
  inThisProcess.set(
    shared,
    turn.catch(() => undefined),
  );
  return turn;
}

async function take(path: string, signal: AbortSignal): Promise<boolean> {
  let unreadableSinceMs: number | null = null;
  for (;;) {
    // Who is stopped goes on without it: its `init` will see the signal and not start.
    if (signal.aborted) return false;
    try {
      const file = await open(path, 'wx', 0o600);
      await file.writeFile(JSON.stringify({ ...ownIdentity(), ...processHome() }));
      await file.close();
      return true;
    } catch {
      let text = '';
      try {
        text = readFileSync(path, 'utf8');
      } catch {
        continue;
      }
      if (text === '') unreadableSinceMs ??= Date.now();
      else unreadableSinceMs = null;
      const abandoned = unreadableSinceMs !== null && Date.now() - unreadableSinceMs > 10_000;
      if (abandoned || (text !== '' && isOwnerDead(text))) await unlink(path).catch(() => undefined);
      else await sleep(50);
    }
  }
}
