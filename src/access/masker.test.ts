import fc from 'fast-check';
import { Masker } from './masker.ts';

function masker(...secrets: string[]): Masker {
  const made = new Masker();
  for (const secret of secrets) made.add(secret);
  return made;
}

/** Feeds text in pieces of the given sizes. */
function inChunks(made: Masker, text: string, sizes: readonly number[]): string {
  const stream = made.stream();
  let out = '';
  for (let at = 0, turn = 0; at < text.length; turn++) {
    const size = Math.max(1, sizes[turn % sizes.length] ?? 1);
    out += stream.push(text.slice(at, at + size));
    at += size;
  }
  return out + stream.flush();
}

describe('a masker', () => {
  test('hides a secret as it is and leaves the rest', () => {
    expect(masker('s3cr3t-pass').mask('password=s3cr3t-pass;')).toBe('password=***;');
  });

  test.each([
    ['JSON-escaped', 'pa"ss\\word\nx', JSON.stringify({ v: 'pa"ss\\word\nx' })],
    ['URL-encoded', 'p@ss word/1', `https://x/?p=${encodeURIComponent('p@ss word/1')}`],
    ['in hexadecimal', 'topsecret', Buffer.from('topsecret').toString('hex')],
    ['in base64', 'topsecret', Buffer.from('topsecret').toString('base64')],
    ['in base64 behind other text', 'topsecret', Buffer.from('user:topsecret').toString('base64')],
    ['in base64 between other text', 'topsecret', Buffer.from('xtopsecretyy').toString('base64')],
    ['in url-safe base64', 'a>b?c~d\u00ff??>>', Buffer.from('a>b?c~d\u00ff??>>').toString('base64url')],
  ])('hides a secret that is %s', (_, secret, text) => {
    const hidden = masker(secret).mask(text);
    expect(hidden).toContain('***');
    for (let offset = 0; offset < 3; offset++) {
      const core = Buffer.from(secret).toString('base64').slice(4 * offset, 4 * offset + 8);
      if (core.length === 8) expect(hidden).not.toContain(core);
    }
    expect(hidden).not.toContain(secret);
  });

  test('hides each line of a secret that has several', () => {
    const key = '-----BEGIN KEY-----\nabcdefghij\nklmnopqrst\n-----END KEY-----';
    expect(masker(key).mask('line: klmnopqrst')).toBe('line: ***');
  });

  test('hides a secret that is wrapped over indented lines', () => {
    expect(masker('abcdefghijklmnop').mask('x abcdefgh\n    ijklmnop y')).toBe('x *** y');
  });

  test('hides the texts inside lists and maps', () => {
    const made = new Masker();
    made.addValue({ user: 'alice-name', keys: ['first-key', { deep: 'second-key' }] });
    expect(made.mask('alice-name first-key second-key')).toBe('*** *** ***');
  });

  test('hides the longer of two secrets that begin alike', () => {
    expect(masker('secret', 'secret-longer').mask('secret-longer secret')).toBe('*** ***');
  });

  test('leaves very short texts alone', () => {
    expect(masker('a', 'no').mask('a no')).toBe('a no');
  });
});

describe('a stream', () => {
  const text = fc.string({ minLength: 6, maxLength: 40 }).filter((secret) => secret.trim().length >= 6);

  test('gives what masking the whole text gives, however it is cut', () => {
    fc.assert(
      fc.property(text, fc.string(), fc.string(), fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 5 }), (secret, before, after, sizes) => {
        const made = masker(secret);
        const whole = `${before}${secret}${after}${Buffer.from(`${before}${secret}${after}`).toString('base64')}\n`;
        const out = inChunks(made, whole, sizes);
        expect(out).not.toContain(secret.trim());
        expect(out).toBe(made.mask(whole));
      }),
      { numRuns: 300 },
    );
  });

  test('loses nothing when there is no secret in it', () => {
    fc.assert(
      fc.property(fc.string(), fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }), (plain, sizes) => {
        expect(inChunks(masker('not-in-here-at-all-0123456789'), plain, sizes)).toBe(plain);
      }),
    );
  });
});
