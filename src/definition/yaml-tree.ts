/**
 * YAML text -> a small tree in which every key and value knows its place. Bounded: size, nesting, aliases and the number of
 * errors, since the text comes from anybody. Merge keys are off; keys are texts, and never become object properties here.
 */
import { Composer, isAlias, isMap, isScalar, isSeq, Lexer, LineCounter, Parser } from 'yaml';
import type { CST, Document, ParsedNode, YAMLMap } from 'yaml';
import type { Position } from '../model/index.ts';
import type { ProblemList } from './problems.ts';
import { counted, quote, shown } from './text.ts';

export interface YamlScalar {
  readonly kind: 'scalar';
  readonly value: string | number | boolean | null;
  /** As it stands in the file: `1.10` for the number 1.1. */
  readonly text: string;
  readonly position: Position;
}
export interface YamlList {
  readonly kind: 'list';
  readonly items: readonly YamlNode[];
  readonly position: Position;
}
export interface YamlEntry {
  readonly key: string;
  readonly keyPosition: Position;
  readonly value: YamlNode;
}
export interface YamlMap {
  readonly kind: 'map';
  /** Keys are unique. */
  readonly entries: readonly YamlEntry[];
  readonly position: Position;
}
export type YamlNode = YamlScalar | YamlList | YamlMap;

export const maximumFileBytes = 1024 * 1024;
const deepest = 40;
const mostAliasedValues = 100_000;
const mostSyntaxErrors = 20;

/** Reads the one document of a file. Null when the file is empty, or when problems were added. */
export function parseYaml(text: string, problems: ProblemList): YamlNode | null {
  const bytes = Buffer.byteLength(text);
  if (bytes > maximumFileBytes) {
    problems.add(undefined, `the file has ${bytes} bytes; at most ${maximumFileBytes} (1 MiB) are read`);
    return null;
  }
  if (text.includes('\0')) {
    problems.add(undefined, 'the file holds a NUL character; it has to be a text in UTF-8');
    return null;
  }
  const lines = new LineCounter();
  const document = compose(text, lines, problems);
  if (document === null) return null;
  const before = problems.count;
  reportSyntax(document, lines, problems);
  if (problems.count > before || document.contents === null) return null;
  const tree = new TreeBuilder(lines, problems).build(document.contents, { line: 1, column: 1 }, 1);
  return problems.count > before ? null : tree;
}

function positionAt(lines: LineCounter, offset: number): Position {
  const { line, col } = lines.linePos(offset);
  return { line: Math.max(1, line), column: Math.max(1, col) };
}

/**
 * Parses in steps of our own, so that a hostile text is left as soon as it shows itself: the library would go on to collect
 * a million errors, or run out of stack.
 */
function compose(text: string, lines: LineCounter, problems: ProblemList): Document.Parsed<ParsedNode> | null {
  const parser = new Parser(lines.addNewLine);
  const tokens: CST.Token[] = [];
  let errors = 0;
  const collect = (made: Iterable<CST.Token>): void => {
    for (const token of made) {
      if (token.type === 'error') errors++;
      tokens.push(token);
    }
  };
  lines.addNewLine(0);
  for (const lexeme of new Lexer().lex(text)) {
    collect(parser.next(lexeme));
    if (parser.stack.length > deepest + 2) {
      problems.add(positionAt(lines, parser.offset - 1), `this is nested more than ${deepest} levels deep`);
      return null;
    }
    if (errors > mostSyntaxErrors) {
      problems.add(
        positionAt(lines, parser.offset - 1),
        `there are more than ${mostSyntaxErrors} syntax errors up to here`,
      );
      return null;
    }
  }
  collect(parser.end());
  const composer = new Composer({ merge: false, uniqueKeys: false, prettyErrors: false, logLevel: 'silent' });
  let document: Document.Parsed<ParsedNode> | null = null;
  for (const each of composer.compose(tokens, true, text.length)) {
    if (document !== null) {
      problems.add(positionAt(lines, each.range[0]), 'a second YAML document begins here; keep one, without ---');
      return null;
    }
    document = each as Document.Parsed<ParsedNode>;
  }
  return document;
}

