import { setTimeout as delay } from 'node:timers/promises';
import { recordOfKey } from '../access/index.ts';
import { WindlassError } from '../model/index.ts';
import {
  countSealedUnits,
  findSealedWith,
  listEncryptionKeys,
  makeKeyCurrent,
  nextSealedElsewhere,
  retireEarlierKeys,
  sealedPlaces,
  workersWithoutKey,
  writeSealed,
} from '../store/index.ts';
import type { EncryptionKeyRecord, SealedPlace, SealedRow } from '../store/index.ts';
import { audit, authorize, requireAdministrator } from './context.ts';
import type { Asked, Context } from './context.ts';

/** A worker that was seen this lately still works. */
const aliveSeconds = 30;
/** One step goes on for about this long, so that a caller sees progress and a stop loses little. */
const stepMs = 1000;
const followedAfterMs = 10_000;

/** How far a rotation is. Repeat the call with `cursor` until `state` is `done`; without it the pass begins anew. */
export interface RotationStep {
  /** `waiting`: some workers do not hold the new key yet, and nothing has changed. */
  readonly state: 'waiting' | 'sealing' | 'done';
  /** The key that seals. */
  readonly keyId: string;
  readonly cursor: string | null;
  /** Of `total` units in a pass. */
  readonly looked: number;
  readonly total: number;
  /** Values sealed anew by this step. */
  readonly sealed: number;
  readonly waitingFor: readonly string[];
  /** Keys that nothing needs any more. */
  readonly retired: readonly string[];
}

/** `<place>:<looked>:<changed in this pass>:<after>`. */
interface Cursor {
  readonly place: number;
  readonly looked: number;
  readonly changed: number;
  readonly after: string | null;
}

function parseCursor(text: string | null): Cursor {
  const parts = /^(\d{1,4}):(\d{1,12}):(\d{1,12}):(.*)$/s.exec(text ?? '0:0:0:');
  if (!parts) throw new WindlassError('invalidInput', 'this cursor is not one of a rotation');
  return {
    place: Number(parts[1]),
    looked: Number(parts[2]),
    changed: Number(parts[3]),
    after: parts[4] === '' || parts[4] === undefined ? null : parts[4],
  };
}

const toCursor = ({ place, looked, changed, after }: Cursor): string => `${place}:${looked}:${changed}:${after ?? ''}`;

const sealedText = /"(wl1:[0-9a-f]{8}:[A-Za-z0-9+/]+={0,2})"/g;

