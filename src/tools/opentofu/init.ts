import { createHash, randomUUID } from 'node:crypto';
import { existsSync, lstatSync, statSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { ensureDirectories, readPlainFile } from '../../process/index.ts';
import { ToolError } from '../runner.ts';
import { readManagedState } from './managed-state.ts';
import { endedFromOutside, invoke, toToolError } from './invoke.ts';
import {
  earlierChoice,
  hasProviders,
  offerProviders,
  providerCache,
  rememberChoice,
  shareProviders,
  withInstallLock,
} from './provider-cache.ts';
import {
  backendFile,
  backendText,
  formerBackendFiles,
  ownProviders,
  providerStaging,
  runsCodeInInit,
} from './session.ts';
import type { Session } from './session.ts';

const initRecordSchema = z.object({ fingerprint: z.string() });
const backendStateSchema = z.object({ backend: z.object({ type: z.string() }).nullish() });

function readText(path: string): string | null {
  return readPlainFile(path)?.toString('utf8') ?? null;
}

/** Changes when another program lies at the path. */
function toolStamp(path: string): string {
  const { size, mtimeMs } = statSync(path);
  return `${path}:${size}:${mtimeMs}`;
}

/** Everything `init` depends on. The lock file is part of it, so it is taken after `init` has completed that. */
function fingerprint(session: Session, stackFingerprint: string): string {
  const { run, facts, managed, toolPath } = session;
  const backend = facts.backend ?? (managed ? 'managed' : 'none');
  return createHash('sha256')
    .update([stackFingerprint, backend, run.workspace ?? '', toolStamp(toolPath)].join('\0'))
    .digest('hex');
}

function recordPath(session: Session): string {
  return join(session.run.workDirectory, 'init.json');
}

function isInitialised(session: Session): boolean {
  const text = readText(recordPath(session));
  if (text === null || !existsSync(join(session.directory, '.terraform'))) return false;
  try {
    return initRecordSchema.parse(JSON.parse(text)).fingerprint === fingerprint(session, session.facts.fingerprint);
  } catch {
    return false;
  }
}

/** Makes the work directory ready with as little as possible. `again` when the tool itself asked for `init`. */
export async function ensureInit(session: Session, reread: () => Promise<Session>, again = false): Promise<void> {
  if (!again && !session.managed && session.facts.selfContained && session.facts.backend === null) return;
  await guardBackendChange(session);
  if (!again && session.managed && session.facts.selfContained) return placeBackendState(session);
  if (!again && isInitialised(session)) return;
  await rm(recordPath(session), { force: true });
  await installAndInit(session, again);
  if (!session.managed && session.facts.backend !== null && session.run.workspace !== null)
    await selectWorkspace(session);
  const after = await reread();
  await writeFile(recordPath(session), JSON.stringify({ fingerprint: fingerprint(after, after.facts.fingerprint) }), {
    mode: 0o600,
  });
}

async function installAndInit(session: Session, again: boolean): Promise<void> {
  const { run, directory, facts } = session;
  // The state may need providers that the code no longer names; then the tool has asked.
  if (!facts.usesProviders && !again) return runInit(session);
  const cache = providerCache(session.cacheDirectory, providerStaging(session));
  if (runsCodeInInit(session)) {
    await offerProviders(cache);
    return runInit(session);
  }
  await forgetOwnProviders(session);
  const lockFile = join(directory, '.terraform.lock.hcl');
  const takeChoice = async (): Promise<void> => {
    if (facts.providerKey === null || lstatSync(lockFile, { throwIfNoEntry: false }) !== undefined) return;
    const choice = await earlierChoice(cache, facts.providerKey);
    if (choice !== null) await writeFile(lockFile, choice, { flag: 'wx' });
  };
  await takeChoice();
  if (hasProviders(cache, readText(lockFile) ?? '')) {
    await offerProviders(cache);
    await runInit(session);
    return shareProviders(cache);
  }
  await withInstallLock(cache, run.signal, async () => {
    await takeChoice();
    await offerProviders(cache);
    // A stack with a lock file of its own chooses for itself alone.
    const free = readText(lockFile) === null;
    await runInit(session);
    await shareProviders(cache);
    const chosen = readText(lockFile);
    if (free && facts.providerKey !== null && chosen !== null) await rememberChoice(cache, facts.providerKey, chosen);
  });
}

/** What code of the stack may have put in place is installed anew once that code no longer runs in `init`. */
async function forgetOwnProviders({ run, directory }: Session): Promise<void> {
  const own = ownProviders(run);
  if (!existsSync(own)) return;
  // The whole directory, of which a link in its place is removed and not followed.
  await rm(join(directory, '.terraform'), { recursive: true, force: true });
  await rm(own, { recursive: true, force: true });
}

/** So often `init` is run again after a kill; with too little memory for it, it would never end. */
const mostKills = 2;

async function runInit(session: Session): Promise<void> {
  const staging = providerStaging(session);
  await mkdir(staging, { recursive: true });
  const environment = {
    ...session.environment,
    TF_PLUGIN_CACHE_DIR: staging,
    // The lock file that is completed here is this machine's own copy.
    TF_PLUGIN_CACHE_MAY_BREAK_DEPENDENCY_LOCK_FILE: '1',
  };
  const what = { stage: 'init', args: ['init', '-input=false', '-no-color'] } as const;
  for (let kills = 0; ;) {
    const invocation = await invoke({ ...session, environment }, what);
    if (invocation.code === 0) return;
    if (!endedFromOutside(invocation) || ++kills > mostKills) throw toToolError(session, invocation, false);
    session.run.log('init was killed from outside. It changes nothing, so it is run again.\n');
  }
}

async function selectWorkspace(session: Session): Promise<void> {
  const invocation = await invoke(session, {
    stage: 'init',
    enter: false,
    args: ['workspace', 'select', '-or-create', '-no-color', '--', session.run.workspace ?? 'default'],
  });
  if (invocation.code !== 0) throw toToolError(session, invocation, false);
}

// ---- what init would write for the managed backend ----------------------------------------------

const inTheMaking = new Map<string, Promise<string>>();

/** What `init` writes for the managed backend: the same for every stack, as all settings are in the environment. */
async function managedBackendState(session: Session): Promise<string> {
  const key = createHash('sha256')
    .update(`${toolStamp(session.toolPath)}\0${backendText}`)
    .digest('hex')
    .slice(0, 32);
  const path = join(session.cacheDirectory, `backend-${key}.json`);
  const known = readText(path);
  if (known !== null) return known;
  const making = inTheMaking.get(path) ?? makeBackendState(session, path).finally(() => inTheMaking.delete(path));
  inTheMaking.set(path, making);
  return making;
}

async function makeBackendState(session: Session, path: string): Promise<string> {
  await mkdir(session.cacheDirectory, { recursive: true, mode: 0o700 });
  const workDirectory = await mkdtemp(join(session.cacheDirectory, 'init-'));
  const directory = join(workDirectory, 'tree');
  try {
    await mkdir(directory);
    await writeFile(join(directory, 'main.tf'), backendText);
    const { run } = session;
    const quiet = {
      ...session,
      directory,
      run: {
        ...run,
        workDirectory,
        log: () => undefined,
        enter: () => Promise.resolve(),
        // Others wait for it too, and it is short.
        signal: new AbortController().signal,
      },
    };
    await runInit(quiet);
    const text = await readFile(join(directory, '.terraform', 'terraform.tfstate'), 'utf8');
    const draft = `${path}.${randomUUID()}`;
    await writeFile(draft, text, { mode: 0o600 });
    await rename(draft, path);
    return text;
  } finally {
    await rm(workDirectory, { recursive: true, force: true });
  }
}

async function placeBackendState(session: Session): Promise<void> {
  const wanted = await managedBackendState(session);
  const path = join(session.directory, '.terraform', 'terraform.tfstate');
  if (readText(path) === wanted) return;
  await ensureDirectories(session.directory, ['.terraform']);
  await rm(path, { recursive: true, force: true });
  await writeFile(path, wanted, { flag: 'wx' });
}

// ---- a stack that got or lost a backend of its own ----------------------------------------------

/** Refuses to start with an empty state while the resources are in another one. */
async function guardBackendChange(session: Session): Promise<void> {
  const { directory, facts, managed, run } = session;
  const path = join(directory, '.terraform', 'terraform.tfstate');
  const text = readText(path);
  if (text === null) return;
  let before: string;
  try {
    before = backendStateSchema.parse(JSON.parse(text)).backend?.type ?? 'none';
  } catch {
    before = 'none';
  }
  const now = managed ? 'http' : (facts.backend ?? 'none');
  if (before === 'none' || before === now) return;
  const state = run.state === null ? null : await readManagedState(run.state, run.signal);
  if (managed && state === null) {
    throw new ToolError(
      {
        class: 'definition',
        message: `the stack no longer has its backend "${before}", in which its state lies; Windlass has none of it`,
        hint: `Put the backend back, or move the state: "state pull" with the old code, then save it as a version of this environment's state.`,
      },
      false,
    );
  }
  if (before === 'http' && state !== null && !managed) {
    throw new ToolError(
      {
        class: 'definition',
        message: `the stack now has the backend "${now}", but its state lies in Windlass`,
        hint: 'Take the backend out again, or push the state of this environment to the new backend and delete it here.',
      },
      false,
    );
  }
  // Nothing is left behind, so the new one may start afresh.
  await rm(path, { force: true });
}

/** Takes away what an earlier version of Windlass has put into a work directory. */
export async function removeFormerFiles(directory: string): Promise<void> {
  for (const name of formerBackendFiles) {
    const path = join(directory, name);
    if (readText(path) === backendText) await rm(path, { force: true });
  }
}

/** Writes or removes the file that says who keeps the state. */
export async function placeBackendFile(session: Session): Promise<void> {
  const path = join(session.directory, backendFile);
  if (session.managed) {
    if (readText(path) !== backendText) {
      await rm(path, { recursive: true, force: true });
      await writeFile(path, backendText, { flag: 'wx' });
    }
    if (session.facts.besideCode) {
      session.run.log(
        'The file of its "local" backend would lie in a directory that can be lost, so Windlass keeps the state; give it an absolute path to have it there.\n',
      );
    }
    if (session.run.workspace !== null && session.facts.usesWorkspaceName) {
      session.run.log(
        `The state that Windlass keeps has no workspaces: terraform.workspace is "default" here, not "${session.run.workspace}".\n`,
      );
    }
    return;
  }
  await rm(path, { force: true });
  if (session.facts.backend === null) {
    session.run.log(
      'This stack has no backend and no managed state: its state stays in a directory that can be lost.\n',
    );
  }
}
