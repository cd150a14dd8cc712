/** Longer forms are matched in pieces, so that a stream need not hold back more than this. */
const longestForm = 8 * 1024;

/** A piece of text that gives a secret away. */
export interface SecretForm {
  readonly text: string;
  /** Also hidden when line breaks and indentation stand in it. Short ones are not: too much would look like them. */
  readonly wraps: boolean;
}

const shortestWrapped = 8;
const shortestForm = 4;

/** Characters that come and go where tools wrap text: white space, and the frame around an error of OpenTofu. */
export function isBlank(code: number): boolean {
  return code === 32 || (code >= 9 && code <= 13) || code === 0x2502 || code === 0x2575 || code === 0x2577;
}

/** Every form in which a tool is likely to print this text. */
export function formsOf(secret: string): SecretForm[] {
  const bytes = Buffer.from(secret, 'utf8');
  // Halves of surrogate pairs become U+FFFD on their way to a file or a pipe.
  const text = bytes.toString('utf8');
  const json = JSON.stringify(text).slice(1, -1);
  const url = encodeURIComponent(text);
  const strictUrl = url.replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);
  const hex = bytes.toString('hex');
  const forms = new Set([
    secret,
    text,
    json,
    JSON.stringify(json).slice(1, -1),
    asciiOnly(json),
    json.replaceAll('/', '\\/'),
    json.replace(/[<>&]/g, (character) => `\\u00${character.charCodeAt(0).toString(16)}`),
    json.replaceAll('${', '$${').replaceAll('%{', '%%{'),
    ...quotedForms(text),
    ...shellPieces(text),
    url,
    strictUrl,
    strictUrl.replaceAll('%20', '+'),
    strictUrl.replace(/%../g, (escape) => escape.toLowerCase()),
    hex,
    hex.toUpperCase(),
  ]);
  for (const core of base64Cores(bytes)) forms.add(core).add(core.replaceAll('+', '-').replaceAll('/', '_'));
  return [...forms].filter((form) => form.length >= shortestForm).flatMap(pieces);
}

/** As shells, YAML, HTML and the `inspect` of Node quote it. */
function quotedForms(text: string): string[] {
  const html = text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
  return [
    text.replaceAll("'", "'\\''"),
    text.replaceAll("'", `'"'"'`),
    text.replaceAll("'", "''"),
    text.replaceAll("'", "\\'"),
    text.replace(/["$`\\]/g, '\\$&'),
    text.replace(/[^\w\u0080-\uffff@%+=:,./-]/g, '\\$&'),
    html.replaceAll('"', '&quot;').replaceAll("'", '&#39;'),
    html.replaceAll('"', '&#34;').replaceAll("'", '&#39;'),
    // A shell takes these away.
    text.replace(/["']/g, ''),
    text.replace(/["'\\]/g, ''),
  ];
}

/**
 * What is left of a value that stood in a command line without quotes: a shell cuts it at these characters, and says of
 * each piece that there is no such command, file or job. Only pieces that could not be an everyday word.
 */
function shellPieces(text: string): string[] {
  const cuts = /[\s&;|<>()$`"'\\#{}*?!~]+/;
  const variable = /\$(?:\w+|\{[^}]*\})/;
  const unquoted = text.replace(/["'\\]/g, '');
  return [text, unquoted].flatMap((form) => [form.split(cuts), form.split(variable)].flat()).filter(isTelling);
}

const shortestPiece = 6;
const longestWord = 16;

/** Whether a piece of a secret tells something: a word, a number or a plain name does not, and stands in many other texts. */
function isTelling(piece: string): boolean {
  return piece.split(/[^A-Za-z0-9]+/).some((run) => {
    if (run.length < shortestPiece) return false;
    if (run.length >= longestWord) return true;
    if (/^\d+$/.test(run)) return false;
    // `oauth2`, `Postgres`, `HTTPS`
    if (/^(?:[a-z]+|[A-Z]+|[A-Z][a-z]+)\d?$/.test(run)) return false;
    // `sslMode`: words that begin with a capital each
    return /\d/.test(run) || !/^[A-Z]?[a-z]{2,}(?:[A-Z][a-z]{2,})*$/.test(run);
  });
}

function asciiOnly(json: string): string {
  return json.replace(/[\u0080-\uffff]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** The characters that are certain when the bytes stand at each of the three alignments inside a longer base64 text. */
function base64Cores(bytes: Buffer): string[] {
  return [0, 1, 2].map((offset) => {
    const encoded = Buffer.concat([Buffer.alloc(offset), bytes]).toString('base64');
    const certain = Math.floor(((offset + bytes.length) * 8) / 6);
    return encoded.slice(offset === 0 ? 0 : offset + 1, certain);
  });
}

function pieces(form: string): SecretForm[] {
  const count = Math.ceil(form.length / longestForm);
  const size = Math.ceil(form.length / count);
  return Array.from({ length: count }, (_, i) => trimBlanks(form.slice(i * size, (i + 1) * size)))
    .filter((text) => text !== '')
    .map((text) => ({ text, wraps: text.length >= shortestWrapped }));
}

function trimBlanks(text: string): string {
  let from = 0;
  let to = text.length;
  while (from < to && isBlank(text.charCodeAt(from))) from++;
  while (to > from && isBlank(text.charCodeAt(to - 1))) to--;
  return text.slice(from, to);
}
