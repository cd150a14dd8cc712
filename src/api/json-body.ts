import { WindlassError, messageOf } from '../model/index.ts';
import { HttpProblem } from './problems.ts';

/** Deeper JSON has no use here and would exhaust the stack of whatever walks it. */
const maximumDepth = 64;

function checkDepth(text: string): void {
  let depth = 0;
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const character = text[i];
    if (quoted) {
      if (character === '\\') i++;
      else if (character === '"') quoted = false;
    } else if (character === '"') quoted = true;
    else if (character === '{' || character === '[') {
      depth++;
      if (depth > maximumDepth) {
        throw new WindlassError('invalidInput', `The body is nested deeper than ${maximumDepth} levels`);
      }
    } else if (character === '}' || character === ']') depth--;
  }
}

/** Line and column, from 1, of an offset. */
function placeOf(text: string, offset: number): { line: number; column: number } {
  const before = text.slice(0, offset);
  const line = before.split('\n').length;
  return { line, column: offset - (before.lastIndexOf('\n') + 1) + 1 };
}

/** Where the parser stopped. It does not say so for unexpected tokens: there it is where the shortest bad beginning ends. */
function offsetOf(text: string, reason: string): number {
  const said = /at position (\d+)/.exec(reason)?.[1];
  if (said !== undefined) return Number(said);
  if (!isUnexpectedToken(reason)) return text.length;
  let good = 0;
  let bad = text.length;
  while (bad - good > 1) {
    const middle = (good + bad) >> 1;
    try {
      JSON.parse(text.slice(0, middle));
      good = middle;
    } catch (thrown) {
      if (isUnexpectedToken(messageOf(thrown))) bad = middle;
      else good = middle;
    }
  }
  return bad - 1;
}

function isUnexpectedToken(reason: string): boolean {
  return reason.startsWith('Unexpected token');
}

/** JSON of a request. Says where it is malformed. */
export function parseJsonBody(text: string): unknown {
  if (text.trim() === '') {
    throw new WindlassError('invalidInput', 'The body is empty', { hint: 'send a JSON object' });
  }
  checkDepth(text);
  try {
    return JSON.parse(text);
  } catch (thrown) {
    const reason = messageOf(thrown);
    const place = placeOf(text, offsetOf(text, reason));
    const message = reason
      .replace(/,? ?(in JSON )?at position \d+.*$/s, '')
      // An excerpt of the body: the place says it better.
      .replace(/,? ?(\.\.\.)?".*"(\.\.\.)? is not valid JSON$/s, '');
    throw new WindlassError(
      'invalidInput',
      `The body is not JSON: line ${place.line}, column ${place.column}: ${message}`,
      {
        problems: [{ message, ...place }],
      },
    );
  }
}

/** `application/json`, or anything `+json`, in UTF-8. */
export function requireJson(contentType: string | undefined): void {
  const [type = '', ...parameters] = (contentType ?? '').toLowerCase().split(';');
  const isJson = type.trim() === 'application/json' || /^application\/[\w.-]+\+json$/.test(type.trim());
  if (!isJson) {
    throw new HttpProblem(
      415,
      'unsupportedMediaType',
      contentType ? `The content type "${contentType.slice(0, 100)}" is not supported` : 'The body has no content type',
      { hint: 'send JSON with the header Content-Type: application/json' },
    );
  }
  const charset = parameters.map((parameter) => /charset="?([\w-]+)"?/.exec(parameter)?.[1]).find(Boolean);
  if (charset && !['utf-8', 'utf8', 'us-ascii'].includes(charset)) {
    throw new HttpProblem(415, 'unsupportedMediaType', `The charset "${charset}" is not supported`, {
      hint: 'JSON is UTF-8',
    });
  }
}
