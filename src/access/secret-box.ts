import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import { WindlassError } from '../model/index.ts';

/**
 * Encrypts what must not be readable in the database: AES-256-GCM with a fresh nonce each time. The context (such as
 * the environment's id) is authenticated, so that a ciphertext moved to another place does not open there. It may hold
 * several keys: one seals, all open, and every ciphertext says which key it was sealed with.
 */
export interface SecretBox {
  /** `wl1:<key id>:<base64>`. */
  seal(plain: string, context: string): string;
  /** Throws WindlassError when no key of it fits, or the text was changed or moved. */
  open(sealed: string, context: string): string;
  sealBytes(plain: Uint8Array, context: string): Uint8Array;
  openBytes(sealed: Uint8Array, context: string): Uint8Array;
  /** Names the key that seals, without telling it. */
  readonly keyId: string;
  /** All keys that open, in the order in which they were given. */
  readonly keyIds: readonly string[];
  /** Seals with another of its keys from now on. Throws `internal` when it does not hold that one. */
  use(keyId: string): void;
  /** Takes one more key in, which opens from now on; answers its id. */
  add(key: Uint8Array): string;
}

const prefix = 'wl1';
const keyIdBytes = 4;
const nonceBytes = 12;
const tagBytes = 16;

/** The name of a key, which does not tell the key. */
export function keyIdOf(key: Uint8Array): string {
  return createHash('sha256')
    .update('windlass key id')
    .update(key)
    .digest('hex')
    .slice(0, keyIdBytes * 2);
}

/** The first of several keys seals, until `use` says otherwise. */
export function createSecretBox(given: Uint8Array | readonly Uint8Array[]): SecretBox {
  const keys = new Map<string, Uint8Array>();
  const add = (key: Uint8Array): string => {
    if (key.length !== 32)
      throw new WindlassError('internal', `the encryption key has ${key.length} bytes; it must have 32`);
    const id = keyIdOf(key);
    keys.set(id, key);
    return id;
  };
  for (const key of given instanceof Uint8Array ? [given] : given) add(key);
  const [first] = keys.keys();
  if (first === undefined) throw new WindlassError('internal', 'there is no encryption key');
  let current = first;

  const keyOf = (id: string): Uint8Array => {
    const key = keys.get(id);
    if (key === undefined) throw wrongKey(id, [...keys.keys()]);
    return key;
  };

  const sealBytes = (plain: Uint8Array, context: string): Uint8Array => {
    const nonce = randomBytes(nonceBytes);
    const cipher = createCipheriv('aes-256-gcm', keyOf(current), nonce);
    cipher.setAAD(Buffer.from(context));
    return Buffer.concat([
      Buffer.from(current, 'hex'),
      nonce,
      cipher.update(plain),
      cipher.final(),
      cipher.getAuthTag(),
    ]);
  };

  const openBytes = (sealed: Uint8Array, context: string): Uint8Array => {
    const bytes = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength);
    const key = keyOf(bytes.subarray(0, keyIdBytes).toString('hex'));
    try {
      const body = bytes.subarray(keyIdBytes);
      const decipher = createDecipheriv('aes-256-gcm', key, body.subarray(0, nonceBytes));
      decipher.setAAD(Buffer.from(context));
      decipher.setAuthTag(body.subarray(body.length - tagBytes));
      return Buffer.concat([decipher.update(body.subarray(nonceBytes, body.length - tagBytes)), decipher.final()]);
    } catch (cause) {
      throw new WindlassError(
        'internal',
        'an encrypted value does not open: it was changed, or moved to another place',
        { cause },
      );
    }
  };

  return {
    get keyId() {
      return current;
    },
    get keyIds() {
      return [...keys.keys()];
    },
    add,
    use(keyId) {
      keyOf(keyId);
      current = keyId;
    },
    sealBytes,
    openBytes,
    seal: (plain, context) =>
      `${prefix}:${current}:${Buffer.from(sealBytes(Buffer.from(plain), context)).toString('base64')}`,
    open: (sealed, context) => {
      const [version, foundKey, body] = sealed.split(':');
      if (version !== prefix || foundKey === undefined || body === undefined) {
        throw new WindlassError('internal', 'an encrypted value is not in a form this version knows');
      }
      keyOf(foundKey);
      return Buffer.from(openBytes(Buffer.from(body, 'base64'), context)).toString('utf8');
    },
  };
}

function wrongKey(found: string, own: readonly string[]): WindlassError {
  const has = own.length === 1 ? `key ${own[0] ?? ''}` : `the keys ${own.join(', ')}`;
  return new WindlassError('internal', `a value was encrypted with key ${found}, but this process has ${has}`, {
    class: 'credentials',
    hint: 'add that key to WINDLASS_ENCRYPTION_KEY, or to the key file',
  });
}
