import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { DataConverter, Payload, PayloadCodec } from '@temporalio/common';
import { temporal } from '@temporalio/proto';
import { createSecretBox } from './access/index.ts';
import type { SecretBox } from './access/index.ts';
import { WindlassError } from './model/index.ts';
import { inTransaction, readInstallation, writeInstallation } from './store/index.ts';
import type { Db } from './store/index.ts';

const { Payload: PayloadMessage } = temporal.api.common.v1;

/** A payload of Temporal: its metadata and its bytes. */
export interface RawPayload {
  readonly metadata?: Readonly<Record<string, Uint8Array>> | null;
  readonly data?: Uint8Array | null;
}
/** Opens sealed payloads; others it answers as they are. */
export type OpenPayloads = (payloads: readonly RawPayload[]) => Promise<RawPayload[]>;

const encoding = 'binary/encrypted';
const context = 'temporal payload';
const text = (value: string): Uint8Array => Buffer.from(value);

/** Seals each payload as a whole. What is not sealed is read as it is, so histories from before the codec go on. */
export function createPayloadCodec(box: SecretBox): PayloadCodec {
  const seal = (payload: Payload): Payload => ({
    metadata: { encoding: text(encoding), 'encryption-key-id': text(box.keyId) },
    data: box.sealBytes(PayloadMessage.encode(payload).finish(), context),
  });
  const open = (payload: Payload): Payload => {
    if (Buffer.from(payload.metadata?.['encoding'] ?? []).toString() !== encoding) return payload;
    return PayloadMessage.decode(box.openBytes(payload.data ?? new Uint8Array(), context));
  };
  return {
    encode: (payloads) => Promise.resolve(payloads.map(seal)),
    // Async, so that a payload that does not open is a rejection.
    decode: async (payloads) => payloads.map(open),
  };
}

/** The file that Temporal's SDK loads by its path: compiled beside this one, or as source in tests. */
function failureConverterPath(): string {
  const compiled = join(__dirname, 'failure-converter.js');
  return existsSync(compiled) ? compiled : join(__dirname, 'failure-converter.ts');
}

/**
 * Throws `invalidInput` when histories have payloads that this process could not read, and remembers the key that it seals
 * with. Nobody finds out by runs that stand still.
 */
export async function confirmPayloadKeys(db: Db, box: SecretBox | null): Promise<void> {
  await inTransaction(db, async (tx) => {
    const used = (await readInstallation(tx, 'payloadKeys'))?.ids ?? [];
    const lacking = used.filter((id) => box?.keyIds.includes(id) !== true);
    if (lacking.length > 0)
      throw new WindlassError(
        'invalidInput',
        `Temporal has payloads that were sealed with the key ${lacking.join(', ')}, which this process does not have; ${
          box === null ? 'WINDLASS_PAYLOAD_KEYS is not set' : `it has ${box.keyIds.join(', ')}`
        }`,
        {
          hint: 'set WINDLASS_PAYLOAD_KEYS to the same keys for every process; an old key stays in it, after the new one',
        },
      );
    if (box !== null && !used.includes(box.keyId))
      await writeInstallation(tx, 'payloadKeys', { ids: [...used, box.keyId] });
  });
}

/** What clients and workers convert payloads with; undefined leaves them readable. */
export interface Payloads {
  readonly dataConverter: DataConverter | undefined;
  /** For the Web UI of Temporal and its command; null when nothing is sealed. */
  readonly open: OpenPayloads | null;
}

/** For a process without a database, which learns of a missing key when it is to read a payload. */
export function dataConverterOf(keys: readonly Uint8Array[] | null): DataConverter | undefined {
  if (keys === null) return undefined;
  return { payloadCodecs: [createPayloadCodec(createSecretBox(keys))], failureConverterPath: failureConverterPath() };
}

/** Throws `invalidInput` when the keys are not those that payloads were sealed with. */
export async function openPayloads(db: Db, keys: readonly Uint8Array[] | null): Promise<Payloads> {
  const box = keys === null ? null : createSecretBox(keys);
  await confirmPayloadKeys(db, box);
  if (box === null) return { dataConverter: undefined, open: null };
  const codec = createPayloadCodec(box);
  return {
    dataConverter: dataConverterOf(keys),
    open: (payloads) => codec.decode([...payloads]),
  };
}
