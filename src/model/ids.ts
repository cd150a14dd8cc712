import { randomBytes } from 'node:crypto';

/** Crockford's alphabet in lower case: no letter that can be mistaken for a digit. */
const alphabet = '0123456789abcdefghjkmnpqrstvwxyz';

export const idPrefixes = [
  'org',
  'prj',
  'tpl',
  'env',
  'dep',
  'var',
  'key',
  'apr',
  'plan',
  'wrk',
  'req',
  'drf',
] as const;
export type IdPrefix = (typeof idPrefixes)[number];

function encode(value: bigint, length: number): string {
  let rest = value;
  let text = '';
  for (let i = 0; i < length; i++) {
    text = alphabet[Number(rest & 31n)] + text;
    rest >>= 5n;
  }
  return text;
}

/** A new id such as `env_01jd3k9x2m7q4w8s5t6v`: sorts by creation time (48-bit milliseconds, then 50 random bits). */
export function newId(prefix: IdPrefix): string {
  const random = BigInt(`0x${randomBytes(8).toString('hex')}`) & ((1n << 50n) - 1n);
  return `${prefix}_${encode(BigInt(Date.now()), 10)}${encode(random, 10)}`;
}
