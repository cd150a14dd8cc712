import { createCipheriv, createDecipheriv, randomBytes, scryptSync } from 'node:crypto';
import { z } from 'zod';
import { WindlassError } from '../model/index.ts';

/** Grows when an older Windlass could not read what a newer one writes. */
export const formatVersion = 1;
/** First bytes of every backup; the header follows as one line of JSON, then the records, compressed, then the checksum. */
export const magic = 'windlass-backup ';
/** `\nsha256 <64 digits>\n` of everything before it. */
export const trailerBytes = 73;

const base64 = z.string().regex(/^[A-Za-z0-9+/]+=*$/);

export const headerSchema = z.object({
  format: z.number().int(),
  windlass: z.string(),
  createdAt: z.iso.datetime(),
  migrations: z.array(z.object({ name: z.string(), checksum: z.string() })),
  /** The encryption keys, under a key that scrypt makes of the passphrase. */
  keys: z.object({
    kdf: z.literal('scrypt'),
    n: z.number().int().min(16_384).max(1_048_576),
    r: z.literal(8),
    p: z.literal(1),
    salt: base64,
    nonce: base64,
    sealed: base64,
  }),
});
export type BackupHeader = z.output<typeof headerSchema>;

const cost = 65_536;
const tagBytes = 16;
const keysSchema = z.array(base64).min(1);

function derive(passphrase: string, salt: Buffer, n: number): Buffer {
  return scryptSync(passphrase.normalize('NFKC'), salt, 32, { N: n, r: 8, p: 1, maxmem: 256 * n * 8 });
}

/** Only whoever has the passphrase gets the keys back. */
export function wrapKeys(keys: readonly Uint8Array[], passphrase: string): BackupHeader['keys'] {
  const [salt, nonce] = [randomBytes(16), randomBytes(12)];
  const cipher = createCipheriv('aes-256-gcm', derive(passphrase, salt, cost), nonce);
  const plain = JSON.stringify(keys.map((key) => Buffer.from(key).toString('base64')));
  const sealed = Buffer.concat([cipher.update(plain, 'utf8'), cipher.final(), cipher.getAuthTag()]);
  return {
    kdf: 'scrypt',
    n: cost,
    r: 8,
    p: 1,
    salt: salt.toString('base64'),
    nonce: nonce.toString('base64'),
    sealed: sealed.toString('base64'),
  };
}

/** Throws `invalidInput` when the passphrase is another one. */
export function unwrapKeys(wrapped: BackupHeader['keys'], passphrase: string): Uint8Array[] {
  const sealed = Buffer.from(wrapped.sealed, 'base64');
  const decipher = createDecipheriv(
    'aes-256-gcm',
    derive(passphrase, Buffer.from(wrapped.salt, 'base64'), wrapped.n),
    Buffer.from(wrapped.nonce, 'base64'),
  );
  decipher.setAuthTag(sealed.subarray(sealed.length - tagBytes));
  let plain: string;
  try {
    plain = Buffer.concat([decipher.update(sealed.subarray(0, sealed.length - tagBytes)), decipher.final()]).toString();
  } catch (cause) {
    throw new WindlassError('invalidInput', 'this passphrase does not open the backup', {
      hint: 'give the one that the backup was made with; without it the secrets in it are lost',
      cause,
    });
  }
  return keysSchema.parse(JSON.parse(plain)).map((key) => Buffer.from(key, 'base64'));
}
