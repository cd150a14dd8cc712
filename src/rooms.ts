import { hostname } from 'node:os';
import { join } from 'node:path';
import type { SecretBox } from './access/index.ts';
import { confirmKeys, createSecretBox } from './access/index.ts';
import type { Artifacts } from './artifacts/index.ts';
import { createArtifacts } from './artifacts/index.ts';
import type { Config } from './config.ts';
import { profilePath } from './config-trust.ts';
import { addEncryptionKey, openEncryptionKeys } from './key-file.ts';
import type { IsolationSettings } from './process/index.ts';
import type { ToolLocator } from './provision/index.ts';
import type { RunnerRegistry } from './tools/index.ts';
import { createRunners, toolCaches } from './tools/index.ts';
import type { Sources } from './sources/index.ts';
import { createSources } from './sources/index.ts';
import type { StateStore } from './state/index.ts';
import { createStateStore } from './state/index.ts';
import type { Database } from './store/index.ts';
import { openDatabase } from './store/index.ts';

/** Files and directories of Windlass on this machine, which hold keys and the work of all stacks. */
function ownPaths({ dataDirectory, cacheDirectory, encryptionKey }: Config): string[] {
  const keys = encryptionKey.kind === 'file' ? [encryptionKey.path] : [];
  return [dataDirectory, cacheDirectory, ...keys, profilePath(process.env)];
}

/** What no stack may see, and where tools work. */
export function isolationSettings(config: Config): IsolationSettings {
  const { cacheDirectory } = config;
  return {
    ...config.isolation,
    mayDoWithout: config.mode === 'embedded',
    hidden: ownPaths(config),
    directories: [workDirectory(config), join(cacheDirectory, 'sources', 'checkouts'), ...toolCaches(cacheDirectory)],
    environment: process.env,
  };
}

/** Work directories of environments on this machine. */
export function workDirectory({ dataDirectory }: Config): string {
  return join(dataDirectory, 'work');
}

/** The rooms that a process needs, made once from its configuration. */
export interface Rooms {
  readonly db: Database;
  readonly secrets: SecretBox;
  /** Where the encryption keys of this process come from, for messages. */
  readonly keyOrigin: string;
  /** Makes one more encryption key where they are kept; null when they are not ours to write. */
  readonly addEncryptionKey: () => Uint8Array | null;
  /** What everything is sealed with, for a backup alone. */
  readonly encryptionKeys: () => readonly Uint8Array[];
  /** Where a backup is put together. */
  readonly backupDirectory: string;
  readonly artifacts: Artifacts;
  readonly sources: Sources;
  readonly state: StateStore;
  readonly runners: RunnerRegistry;
}

/** What runs tools, and needs no database. */
export function openToolRooms(config: Config, tools: ToolLocator): Pick<Rooms, 'sources' | 'runners'> {
  return {
    sources: createSources({
      cacheDirectory: join(config.cacheDirectory, 'sources'),
      policy: { ...config.sources, own: ownPaths(config) },
    }),
    runners: createRunners({
      tools,
      cacheDirectory: config.cacheDirectory,
      paths: config.toolPaths,
    }),
  };
}

export async function openRooms(config: Config, tools: ToolLocator): Promise<Rooms> {
  // The key first: one that is made anew beside an existing database could not open what is in it.
  const { keys, origin } = openEncryptionKeys(config);
  const secrets = createSecretBox(keys);
  const db = await openDatabase(config.database);
  try {
    await confirmKeys(db.sql, secrets, `${origin} on ${hostname()}`);
  } catch (error) {
    await db.close();
    throw error;
  }
  return {
    keyOrigin: `${origin} on ${hostname()}`,
    addEncryptionKey: () => addEncryptionKey(config),
    encryptionKeys: () => openEncryptionKeys(config).keys,
    backupDirectory: config.dataDirectory,
    db,
    secrets,
    artifacts: createArtifacts({ db, secrets }),
    state: createStateStore({ db, secrets }),
    ...openToolRooms(config, tools),
  };
}
