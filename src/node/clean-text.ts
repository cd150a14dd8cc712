import { StringDecoder } from 'node:string_decoder';

/** Takes text as it comes from a tool and answers text that is safe to store and show. */
export interface TextCleaner {
  push(chunk: string | Uint8Array): string;
  /** What was kept back because its rest did not come. */
  end(): string;
}

/** An escape sequence that does not end within this many characters was none. */
const longestSequence = 4_096;

// anything that the slow way has to look at: controls but tab and line break, C1 controls, surrogates
const special = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\ud800-\udfff]/;

type Mode = 'text' | 'escape' | 'control' | 'string' | 'stringEscape';

/**
 * Removes terminal sequences and control characters, makes line ends `\n`, and replaces what is not valid Unicode;
 * sequences, characters and line ends may be split between chunks.
 */
export function createCleaner(): TextCleaner {
  const decoder = new StringDecoder('utf8');
  let mode: Mode = 'text';
  let length = 0;
  let afterReturn = false;
  let highSurrogate = '';

  function enter(next: Mode): void {
    mode = next;
    length = 0;
  }

  /** Text mode: answers what the code unit adds. */
  function plain(code: number, unit: string): string {
    if (highSurrogate !== '') {
      const high = highSurrogate;
      highSurrogate = '';
      if (code >= 0xdc00 && code <= 0xdfff) return high + unit;
      return `\ufffd${plain(code, unit)}`;
    }
    if (code >= 0xd800 && code <= 0xdbff) {
      highSurrogate = unit;
      return '';
    }
    if (code >= 0xdc00 && code <= 0xdfff) return '\ufffd';
    if (code === 0x0a) return '\n';
    if (code === 0x0d) {
      afterReturn = true;
      return '\n';
    }
    if (code === 0x1b) enter('escape');
    else if (code === 0x9b) enter('control');
    else if (code === 0x90 || code === 0x98 || (code >= 0x9d && code <= 0x9f)) enter('string');
    else if (code === 0x09 || (code >= 0x20 && code < 0x7f) || code > 0x9f) return unit;
    return '';
  }

  function step(code: number, unit: string): string {
    if (afterReturn) {
      afterReturn = false;
      if (code === 0x0a) return '';
    }
    if (mode === 'text') return plain(code, unit);
    // a line break ends every sequence: nothing that a tool prints may swallow the rest of the log
    if (code === 0x0a || code === 0x0d || ++length > longestSequence) {
      enter('text');
      return plain(code, unit);
    }
    switch (mode) {
      case 'escape':
        if (code === 0x5b) enter('control');
        else if (code === 0x5d || code === 0x50 || code === 0x58 || code === 0x5e || code === 0x5f) enter('string');
        else if (code === 0x1b) enter('escape');
        else if (code < 0x20 || code > 0x2f) enter('text');
        return '';
      case 'control':
        if (code >= 0x20 && code <= 0x3f) return '';
        enter('text');
        return code >= 0x40 && code <= 0x7e ? '' : plain(code, unit);
      case 'string':
        if (code === 0x07 || code === 0x9c) enter('text');
        else if (code === 0x1b) mode = 'stringEscape';
        return '';
      case 'stringEscape':
        if (code === 0x5c) enter('text');
        else if (code !== 0x1b) mode = 'string';
        return '';
    }
  }

  function clean(text: string): string {
    if (mode === 'text' && !afterReturn && highSurrogate === '' && !special.test(text)) return text;
    let out = '';
    for (let i = 0; i < text.length; i++) out += step(text.charCodeAt(i), text.charAt(i));
    return out;
  }

  return {
    push: (chunk) => clean(typeof chunk === 'string' ? chunk : decoder.write(Buffer.from(chunk))),
    end() {
      const rest = clean(decoder.end());
      const lone = highSurrogate === '' ? '' : '\ufffd';
      highSurrogate = '';
      enter('text');
      return rest + lone;
    },
  };
}

/**
 * Parts of at most `maxBytes` bytes in UTF-8 that never cut a character; at a line end where one is near. A character
 * that is wider than that alone is a part of its own.
 */
export function splitText(text: string, maxBytes: number): string[] {
  if (Buffer.byteLength(text) <= maxBytes) return text === '' ? [] : [text];
  const parts: string[] = [];
  let start = 0;
  let bytes = 0;
  let lineEnd = -1;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    const pair = code >= 0xd800 && code <= 0xdbff;
    const width = code < 0x80 ? 1 : code < 0x800 ? 2 : pair ? 4 : 3;
    // twice, when what follows the line end is itself too long with this character
    while (bytes + width > maxBytes && i > start) {
      const cut = lineEnd > start + (i - start) / 2 ? lineEnd : i;
      parts.push(text.slice(start, cut));
      bytes = Buffer.byteLength(text.slice(cut, i));
      start = cut;
      lineEnd = -1;
    }
    bytes += width;
    if (pair) i++;
    if (code === 0x0a) lineEnd = i + 1;
  }
  if (start < text.length) parts.push(text.slice(start));
  return parts;
}
