import { spawnSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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

const wrap = (text: string, width: number, end = '\n'): string =>
  Array.from({ length: Math.ceil(text.length / width) }, (_, i) => text.slice(i * width, (i + 1) * width)).join(end);

/** The characters of a base64 text that only the secret in the middle decides. */
function certainBase64(before: Buffer, secret: Buffer, encoding: 'base64' | 'base64url'): string {
  const encoded = Buffer.concat([before, secret]).toString(encoding);
  return encoded.slice(Math.ceil((before.length * 8) / 6), Math.floor(((before.length + secret.length) * 8) / 6));
}

const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 6 });
const secretText = fc
  .oneof(
    fc.string({ unit: 'binary', minLength: 4, maxLength: 60 }),
    fc.string({ minLength: 4, maxLength: 300 }),
    fc.base64String({ minLength: 8, maxLength: 200 }),
  )
  .filter((secret) => secret.trim().length >= 4 && /\S{3}/.test(secret));

describe('a masker', () => {
  test('hides a secret as it is and leaves the rest', () => {
    expect(masker('s3cr3t-pass').mask('password=s3cr3t-pass;')).toBe('password=***;');
  });

  test.each([
    ['wrapped at 4 columns', wrap('abcdefghijklmnop', 4)],
    ['wrapped and indented', wrap('abcdefghijklmnop', 5, '\r\n      ')],
    ['wrapped in the frame of an error', wrap('abcdefghijklmnop', 5, '\n│   ')],
  ])('hides a secret that is %s', (_, text) => {
    expect(masker('abcdefghijklmnop').mask(`x ${text} y`)).toBe('x *** y');
  });

  test('hides a secret of several words that is wrapped between them', () => {
    const made = masker('correct horse battery staple');
    expect(made.mask('is correct horse\n  battery staple.')).toBe('is ***.');
    expect(made.mask('is correct horse   battery staple.')).toContain('horse');
  });

  test('hides each line of a secret that has several, and all of it whatever became of its line ends', () => {
    const key = '-----BEGIN KEY-----\nabcdefghij\nklmnopqrst\n-----END KEY-----';
    expect(masker(key).mask('line: klmnopqrst')).toBe('line: ***');
    for (const lineEnd of ['\r\n', '', '\n    ', '\\n']) {
      expect(masker(key).mask(`<${key.replaceAll('\n', lineEnd)}>`)).toBe(lineEnd === '\\n' ? '<***>' : '<***>');
    }
  });

  test('hides base64 of a long secret that is wrapped at 76 columns', () => {
    const secret = 'The quick brown fox jumps over the lazy dog, again and again: '.repeat(6).trim();
    for (const before of ['', 'a', 'ab']) {
      const encoded = wrap(Buffer.from(`${before}${secret}zz`).toString('base64'), 76);
      expect(masker(secret).mask(encoded).replaceAll('*', '').length).toBeLessThanOrEqual(8);
    }
  });

  test.each([
    ['&', 'first-Xk93hd&second-Qz71pw'],
    [';', 'first-Xk93hd;second-Qz71pw'],
    ['|', 'first-Xk93hd|second-Qz71pw'],
    ['a space', 'first-Xk93hd second-Qz71pw'],
    ['a variable', 'first-Xk93hd$second-Qz71pw'],
    ['a line end', 'first-Xk93hd\nsecond-Qz71pw'],
    ['a quote', `first-Xk93hd"&"second-Qz71pw`],
    ['a redirection', 'first-Xk93hd>second-Qz71pw'],
  ])('hides the pieces into which a real shell cuts a secret at %s', (_, secret) => {
    const { stdout, stderr } = spawnSync('sh', ['-c', `echo ${secret}; ${secret}`], {
      encoding: 'utf8',
      cwd: mkdtempSync(join(tmpdir(), 'windlass-masker-')),
    });
    const said = `${stdout}${stderr}`;
    expect(said).toMatch(/Xk93hd|Qz71pw/);
    expect(masker(secret).mask(said)).not.toMatch(/Xk93hd|Qz71pw/);
  });

  test('hides a secret as bash quotes it', () => {
    const secret = `it's a "$HOME" & more; 100% \\ done`;
    for (const form of ['%q', `'"'"'`, 'declare']) {
      const script =
        form === 'declare'
          ? 'declare -p S'
          : form === '%q'
            ? `printf '%q\n' "$S"`
            : `echo "\${S//\\'/\\'\\"\\'\\"\\'}"`;
      const { stdout } = spawnSync('bash', ['-c', script], { encoding: 'utf8', env: { S: secret } });
      expect(stdout).toContain('more');
      expect(masker(secret).mask(stdout)).not.toContain('more');
    }
  });

  test('leaves everyday words of a secret that a shell would cut', () => {
    const made = masker(
      'postgres://app:Qz71pw-Xk93hd@db?sslmode=require&application_name=Windlass oauth2 production 5432',
    );
    const text = 'sslmode=require application_name=Windlass oauth2 production 5432 require';
    expect(made.mask(text)).toBe(text);
  });

  test('hides what stands in lists and maps', () => {
    const made = new Masker();
    made.addValue({
      user: 'alice-name',
      keys: ['first-key', { deep: 'second-key', port: 54321, on: true, none: null }],
    });
    expect(made.mask('alice-name first-key second-key 54321 true null')).toBe('*** *** *** *** true null');
  });

  test('hides secrets inside JSON without breaking it', () => {
    const made = new Masker();
    made.addValue(['{"a": 1', 123456, '","']);
    const value = { plain: 'ok', n: 123456, m: 7, 'key 123456': ['x {"a": 1 y', null, true] };
    expect(made.maskValue(value)).toEqual({ plain: 'ok', n: '***', m: 7, 'key ***': ['x *** y', null, true] });
  });

  test('hides the longer of two secrets that begin alike, and all of two that overlap', () => {
    expect(masker('secret', 'secret-longer').mask('secret-longer secret')).toBe('*** ***');
    expect(masker('abcdef', 'defghi').mask('xabcdefghix')).toBe('x***x');
  });

  test('leaves very short texts alone, and prose that only looks like a short secret', () => {
    expect(masker('a', 'no', '   ', '').mask('a no')).toBe('a no');
    expect(masker('them').mask('the\nmanager')).toBe('the\nmanager');
  });

  test('finds each of thousands of secrets in a long text', () => {
    const secrets = Array.from({ length: 3000 }, (_, i) => `ghp_secret${i.toString(36).padStart(6, '0')}`);
    const made = masker(...secrets);
    const text = Array.from({ length: 20 }, () =>
      secrets.map((secret) => `token ${secret}, ghp_secretive`).join('\n'),
    ).join('\n');
    const hidden = made.mask(text);
    expect(hidden).not.toMatch(/ghp_secret0/);
    expect(hidden.split('***').length - 1).toBe(60_000);
    expect(hidden.split('ghp_secretive').length - 1).toBe(60_000);
  });

  const json = (secret: string): string => JSON.stringify(secret).slice(1, -1);
  const forms: [string, (secret: string) => string][] = [
    ['as it is', (secret) => secret],
    ['JSON-escaped', json],
    ['JSON-escaped twice', (secret) => json(json(secret))],
    [
      'JSON-escaped as Go does',
      (secret) => json(secret).replace(/[<>&]/g, (c) => `\\u00${c.charCodeAt(0).toString(16)}`),
    ],
    ['HCL-escaped', (secret) => json(secret).replaceAll('${', '$${').replaceAll('%{', '%%{')],
    ['URL-encoded', (secret) => encodeURIComponent(Buffer.from(secret).toString())],
    ['form-encoded', (secret) => new URLSearchParams({ a: Buffer.from(secret).toString() }).toString().slice(2)],
    ['in hexadecimal', (secret) => Buffer.from(secret).toString('hex')],
    ['in upper-case hexadecimal', (secret) => Buffer.from(secret).toString('hex').toUpperCase()],
    ['quoted for a shell', (secret) => secret.replaceAll("'", "'\\''")],
  ];
  test.each(forms)('hides any secret %s, however the text is cut', (name, form) => {
    fc.assert(
      fc.property(secretText, fc.string(), fc.string(), sizes, (secret, before, after, cut) => {
        const made = masker(secret);
        // What a form-encoder does with ~ and * differs from tool to tool.
        const trimmed = name === 'form-encoded' ? secret.trim().replace(/[~*!'()]/g, 'x') : secret.trim();
        made.add(trimmed);
        const inner = form(trimmed);
        const whole = `${before}${inner}${after}`;
        const out = inChunks(made, whole, cut);
        expect(out).toBe(made.mask(whole));
        // Masks hold nothing but stars, so only a text of stars could be in there by chance.
        if (!/^\*+$/.test(inner)) expect(out.includes(inner) && !`${before}|${after}`.includes(inner)).toBe(false);
        expect(made.mask(inner)).toBe('***');
      }),
      { numRuns: 300 },
    );
  });

  test.each(['base64', 'base64url'] as const)('hides any secret in %s at every alignment, also wrapped', (encoding) => {
    const around = fc.uint8Array({ maxLength: 10 }).map((bytes) => Buffer.from(bytes));
    fc.assert(
      fc.property(
        secretText,
        around,
        around,
        fc.integer({ min: 4, max: 80 }),
        sizes,
        (secret, before, after, width, cut) => {
          const made = masker(secret);
          const bytes = Buffer.from(secret.trim());
          const core = certainBase64(before, bytes, encoding);
          const encoded = Buffer.concat([before, bytes, after]).toString(encoding);
          expect(inChunks(made, encoded, cut)).not.toContain(core);
          if (core.length < 8) return;
          const wrapped = wrap(encoded, width, '\n  ');
          const out = inChunks(made, wrapped, cut);
          expect(out).toBe(made.mask(wrapped));
          expect(out.replace(/\s/g, '')).not.toContain(core);
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe('a stream', () => {
  test('gives what masking the whole text gives, with many secrets that overlap, however it is cut', () => {
    const few = fc.string({ unit: fc.constantFrom('a', 'b', 'c', ' ', '\n'), minLength: 4, maxLength: 12 });
    fc.assert(
      fc.property(
        fc.array(few, { minLength: 1, maxLength: 5 }),
        fc.string({ unit: fc.constantFrom('a', 'b', 'c', ' ', '\n'), maxLength: 300 }),
        sizes,
        (secrets, text, cut) => {
          const made = masker(...secrets);
          expect(inChunks(made, text, cut)).toBe(made.mask(text));
        },
      ),
      { numRuns: 2000 },
    );
  });

  test('leaves none of many secrets that begin alike', () => {
    const alike = fc.string({ unit: fc.constantFrom('a', 'b'), minLength: 4, maxLength: 10 });
    fc.assert(
      fc.property(
        fc.array(alike, { minLength: 20, maxLength: 60 }),
        fc.string({ unit: fc.constantFrom('a', 'b', 'x'), maxLength: 60 }),
        sizes,
        (secrets, text, cut) => {
          const made = masker(...secrets);
          const out = inChunks(made, text, cut);
          expect(out).toBe(made.mask(text));
          expect(secrets.filter((secret) => out.includes(secret))).toEqual([]);
        },
      ),
      { numRuns: 300 },
    );
  });

  test('hides any secret that is wrapped at any width', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom(...'abcdefghijk.-_='), minLength: 8, maxLength: 100 }),
        fc.integer({ min: 1, max: 30 }),
        sizes,
        (secret, width, cut) => {
          const made = masker(secret);
          expect(inChunks(made, `x: ${wrap(secret, width, '\n\t ')} ;`, cut)).toBe('x: *** ;');
        },
      ),
    );
  });

  test('loses nothing when there is no secret in it', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), sizes, (plain, cut) => {
        expect(inChunks(masker('not-in-here-at-all-0123456789'), plain, cut)).toBe(plain);
      }),
    );
  });

  test('gives out what cannot be part of a secret at once', () => {
    const stream = masker('s3cr3t-pass').stream();
    expect(stream.push('hello s')).toBe('hello ');
    expect(stream.push('3cr3t-p')).toBe('');
    expect(stream.push('lain\n')).toBe('s3cr3t-plain\n');
  });

  test('does not hold back blanks without end, nor a secret that repeats for ever', () => {
    const stream = masker('abcdefghij').stream();
    expect(stream.push(`abcde${'\n'.repeat(100_000)}`)).toBe(`abcde${'\n'.repeat(100_000)}`);
    let out = '';
    for (let i = 0; i < 1000; i++) out += stream.push('abcdefghij');
    expect(out + stream.flush()).toBe('***');
  });
});
