import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import { WindlassError } from '../model/index.ts';

/**
 * Encrypts what must not be readable in the database: AES-256-GCM with a fresh nonce each time. The context (such as
 * the environment's id) is authenticated, so that a ciphertext moved to another place does not open there.
 */
export interface SecretBox {
  /** `wl1:<key id>:<base64>`. */
  seal(plain: string, context: string): string;
  /** Throws WindlassError when the key is another one, or the text was changed or moved. */
  open(sealed: string, context: string): string;
  sealBytes(plain: Uint8Array, context: string): Uint8Array;
  openBytes(sealed: Uint8Array, context: string): Uint8Array;
  /** Names the key without telling it. */
  readonly keyId: string;
}

const prefix = 'wl1';
const nonceBytes = 12;
const tagBytes = 16;

export function createSecretBox(key: Uint8Array): SecretBox {
  if (key.length !== 32)
    throw new WindlassError('internal', `the encryption key has ${key.length} bytes; it must have 32`);
  const keyId = createHash('sha256').update('windlass key id').update(key).digest('hex').slice(0, 8);

  const sealBytes = (plain: Uint8Array, context: string): Uint8Array => {
    const nonce = randomBytes(nonceBytes);
    const cipher = createCipheriv('aes-256-gcm', key, nonce);
    cipher.setAAD(Buffer.from(context));
    return Buffer.concat([Buffer.from(keyId, 'hex'), nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
  };

  const openBytes = (sealed: Uint8Array, context: string): Uint8Array => {
    const bytes = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength);
    const foundKey = bytes.subarray(0, 4).toString('hex');
    if (foundKey !== keyId) throw wrongKey(foundKey, keyId);
    try {
      const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(4, 4 + nonceBytes));
      decipher.setAAD(Buffer.from(context));
      decipher.setAuthTag(bytes.subarray(bytes.length - tagBytes));
      return Buffer.concat([
        decipher.update(bytes.subarray(4 + nonceBytes, bytes.length - tagBytes)),
        decipher.final(),
      ]);
    } catch (cause) {
      throw new WindlassError(
        'internal',
        'an encrypted value does not open: it was changed, or moved to another place',
        { cause },
      );
    }
  };

  return {
    keyId,
    sealBytes,
    openBytes,
    seal: (plain, context) =>
      `${prefix}:${keyId}:${Buffer.from(sealBytes(Buffer.from(plain), context)).toString('base64')}`,
    open: (sealed, context) => {
      const [version, foundKey, body] = sealed.split(':');
      if (version !== prefix || foundKey === undefined || body === undefined) {
        throw new WindlassError('internal', 'an encrypted value is not in a form this version knows');
      }
      if (foundKey !== keyId) throw wrongKey(foundKey, keyId);
      return Buffer.from(openBytes(Buffer.from(body, 'base64'), context)).toString('utf8');
    },
  };
}

function wrongKey(found: string, own: string): WindlassError {
  return new WindlassError('internal', `a value was encrypted with key ${found}, but this process has key ${own}`, {
    class: 'credentials',
    hint: 'set WINDLASS_ENCRYPTION_KEY, or the key file of the data directory, to the key it was made with',
  });
}
