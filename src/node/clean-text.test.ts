import fc from 'fast-check';
import { createCleaner, splitText } from './clean-text.ts';

function clean(...chunks: (string | Uint8Array)[]): string {
  const cleaner = createCleaner();
  return chunks.map((chunk) => cleaner.push(chunk)).join('') + cleaner.end();
}

test.each([
  ['colours', '\u001b[1;31mError:\u001b[0m no', 'Error: no'],
  ['a link', '\u001b]8;;https://x\u001b\\text\u001b]8;;\u0007!', 'text!'],
  ['moves and a charset', '\u001b[2K\u001b(Ba\u001b[?25l\u001bMb', 'ab'],
  ['a sequence in one character', '\u009b31mred', 'red'],
  ['escape twice', '\u001b\u001b[31mred', 'red'],
  ['NUL, bell and backspace', 'a\u0000b\u0007c\u0008d', 'abcd'],
  ['line ends', 'a\r\nb\rc\n\td', 'a\nb\nc\n\td'],
  ['a lone surrogate', 'a\ud800b\udc00', 'a\ufffdb\ufffd'],
  ['a sequence that never ends', `\u001b]0;title\nnext`, '\nnext'],
  ['letters of all kinds', 'grüße 日本 👍', 'grüße 日本 👍'],
])('%s', (_, dirty, expected) => {
  expect(clean(dirty)).toBe(expected);
});

test('a sequence that never ends swallows only so much', () => {
  expect(clean('\u001b]', 'x'.repeat(5_000), 'END')).toMatch(/x{900}END$/);
});

test('bytes that are not UTF-8 are replaced, and characters may be split', () => {
  const bytes = Buffer.from('a👍b');
  expect(clean(bytes.subarray(0, 2), bytes.subarray(2, 4), bytes.subarray(4))).toBe('a👍b');
  expect(clean(Buffer.from([0x61, 0xff, 0x62]))).toBe('a\ufffdb');
  expect(clean(Buffer.from([0x61, 0xf0, 0x9f]))).toBe('a\ufffd');
});

test('where the text is cut makes no difference', () => {
  const piece = fc.constantFrom(
    '\u001b[31m',
    '\u001b]0;t\u0007',
    '\r\n',
    '\r',
    'text',
    '👍',
    '\ud83d',
    '\u0000',
    '\u001b',
    '\n',
    'ä',
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 20 }), fc.array(fc.nat(60), { maxLength: 5 }), (pieces, cuts) => {
      const text = pieces.join('');
      const at = [0, ...cuts.map((cut) => Math.min(cut, text.length)).sort((a, b) => a - b), text.length];
      const chunks = at.slice(1).map((end, i) => text.slice(at[i], end));
      const whole = clean(text);
      expect(clean(...chunks)).toBe(whole);
      expect(whole).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/);
      expect(Buffer.from(whole).toString()).toBe(whole);
    }),
  );
});

test('parts are within the limit, whole characters, and nothing is lost', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom('a', 'ä', '日', '👍', '\n') }),
      fc.integer({ min: 0, max: 30 }),
      (text, limit) => {
        const parts = splitText(text, limit);
        expect(parts.join('')).toBe(text);
        for (const part of parts) {
          if ([...part].length !== 1) expect(Buffer.byteLength(part)).toBeLessThanOrEqual(limit);
          expect(Buffer.from(part).toString()).toBe(part);
        }
      },
    ),
  );
});

test('a character that does not fit behind the line end that was cut at begins a part of its own', () => {
  expect(splitText('a\na👍', 4)).toEqual(['a\n', 'a', '👍']);
});

test('a long text is cut at the end of a line', () => {
  expect(splitText('aaaaaaa\nbbbbbbb\n', 10)).toEqual(['aaaaaaa\n', 'bbbbbbb\n']);
});
