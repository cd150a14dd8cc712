import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

/** Code units that may stand between the parts of a text that a tool has wrapped. */
const blanks = /[\s\u2502\u2575\u2577]+/g;
/** OpenTofu begins every line of a provisioner with its resource. */
const provisionerPrefix = /^.*\(local-exec\): ?/gm;

/** How a secret may be written: as it is, in JSON, in an address, as hex, and in base64 at each of its alignments. */
export function writings(secret: string): string[] {
  const bytes = Buffer.from(secret);
  const base64 = [0, 1, 2].map((offset) => {
    const text = Buffer.concat([Buffer.alloc(offset), bytes]).toString('base64');
    // What stands at the edges also depends on the neighbours.
    return text.slice(offset === 0 ? 0 : offset + 1, Math.floor(((offset + bytes.length) * 8) / 6));
  });
  const hex = bytes.toString('hex');
  const json = JSON.stringify(secret).slice(1, -1);
  return [
    secret,
    json,
    JSON.stringify(json).slice(1, -1),
    encodeURIComponent(secret),
    hex,
    hex.toUpperCase(),
    ...base64,
  ];
}

/** Everything in which secrets are looked for, by where it is from. */
export interface Findings {
  add(where: string, text: string): void;
  addBytes(where: string, bytes: Uint8Array): void;
  /** `place: secret`, once each. */
  leaks(): string[];
}

export function lookFor(secrets: Readonly<Record<string, string>>): Findings {
  const wanted = Object.entries(secrets).flatMap(([name, secret]) =>
    [...new Set(writings(secret))].map((form) => ({ name, form, squeezed: form.replace(blanks, '') })),
  );
  const found = new Set<string>();
  const add = (where: string, text: string): void => {
    const squeezed = text.replace(provisionerPrefix, '').replace(blanks, '');
    for (const { name, form, squeezed: tight } of wanted)
      if (text.includes(form) || squeezed.includes(tight)) found.add(`${where}: ${name}`);
  };
  return {
    add,
    addBytes: (where, bytes) => {
      const buffer = Buffer.from(bytes);
      for (const { name, form } of wanted) if (buffer.includes(form)) found.add(`${where}: ${name}`);
      if (buffer[0] === 0x1f && buffer[1] === 0x8b) add(where, gunzipSync(buffer).toString());
    },
    leaks: () => [...found].sort(),
  };
}

/** Every text and every piece of bytes in an object, such as the payloads in a history. */
export function* textsIn(value: unknown): Generator<string> {
  if (typeof value === 'string') yield value;
  else if (value instanceof Uint8Array) yield Buffer.from(value).toString();
  else if (typeof value === 'object' && value !== null) {
    for (const [key, inner] of Object.entries(value)) {
      yield key;
      yield* textsIn(inner);
    }
  }
}

/** Command lines of every process of this machine, once each, until it is stopped. */
export function watchCommandLines(): { stop(): string[] } {
  const seen = new Set<string>();
  const look = (): void => {
    for (const id of readdirSync('/proc')) {
      if (!/^\d+$/.test(id)) continue;
      try {
        seen.add(readFileSync(`/proc/${id}/cmdline`, 'utf8').replaceAll('\0', ' '));
      } catch {
        // It has ended meanwhile.
      }
    }
  };
  const timer = setInterval(look, 25);
  return {
    stop: () => {
      clearInterval(timer);
      look();
      return [...seen];
    },
  };
}

/** Every file below a directory. Links are not followed. */
export function filesBelow(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) return filesBelow(path);
    return entry.isFile() ? [path] : [];
  });
}
