import { WindlassError } from '../model/index.ts';
import { currentKeyId, findSealedWith, listEncryptionKeys, recordFirstKey, recordPreviousKey } from '../store/index.ts';
import type { Db, EncryptionKeyRecord, NewEncryptionKey } from '../store/index.ts';
import type { SecretBox } from './secret-box.ts';

const checkText = 'windlass';
const checkContext = (keyId: string): string => `encryption key:${keyId}`;

/** What is recorded of a key, with a value sealed under it by which it is known again. The box must seal with it. */
export function recordOfKey(secrets: SecretBox, origin: string): NewEncryptionKey {
  const { keyId } = secrets;
  return { id: keyId, checkValue: secrets.seal(checkText, checkContext(keyId)), origin };
}

/**
 * Refuses keys that do not open what the database holds, before anything is written under them; the keys of an empty
 * database are recorded. Afterwards the box seals with the key that the database says. `origin` says where the keys of
 * this process come from.
 */
export async function confirmKeys(db: Db, secrets: SecretBox, origin: string): Promise<void> {
  let records = await listEncryptionKeys(db);
  if (records.length === 0) {
    await recordKeysInUse(db, secrets, origin);
    records = await listEncryptionKeys(db);
  }
  const missing = records.find((record) => record.status !== 'retired' && !opens(secrets, record));
  if (missing) throw refusal(missing, secrets, origin);
  const current = records.find((record) => record.status === 'current');
  if (current) secrets.use(current.id);
}

/** Seals with the key that the database says, which a rotation may have changed. One that is not here is left for the next start. */
export async function followCurrentKey(db: Db, secrets: SecretBox): Promise<void> {
  const id = await currentKeyId(db);
  if (id !== null && id !== secrets.keyId && secrets.keyIds.includes(id)) secrets.use(id);
}

function opens(secrets: SecretBox, record: EncryptionKeyRecord): boolean {
  if (!secrets.keyIds.includes(record.id)) return false;
  try {
    return secrets.open(record.checkValue, checkContext(record.id)) === checkText;
  } catch {
    return false;
  }
}

/** A database without records of keys is empty, or from a version that did not record them: then what it holds decides. */
async function recordKeysInUse(db: Db, secrets: SecretBox, origin: string): Promise<void> {
  const found = await findSealedWith(db);
  const foreign = [...found.keys()].filter((id) => !secrets.keyIds.includes(id));
  if (foreign.length > 0) {
    const places = [...new Set(foreign.flatMap((id) => [...(found.get(id) ?? [])]))];
    throw wrongKey(
      `the database holds values encrypted with key ${foreign.join(', ')} (in ${places.slice(0, 3).join(', ')})`,
      secrets,
      origin,
    );
  }
  const used = secrets.keyIds.filter((id) => found.has(id));
  const first = used[0] ?? secrets.keyId;
  secrets.use(first);
  await recordFirstKey(db, recordOfKey(secrets, origin));
  for (const id of used.slice(1)) {
    secrets.use(id);
    await recordPreviousKey(db, recordOfKey(secrets, origin));
  }
  secrets.use(first);
}

function refusal(record: EncryptionKeyRecord, secrets: SecretBox, origin: string): WindlassError {
  const since = record.createdAt.toISOString().slice(0, 16).replace('T', ' ');
  return wrongKey(
    `the database is encrypted with key ${record.id} (${record.status === 'current' ? 'in use' : 'still needed'}; recorded ${since} UTC, from ${record.origin})`,
    secrets,
    origin,
  );
}

function wrongKey(expected: string, secrets: SecretBox, origin: string): WindlassError {
  const [only, ...others] = secrets.keyIds;
  const has = others.length === 0 ? `key ${only ?? ''}` : `the keys ${secrets.keyIds.join(', ')}`;
  return new WindlassError('invalidInput', `${expected}, but this process has ${has}, from ${origin}`, {
    class: 'credentials',
    hint: 'nothing was written. Give it the key that the database was made with, beside its own if there are several; without it the stored secrets, states and plans are lost',
  });
}