/** The keys under which things are stored, and their rotation. */
export function encryptionOperations(context: Context) {
  const { db, secrets } = context;

  /** Seals a text anew in whichever of the contexts it opens; null when it opens in none, and is then no secret of ours. */
  function sealAnew<T>(contexts: readonly string[], work: (context: string) => T): T | null {
    for (const place of contexts) {
      try {
        return work(place);
      } catch (error) {
        if (!(error instanceof WindlassError)) throw error;
      }
    }
    return null;
  }

  function renewed(row: SealedRow): SealedRow | null {
    const { value, contexts } = row;
    if (typeof value !== 'string') {
      const bytes = sealAnew(contexts, (place) => secrets.sealBytes(secrets.openBytes(value, place), place));
      return bytes === null ? null : { ...row, value: bytes };
    }
    // In the text of the JSON: numbers in it must not go through ours.
    const text = value.replace(sealedText, (whole, sealed: string) => {
      const anew = sealAnew(contexts, (place) => secrets.seal(secrets.open(sealed, place), place));
      return anew === null ? whole : `"${anew}"`;
    });
    return text === value ? null : { ...row, value: text };
  }

  async function sealSome(place: SealedPlace, after: string | null) {
    return db.transaction(async (tx) => {
      const page = await nextSealedElsewhere(tx, place, { keyId: secrets.keyId, after });
      let sealed = 0;
      for (const row of page.rows) {
        const anew = renewed(row);
        if (anew === null) continue;
        await writeSealed(tx, place, anew);
        sealed++;
      }
      return { ...page, sealed };
    });
  }

  /** The key to go to: one that is current already while an earlier one is in use, else the newest that is not known yet. */
  async function nextKey(records: readonly EncryptionKeyRecord[]): Promise<string> {
    if (records.some(({ status }) => status === 'previous')) return secrets.keyId;
    const known = new Set(records.map(({ id }) => id));
    const fresh = secrets.keyIds.find((id) => !known.has(id));
    if (fresh !== undefined) return fresh;
    const made = context.addEncryptionKey?.() ?? null;
    if (made !== null) return secrets.add(made);
    throw new WindlassError('conflict', 'there is no new encryption key to go to', {
      hint: 'put one before the present key in WINDLASS_ENCRYPTION_KEY or the key file of every process (openssl rand -hex 32), start them again one after the other, and repeat this',
    });
  }

  return {
    async listEncryptionKeys({ actor }: Asked): Promise<EncryptionKeyRecord[]> {
      authorize(actor, 'organization.manage');
      return listEncryptionKeys(db.sql);
    },

    /**
     * One step of a rotation: makes the new key the one that seals, then seals what is stored anew, in small transactions.
     * It may be stopped anywhere and begun again. Other processes go on meanwhile: they hold both keys.
     */
    async rotateEncryption({ actor, cursor }: Asked & { cursor: string | null }): Promise<RotationStep> {
      requireAdministrator(actor);
      const target = await beginRotation(actor, cursor === null);
      const total = await countSealedUnits(db.sql);
      const waitingFor = await workersWithoutKey(db.sql, target, aliveSeconds);
      const common = { total, waitingFor: [], retired: [] };
      if (secrets.keyId !== target) {
        return { ...common, state: 'waiting', keyId: secrets.keyId, cursor: null, looked: 0, sealed: 0, waitingFor };
      }
      let { place, looked, changed, after } = parseCursor(cursor);
      let sealed = 0;
      for (const until = Date.now() + stepMs; place < sealedPlaces.length && Date.now() < until;) {
        const known = sealedPlaces[place];
        if (known === undefined) break;
        const page = await sealSome(known, after);
        sealed += page.sealed;
        looked += page.units;
        after = page.next;
        if (after === null) place++;
      }
      changed += sealed;
      const step = { ...common, keyId: target, looked, sealed };
      if (place < sealedPlaces.length)
        return { ...step, state: 'sealing', cursor: toCursor({ place, looked, changed, after }) };
      // Only a pass that found nothing says that nobody has sealed with the earlier key meanwhile.
      if (changed > 0 || !(await isFollowed()))
        return { ...step, state: 'sealing', cursor: toCursor({ place: 0, looked: 0, changed: 0, after: null }) };
      return { ...step, state: 'done', cursor: null, retired: await retire(actor) };
    },
  };

  /** Makes the new key current when every worker holds it; answers the key that is to be current. */
  async function beginRotation(actor: Asked['actor'], first: boolean): Promise<string> {
    const records = await listEncryptionKeys(db.sql);
    const current = records.find(({ status }) => status === 'current');
    const pending = records.some(({ status }) => status === 'previous');
    if (pending && current) {
      secrets.use(current.id);
      return current.id;
    }
    if (!first && current) return current.id;
    const target = await nextKey(records);
    if ((await workersWithoutKey(db.sql, target, aliveSeconds)).length > 0) return target;
    const before = secrets.keyId;
    secrets.use(target);
    try {
      await db.transaction(async (tx) => {
        await makeKeyCurrent(tx, recordOfKey(secrets, context.keyOrigin ?? 'this server'));
        await audit(tx, actor, {
          action: 'encryption.rotate',
          targetType: 'encryptionKey',
          targetId: target,
          before: { keyId: before },
          after: { keyId: target },
        });
      });
    } catch (error) {
      secrets.use(before);
      throw error;
    }
    return target;
  }

  /** Other processes learn of the current key within seconds, and may seal with the one before until then. */
  async function isFollowed(): Promise<boolean> {
    const current = (await listEncryptionKeys(db.sql)).find(({ status }) => status === 'current');
    if (current === undefined || Date.now() - current.createdAt.getTime() > followedAfterMs) return true;
    await delay(500);
    return false;
  }

  async function retire(actor: Asked['actor']): Promise<string[]> {
    const records = await listEncryptionKeys(db.sql);
    const earlier = records.filter(({ status }) => status === 'previous').map(({ id }) => id);
    if (earlier.length === 0) return [];
    const found = await findSealedWith(db.sql);
    const places = earlier.flatMap((id) => [...(found.get(id) ?? [])]);
    if (places.length > 0) {
      throw new WindlassError(
        'internal',
        `something in ${[...new Set(places)].join(', ')} is still sealed with key ${earlier.join(', ')} and does not open where it stands`,
        { hint: 'both keys stay in use; keep the earlier one in the ring, and report this' },
      );
    }
    return db.transaction(async (tx) => {
      const retired = await retireEarlierKeys(tx);
      for (const id of retired)
        await audit(tx, actor, { action: 'encryption.retire', targetType: 'encryptionKey', targetId: id });
      return retired;
    });
  }
}
