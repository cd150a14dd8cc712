import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { createSecretBox } from './secret-box.ts';

const box = createSecretBox(randomBytes(32));

test('opens what it sealed, for any text and context', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.string(), (text, context) => {
      const plain = Buffer.from(text).toString('utf8');
      expect(box.open(box.seal(plain, context), context)).toBe(plain);
    }),
  );
});

test('never seals the same text to the same ciphertext', () => {
  expect(box.seal('hunter22', 'a')).not.toBe(box.seal('hunter22', 'a'));
  expect(box.seal('hunter22', 'a')).not.toContain('hunter22');
});

test('does not open in another place', () => {
  const sealed = box.seal('hunter22', 'environment:a');
  expect(() => box.open(sealed, 'environment:b')).toThrow('does not open');
});

test('does not open what was changed', () => {
  const sealed = box.sealBytes(Buffer.from('hunter22'), 'a');
  sealed[20] = (sealed[20] ?? 0) ^ 1;
  expect(() => box.openBytes(sealed, 'a')).toThrow('does not open');
});

test('says which key is wanted when it has another', () => {
  const other = createSecretBox(randomBytes(32));
  expect(() => other.open(box.seal('x', 'a'), 'a')).toThrow(
    `encrypted with key ${box.keyId}, but this process has key ${other.keyId}`,
  );
});
