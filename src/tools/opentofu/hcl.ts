/**
 * Reads the outline of HCL: blocks, labels, and attributes as raw text. It knows comments, strings with nested
 * templates, and heredocs, so that nothing inside them is taken for a block. It never fails: what a tool would refuse is
 * skipped, and the tool says so.
 */
export interface HclBlock {
  readonly type: string;
  readonly labels: readonly string[];
  readonly body: HclBody;
}

export interface HclBody {
  readonly blocks: readonly HclBlock[];
  /** Expressions by name, as written. */
  readonly attributes: ReadonlyMap<string, string>;
}

const identifier = /[\p{L}_][\p{L}\p{N}_-]*/uy;
const heredocStart = /<<-?([\p{L}_][\p{L}\p{N}_-]*)[ \t]*\r?\n/uy;
const deepestNesting = 200;

export function parseHcl(text: string): HclBody {
  let at = text.startsWith('\uFEFF') ? 1 : 0;

  function match(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = at;
    const found = pattern.exec(text);
    if (found) at += found[0].length;
    return found;
  }

  /** Skips a comment that starts here. The line feed after a line comment stays. */
  function comment(): boolean {
    if (text[at] === '#' || text.startsWith('//', at)) {
      const end = text.indexOf('\n', at);
      at = end < 0 ? text.length : end;
      return true;
    }
    if (text.startsWith('/*', at)) {
      const end = text.indexOf('*/', at + 2);
      at = end < 0 ? text.length : end + 2;
      return true;
    }
    return false;
  }

  function blanks(alsoLines: boolean): void {
    for (;;) {
      const character = text[at];
      if (character === ' ' || character === '\t' || character === '\r' || (alsoLines && character === '\n')) at++;
      else if (!comment()) return;
    }
  }

  /** Skips a quoted string; `at` is on its first quote. */
  function quoted(depth: number): void {
    at++;
    while (at < text.length) {
      const character = text[at];
      if (character === '\\') at += 2;
      else if (text.startsWith('$${', at) || text.startsWith('%%{', at)) at += 3;
      else if (text.startsWith('${', at) || text.startsWith('%{', at)) {
        at += 2;
        brackets('}', depth + 1);
      } else if (character === '"') {
        at++;
        return;
      } else if (character === '\n') return;
      else at++;
    }
  }

  function heredoc(): boolean {
    const start = match(heredocStart);
    if (!start) return false;
    while (at < text.length) {
      const end = text.indexOf('\n', at);
      const line = text.slice(at, end < 0 ? text.length : end);
      if (line.trim() === start[1]) {
        at += line.length;
        return true;
      }
      at = end < 0 ? text.length : end + 1;
    }
    return true;
  }

  /** Skips one piece of an expression: a string, heredoc, comment, bracketed part or character. */
  function piece(depth: number): void {
    const character = text[at];
    if (character === '"') quoted(depth);
    else if (character === '<' && heredoc()) return;
    else if (comment()) return;
    else if (character === '{' || character === '[' || character === '(') {
      at++;
      brackets(character === '{' ? '}' : character === '[' ? ']' : ')', depth + 1);
    } else at++;
  }

  /** Skips to after a closing bracket. */
  function brackets(closing: string, depth: number): void {
    if (depth > deepestNesting) {
      at = text.length;
      return;
    }
    while (at < text.length) {
      if (text[at] === closing) {
        at++;
        return;
      }
      piece(depth);
    }
  }

  function expression(): string {
    const start = at;
    while (at < text.length && text[at] !== '\n' && text[at] !== '}') piece(0);
    return text.slice(start, at).trim();
  }

  function label(): string | null {
    if (text[at] === '"') {
      const start = at + 1;
      quoted(0);
      return text.slice(start, text[at - 1] === '"' ? at - 1 : at);
    }
    return match(identifier)?.[0] ?? null;
  }

  function body(depth: number): HclBody {
    const blocks: HclBlock[] = [];
    const attributes = new Map<string, string>();
    for (;;) {
      blanks(true);
      if (at >= text.length || depth > deepestNesting) return { blocks, attributes };
      if (text[at] === '}') {
        at++;
        if (depth > 0) return { blocks, attributes };
        continue;
      }
      const name = match(identifier)?.[0];
      if (name === undefined) {
        piece(0);
        continue;
      }
      blanks(false);
      if (text[at] === '=' && text[at + 1] !== '=') {
        at++;
        blanks(false);
        attributes.set(name, expression());
        continue;
      }
      const labels: string[] = [];
      for (let next = label(); next !== null; next = label()) {
        labels.push(next);
        blanks(false);
      }
      if (text[at] !== '{') continue;
      at++;
      blocks.push({ type: name, labels, body: body(depth + 1) });
    }
  }

  return body(0);
}

/** The text of an expression that is a plain quoted string; null when it is anything else. */
export function literalString(expression: string | undefined): string | null {
  const match = /^"((?:[^"\\$%]|\\.|[$%](?!\{))*)"$/.exec(expression ?? '');
  return match?.[1] ?? null;
}