function reportSyntax(document: Document.Parsed<ParsedNode>, lines: LineCounter, problems: ProblemList): void {
  // What follows at the same place is a consequence of the first.
  const seen = new Set<number>();
  const errors = [...document.errors, ...document.warnings].filter((error) => {
    const fresh = !seen.has(error.pos[0]);
    seen.add(error.pos[0]);
    return fresh;
  });
  for (const error of errors.slice(0, mostSyntaxErrors)) {
    problems.add(positionAt(lines, error.pos[0]), shown(syntaxMessage(error.code, error.message), 300));
  }
  const rest = errors[mostSyntaxErrors];
  if (rest !== undefined) {
    problems.add(
      positionAt(lines, rest.pos[0]),
      `and ${counted(errors.length - mostSyntaxErrors, 'more syntax error')}`,
    );
  }
}

function syntaxMessage(code: string, message: string): string {
  switch (code) {
    case 'TAB_AS_INDENT':
      return 'a tab cannot indent YAML; use spaces';
    case 'TAG_RESOLVE_FAILED':
      return `${message.replace(/^Unresolved tag: /, 'unknown tag ')}; a workflow file has no tags`;
    case 'BLOCK_AS_IMPLICIT_KEY':
      return 'a second ":" begins a mapping here; put the text in quotes, or the mapping on lines of its own';
    default:
      return unclosed(message) ?? `YAML: ${message.charAt(0).toLowerCase()}${message.slice(1)}`;
  }
}

/** The library words these in the terms of its grammar. */
function unclosed(message: string): string | null {
  if (/^Missing closing ['"]quote/.test(message)) return 'a text in quotes is not closed before here';
  const bracket = /^Flow .*end with a ([\]}])$/.exec(message)?.[1];
  if (bracket === undefined) return null;
  return `a "${bracket === ']' ? '[' : '{'}" before here is not closed with "${bracket}"`;
}

/** Makes the tree, with aliases put in by reference, so that an alias of an alias of an alias costs nothing. */
class TreeBuilder {
  private readonly lines: LineCounter;
  private readonly problems: ProblemList;
  private readonly anchors = new Map<string, YamlNode | 'open'>();
  /** What a node counts for where an alias repeats it. */
  private readonly extents = new Map<YamlNode, { readonly size: number; readonly height: number }>();
  private aliased = 0;
  private tooLarge = false;

  constructor(lines: LineCounter, problems: ProblemList) {
    this.lines = lines;
    this.problems = problems;
  }

  build(node: ParsedNode | null, at: Position, depth: number): YamlNode {
    const position = node === null ? at : positionAt(this.lines, node.range[0]);
    if (isAlias(node)) return this.follow(node.source, position, depth);
    if (depth > deepest) {
      this.problems.add(position, `this is nested more than ${deepest} levels deep`);
      return nothing(position);
    }
    const anchor = node?.anchor;
    if (anchor !== undefined) this.anchors.set(anchor, 'open');
    const made = this.buildFresh(node, position, depth);
    if (anchor !== undefined) this.anchors.set(anchor, made);
    return made;
  }

  private follow(name: string, position: Position, depth: number): YamlNode {
    const target = this.anchors.get(name);
    if (target === undefined || target === 'open') {
      const why =
        target === undefined ? `no anchor &${shown(name)} stands before it` : 'it stands inside of what it repeats';
      this.problems.add(position, `the alias *${shown(name)} cannot be used: ${why}`);
      return nothing(position);
    }
    const { size, height } = this.extents.get(target) ?? { size: 1, height: 1 };
    if (depth + height - 1 > deepest) {
      this.problems.add(position, `with the alias *${shown(name)}, this is nested more than ${deepest} levels deep`);
      return nothing(position);
    }
    this.aliased += size;
    if (this.aliased > mostAliasedValues && !this.tooLarge) {
      this.tooLarge = true;
      this.problems.add(
        position,
        `the aliases of the file stand for more than ${mostAliasedValues} values; write fewer of them`,
      );
    }
    return target;
  }

