/** What stands in the place of a secret. */
export const mask = '***';

const shortestSecret = 4;
const shortestLine = 6;
/** Look-behind of a stream: the longest form a secret may have in it, whatever its length. */
const longestHeld = 64 * 1024;
/** Room for line breaks and indentation inside a wrapped secret. */
const slack = 64;
/** Where a tool wraps a long text. */
const lineBreak = /\r?\n[ \t]*/g;

/** Hides a chunked text; what is held back comes with a later push, or with flush. */
export interface MaskStream {
  push(chunk: string): string;
  flush(): string;
}

/**
 * Replaces known secrets in text, in every form a tool is likely to print them: as they are, base64 (also inside a
 * longer base64 text), URL-encoded, JSON- or HCL-escaped, hexadecimal, and wrapped over lines.
 */
export class Masker {
  private readonly forms = new Set<string>();
  private readonly byFirst = new Map<string, string[]>();
  private pattern: RegExp | null = null;
  private longest = 0;

  /** Registers a secret. Texts under four characters are not hidden: they would hide half of everything. */
  add(secret: string): void {
    const trimmed = secret.trim();
    if (trimmed.length < shortestSecret) return;
    this.addForms(secret);
    if (trimmed !== secret) this.addForms(trimmed);
    const lines = trimmed.split(/\r?\n/).map((line) => line.trim());
    if (lines.length > 1) for (const line of lines) if (line.length >= shortestLine) this.addForms(line);
  }

  /** Registers every text inside a JSON value. */
  addValue(value: unknown): void {
    if (typeof value === 'string') this.add(value);
    else if (typeof value === 'number') this.add(String(value));
    else if (Array.isArray(value)) for (const item of value) this.addValue(item);
    else if (typeof value === 'object' && value !== null) for (const item of Object.values(value)) this.addValue(item);
  }

  mask(text: string): string {
    return this.mayContain(text) ? text.replace(this.compiled(), mask) : text;
  }

  stream(): MaskStream {
    let held = '';
    const take = (length: number): string => {
      const ready = held.slice(0, length);
      held = held.slice(length);
      return this.mask(ready);
    };
    return {
      push: (chunk) => {
        held += chunk;
        let cut = this.certainUpTo(held);
        if (!this.mayContain(held)) return take(cut);
        for (const match of held.matchAll(this.compiled())) {
          if (match.index < cut && match.index + match[0].length > cut) cut = match.index;
        }
        return take(cut);
      },
      flush: () => take(held.length),
    };
  }

  /** Cheap beside the pattern, which is compiled only for text that holds a secret: hardly any does. */
  private mayContain(text: string): boolean {
    const flat = text.includes('\n') ? text.replace(lineBreak, '') : text;
    for (const form of this.forms) if (flat.includes(form) || (flat !== text && text.includes(form))) return true;
    return false;
  }

  /** Where a secret may begin that the next chunk completes; everything before is certain. */
  private certainUpTo(held: string): number {
    const from = Math.max(0, held.length - Math.min(longestHeld, this.longest * 2 + slack));
    for (let at = from; at < held.length; at++) {
      const forms = this.byFirst.get(held.charAt(at));
      if (forms === undefined) continue;
      const rest = held.slice(at);
      const flat = /[\r\n]/.test(rest) ? rest.replace(lineBreak, '').replace(/\r$/, '') : rest;
      for (const form of forms) if (form.startsWith(rest) || form.startsWith(flat)) return at;
    }
    return held.length;
  }

  private addForms(secret: string): void {
    for (const form of formsOf(secret)) {
      if (form.length < shortestSecret || this.forms.has(form)) continue;
      this.forms.add(form);
      this.longest = Math.max(this.longest, form.length);
      const alike = this.byFirst.get(form.charAt(0));
      if (alike) alike.push(form);
      else this.byFirst.set(form.charAt(0), [form]);
    }
    this.pattern = null;
  }

  private compiled(): RegExp {
    // Longer forms first, so that a secret which contains another is hidden whole.
    this.pattern ??= new RegExp([...this.forms].sort((a, b) => b.length - a.length).map(wrappable).join('|'), 'g');
    return this.pattern;
  }
}

/** Long forms match also when a line break, with the indentation that follows it, stands between any two characters. */
function wrappable(form: string): string {
  const escape = (character: string): string => character.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&');
  const characters = [...form].map(escape);
  return form.length < 8 ? characters.join('') : characters.join('(?:\\r?\\n[ \\t]*)?');
}

function formsOf(secret: string): string[] {
  const bytes = Buffer.from(secret, 'utf8');
  const json = JSON.stringify(secret).slice(1, -1);
  const forms = [
    secret,
    json,
    JSON.stringify(json).slice(1, -1),
    json.replaceAll('${', '$${').replaceAll('%{', '%%{'),
    json.replaceAll('<', '\\u003c').replaceAll('>', '\\u003e').replaceAll('&', '\\u0026'),
    encodeURIComponent(secret),
    encodeURIComponent(secret).replaceAll('%20', '+'),
    bytes.toString('hex'),
    bytes.toString('hex').toUpperCase(),
  ];
  for (const aligned of base64Cores(bytes)) {
    forms.push(aligned, aligned.replaceAll('+', '-').replaceAll('/', '_'));
  }
  return [...new Set(forms)];
}

/** The characters that are certain when the bytes stand at each of the three alignments inside a longer base64 text. */
function base64Cores(bytes: Buffer): string[] {
  return [0, 1, 2].map((offset) => {
    const encoded = Buffer.concat([Buffer.alloc(offset), bytes]).toString('base64').replace(/=+$/, '');
    const from = offset === 0 ? 0 : offset + 1;
    const certain = Math.floor(((offset + bytes.length) * 8) / 6);
    return encoded.slice(from, Math.max(from, certain));
  });
}
