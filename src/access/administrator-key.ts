import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { lockAdministratorKey } from '../store/index.ts';
import type { Database } from '../store/index.ts';
import { authenticate, createKey, listKeys } from './keys.ts';

/** The file of a data directory with the key of whoever owns the directory. */
export function administratorKeyFile(dataDirectory: string): string {
  return join(dataDirectory, 'administrator.token');
}

export interface AdministratorKey {
  /** null: the database has an administrator's key already, and this directory does not hold it. */
  readonly token: string | null;
  readonly created: boolean;
  readonly file: string;
}

/**
 * The administrator's key that belongs to a data directory. One is made when the database has none yet, or when it is
 * asked for by name (`anew`): another directory on the same database is not another administrator. It is written to a
 * file of the directory, readable by the owner alone, and told nowhere else.
 */
export async function provideAdministratorKey(
  db: Database,
  { dataDirectory, anew = false }: { readonly dataDirectory: string; readonly anew?: boolean },
): Promise<AdministratorKey> {
  const file = administratorKeyFile(dataDirectory);
  const stored = readIfThere(file);
  if (!anew && stored !== null && (await authenticate(db.sql, stored, null).catch(() => null)) !== null)
    return { token: stored, created: false, file };
  return db.transaction(async (tx) => {
    await lockAdministratorKey(tx);
    const now = Date.now();
    const keys = await listKeys(tx);
    const known = keys.some(
      (key) => key.permissions.includes('*') && (key.expiresAt === null || Date.parse(key.expiresAt) > now),
    );
    if (known && !anew) return { token: null, created: false, file };
    const { token } = await createKey(tx, { name: freeName(keys), permissions: ['*'] });
    mkdirSync(dataDirectory, { recursive: true, mode: 0o700 });
    // Before the commit: a key that nobody can read would be one that nobody can replace.
    const draft = `${file}.${process.pid}`;
    writeFileSync(draft, `${token}\n`, { mode: 0o600 });
    renameSync(draft, file);
    return { token, created: true, file };
  });
}

/** Each directory that asked for a key of its own has one. */
function freeName(keys: readonly { readonly name: string }[]): string {
  const taken = new Set(keys.map((key) => key.name));
  let name = 'administrator';
  for (let count = 2; taken.has(name); count++) name = `administrator ${count}`;
  return name;
}

function readIfThere(file: string): string | null {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    return null;
  }
}