  private buildFresh(node: ParsedNode | null, position: Position, depth: number): YamlNode {
    let size = 1;
    let height = 1;
    const child = (value: ParsedNode | null, at: Position): YamlNode => {
      const made = this.build(value, at, depth + 1);
      const extent = this.extents.get(made);
      size += extent?.size ?? 1;
      height = Math.max(height, 1 + (extent?.height ?? 1));
      return made;
    };
    let made: YamlNode;
    if (isSeq(node)) {
      made = { kind: 'list', items: node.items.map((item) => child(item as ParsedNode | null, position)), position };
    } else if (isMap(node)) {
      made = { kind: 'map', entries: this.buildEntries(node, position, child), position };
    } else {
      made = isScalar(node) ? scalar(node.value, node.source, position) : nothing(position);
    }
    this.extents.set(made, { size, height });
    return made;
  }

  private buildEntries(
    node: YAMLMap,
    position: Position,
    child: (value: ParsedNode | null, at: Position) => YamlNode,
  ): YamlEntry[] {
    const entries: YamlEntry[] = [];
    const seen = new Map<string, Position>();
    for (const pair of node.items) {
      const key = this.readKey(pair.key as ParsedNode | null, position);
      const value = child(pair.value as ParsedNode | null, key?.keyPosition ?? position);
      if (key === null) continue;
      const earlier = seen.get(key.key);
      if (earlier !== undefined) {
        this.problems.add(
          key.keyPosition,
          `${quote(key.key)} is already set in line ${earlier.line}; a key may stand once`,
        );
        continue;
      }
      seen.set(key.key, key.keyPosition);
      entries.push({ ...key, value });
    }
    return entries;
  }

  private readKey(node: ParsedNode | null, at: Position): { key: string; keyPosition: Position } | null {
    const keyPosition = node === null ? at : positionAt(this.lines, node.range[0]);
    const key = isAlias(node)
      ? this.follow(node.source, keyPosition, 1)
      : isScalar(node)
        ? scalar(node.value, node.source, keyPosition)
        : null;
    if (key === null || key.kind !== 'scalar') {
      this.problems.add(keyPosition, 'a key has to be a text');
      return null;
    }
    if (node !== null && !isAlias(node) && node.anchor !== undefined) this.anchors.set(node.anchor, key);
    if (key.text === '<<') {
      this.problems.add(
        keyPosition,
        'merge keys (<<) are not supported; write the keys out, or repeat a whole value with an alias',
      );
      return null;
    }
    return { key: key.text, keyPosition };
  }
}

function scalar(value: unknown, source: string | undefined, position: Position): YamlScalar {
  switch (typeof value) {
    case 'string':
      return { kind: 'scalar', value, text: value, position };
    case 'number':
    case 'boolean':
      return { kind: 'scalar', value, text: source ?? String(value), position };
    default:
      return { ...nothing(position), text: source ?? '' };
  }
}

function nothing(position: Position): YamlScalar {
  return { kind: 'scalar', value: null, text: '', position };
}

/** Finds the value of a key. */
export function valueAt(map: YamlMap, key: string): YamlNode | undefined {
  return map.entries.find((entry) => entry.key === key)?.value;
}

/** Absent and empty (`key:` and nothing more) are the same. */
export function isAbsent(node: YamlNode | undefined): boolean {
  return node === undefined || (node.kind === 'scalar' && node.value === null);
}

/** Whether a mapping says something under a key. */
export function has(map: YamlMap, key: string): boolean {
  return !isAbsent(valueAt(map, key));
}

/** What a node is, for messages: `a list`. */
export function describeNode(node: YamlNode): string {
  if (node.kind !== 'scalar') return node.kind === 'list' ? 'a list' : 'a mapping';
  if (node.value === null) return 'nothing';
  if (typeof node.value === 'string') return 'text';
  return typeof node.value === 'number' ? 'a number' : node.text;
}
