import { makeFormIndex } from './form-index.ts';
import { formsOf, isBlank } from './secret-forms.ts';
import type { SecretForm } from './secret-forms.ts';

/** What stands in the place of a secret. */
const mask = '***';

const shortestSecret = 4;
const shortestLine = 6;
/** White space inside a wrapped secret that is longer than this is none. */
const longestBlank = 256;

/** Hides a chunked text; what is held back comes with a later push, or with flush. */
export interface MaskStream {
  push(chunk: string): string;
  flush(): string;
}

interface Interval {
  readonly start: number;
  end: number;
}

/** The text ends before it is decided whether the form stands there. */
const open = -2;
const absent = -1;

/**
 * Replaces known secrets in text, in every form a tool is likely to print them: as they are, base64 (also inside a
 * longer base64 text), URL-encoded, escaped or quoted for JSON, HCL, HTML or a shell, cut up by a shell, hexadecimal, and
 * wrapped over lines. The time is linear in the
 * text, whatever the number of secrets.
 */
export class Masker {
  readonly #known = new Set<string>();
  readonly #forms = makeFormIndex();

  /** Registers a secret. Texts under four characters are not hidden: they would hide half of everything. */
  add(secret: string): void {
    const trimmed = secret.trim();
    if (trimmed.length < shortestSecret || this.#known.has(trimmed)) return;
    this.#known.add(trimmed);
    this.#addForms(trimmed);
    const lines = trimmed.split(/[\r\n]+/).map((line) => line.trim());
    if (lines.length > 1) for (const line of lines) if (line.length >= shortestLine) this.add(line);
  }

  /** Registers every text and number inside a JSON value. */
  addValue(value: unknown): void {
    if (typeof value === 'string') this.add(value);
    else if (typeof value === 'number') this.add(String(value));
    else if (Array.isArray(value)) for (const item of value) this.addValue(item);
    else if (typeof value === 'object' && value !== null) for (const item of Object.values(value)) this.addValue(item);
  }

  mask(text: string): string {
    if (this.#known.size === 0) return text;
    return render(text, this.#find(text).found, text.length);
  }

  /** A JSON value with every secret in it hidden. It stays valid JSON, which its text after `mask` need not be. */
  maskValue(value: unknown): unknown {
    if (this.#known.size === 0) return value;
    if (typeof value === 'string') return this.mask(value);
    if (typeof value === 'number') return this.mask(String(value)) === String(value) ? value : mask;
    if (Array.isArray(value)) return value.map((item) => this.maskValue(item));
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [this.mask(key), this.maskValue(item)]));
  }

  stream(): MaskStream {
    let held = '';
    /** End in `held` of a secret whose mask was already given out; -1 when there is none. */
    let hiddenTo = -1;
    return {
      push: (chunk) => {
        if (this.#known.size === 0 && held === '') return chunk;
        held += chunk;
        const { found, undecided } = this.#find(held, hiddenTo);
        const out = render(held, found, undecided, hiddenTo);
        const reached = found.findLast(({ start }) => start < undecided)?.end ?? -1;
        hiddenTo = reached >= undecided ? reached - undecided : -1;
        held = held.slice(undecided);
        return out;
      },
      flush: () => {
        const { found } = this.#find(held, hiddenTo);
        const out = render(held, found, held.length, hiddenTo);
        held = '';
        hiddenTo = -1;
        return out;
      },
    };
  }

  #addForms(secret: string): void {
    for (const form of formsOf(secret)) this.#forms.add(form, withoutBlanks(form.text).solid);
  }

  /** Where secrets stand, in order and merged, and from where on more text may change that. */
  #find(text: string, hiddenTo = -1): { found: Interval[]; undecided: number } {
    const { solid, positions } = withoutBlanks(text);
    const found: Interval[] = hiddenTo >= 0 ? [{ start: -1, end: hiddenTo }] : [];
    let undecided = text.length;
    let start = 0;
    let end = absent;
    const look = (form: SecretForm): boolean => {
      const reached = compare(form, text, start);
      if (reached === open) undecided = Math.min(undecided, start);
      else end = Math.max(end, reached);
      return reached !== open;
    };
    for (let i = 0; i < solid.length; i++) {
      start = positions[i] ?? 0;
      end = absent;
      this.#forms.visitAt(solid, i, look);
      if (end === absent) continue;
      const last = found.at(-1);
      // Neighbours become one, so that the number of masks does not depend on how the text was cut.
      if (last && start <= last.end) last.end = Math.max(last.end, end);
      else found.push({ start, end });
    }
    return { found, undecided };
  }
}

/** The text without blanks, and where each of its characters stood. */
function withoutBlanks(text: string): { solid: string; positions: Uint32Array } {
  const positions = new Uint32Array(text.length);
  const parts: string[] = [];
  let count = 0;
  let from = -1;
  for (let i = 0; i < text.length; i++) {
    if (isBlank(text.charCodeAt(i))) {
      if (from >= 0) parts.push(text.slice(from, i));
      from = -1;
    } else {
      if (from < 0) from = i;
      positions[count++] = i;
    }
  }
  if (from >= 0) parts.push(text.slice(from));
  return { solid: parts.join(''), positions };
}

/** End of the blanks that begin at a place; the place itself when there are none. */
function endOfBlanks(text: string, from: number): number {
  let at = from;
  while (at < text.length && isBlank(text.charCodeAt(at))) at++;
  return at;
}

/** Where the form ends that begins at `start`, or `absent`, or `open`. */
function compare({ text: form, wraps }: SecretForm, text: string, start: number): number {
  let at = start;
  for (let k = 0; k < form.length;) {
    if (at >= text.length) return open;
    const wantedEnd = endOfBlanks(form, k);
    const givenEnd = endOfBlanks(text, at);
    if (wantedEnd === k && givenEnd === at) {
      if (form.charCodeAt(k++) !== text.charCodeAt(at++)) return absent;
      continue;
    }
    const wanted = form.slice(k, wantedEnd);
    const given = text.slice(at, givenEnd);
    if (given.length > Math.max(longestBlank, wanted.length)) return absent;
    if (givenEnd === text.length) return wraps || wanted.startsWith(given) ? open : absent;
    if (wanted !== given && !(wraps && mayDiffer(wanted, given))) return absent;
    at = givenEnd;
    k = wantedEnd;
  }
  return at;
}

/** Whether the blanks in a text can stand for those of a secret: where a line break has come, gone or moved. */
function mayDiffer(wanted: string, given: string): boolean {
  return /[\r\n]/.test(given) || /[\r\n]/.test(wanted);
}

/** The text up to `end`, with a mask for each interval that begins before it; the first one may have its mask already. */
function render(text: string, found: readonly Interval[], end: number, hiddenTo = -1): string {
  let out = '';
  let at = 0;
  for (const [i, interval] of found.entries()) {
    if (interval.start >= end) break;
    if (!(i === 0 && hiddenTo >= 0)) out += text.slice(at, interval.start) + mask;
    at = interval.end;
  }
  return at < end ? out + text.slice(at, end) : out;
}
