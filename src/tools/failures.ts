import { posix } from 'node:path';
import type { ErrorClass, Problem, RunError } from '../model/index.ts';
import type { StopReason } from '../process/index.ts';

/** An error as a tool says it, or as it stands in what it printed for people. */
export interface Diagnostic {
  readonly severity: string;
  readonly summary: string;
  readonly detail: string;
  /** The resource it is about. */
  readonly address?: string | undefined;
  readonly range?:
    | { readonly filename: string; readonly start: { readonly line: number; readonly column: number } }
    | null
    | undefined;
}

/** What is known of a call that failed. */
export interface Failure {
  readonly diagnostics: readonly Diagnostic[];
  /** What the tool printed besides, such as its errors when it does not speak JSON. */
  readonly text: string;
  readonly code: number | null;
  readonly stopped: StopReason | null;
  /** What the tool did, such as `apply`. */
  readonly stage: string;
}

interface Rule {
  readonly class: ErrorClass;
  readonly pattern: RegExp;
}

/** First match wins, so the surest come first. Each is held by a real message in the tests. */
const rules: readonly Rule[] = [
  {
    class: 'stalePlan',
    pattern: /saved plan is stale|plan does not match the given state|plan file can no longer be applied/i,
  },
  {
    class: 'lock',
    pattern:
      /error (acquiring|locking) the state lock|error locking state|state (is )?already locked|state blob is already locked|workspace is already locked/i,
  },
  {
    class: 'quota',
    pattern:
      /\bthrottl|rate ?(limit )?exceeded|\brate limit|request ?limit ?exceeded|too ?many ?requests|\b429\b|quota|limit ?exceeded|insufficient\w*capacity|maximum number of \w+ (has been )?reached/i,
  },
  {
    class: 'credentials',
    pattern:
      /expired ?token|token (has |is |included in the request is )?(expired|invalid)|no valid credential|invalid ?client ?token|signature ?does ?not ?match|unrecognized ?client|auth ?failure|could not find default credentials|invalid_grant|invalid_client|oauth2: |\bAADSTS\d+|access ?denied|authorization ?failed|not authorized to|permission ?denied on|permission_denied|unauthenticated|unauthori[sz]ed|\b401\b|\b403\b|forbidden|invalid provider configuration.*credential|remote state endpoint (requires|invalid) auth|password authentication failed/i,
  },
  {
    class: 'definition',
    pattern:
      /^(unsupported (argument|attribute|block type|backend type|\w+ core)|missing (required argument|newline|name for|item separator|attribute)|unclosed|unterminated|argument or block definition required|invalid (block|expression|character|multi-line|reference|resource type|data source|function|template|value for (input )?variable|default value|variable|attribute name|provider local name|escape|argument name|index|operand|count argument|for_each argument|module|backend|type specification|assert|single-argument|legacy provider|workspace)|reference to undeclared|duplicate|no value for required variable|unreadable module|module (not found|source has changed)|no configuration files|call to unknown function|error in function call|incorrect (attribute value|condition) type|inconsistent conditional|self-referential|cycle:|resource (precondition|postcondition) failed|variables not allowed|extra characters|unsuitable value|circular|backend (type|configuration) changed|unsupported .* version|value for undeclared variable|invalid provider (registry host|source)|too many|not enough|zero assert|required (variable|plugins)|failed to (read|load) (module|variables)|module version requirements)/i,
  },
  {
    class: 'provider',
    pattern:
      /plugin (did not respond|error|crash)|failed to (install|query|instantiate|load plugin|obtain) provider|could not (retrieve|query|load) .*(provider|plugin)|provider produced|context deadline exceeded|i\/o timeout|tls handshake timeout|connection (reset|refused)|no such host|timeout while waiting|internal ?server ?error|service ?unavailable|bad gateway|\b50[0234]\b|unexpected eof|text file busy/i,
  },
];

const hints: Readonly<Record<ErrorClass, string>> = {
  definition: 'Correct the code or the variables, then resume the run.',
  credentials: 'Renew the credentials the stack runs with, or give them the missing permission, then resume the run.',
  quota: 'The account asks for less or slower calls: it is tried again later, or raise the limit.',
  lock: 'Somebody else works on this state, or left a lock. See who, and free it by hand only when they are gone.',
  stalePlan: 'The state has moved on since this plan was made: plan again.',
  provider: 'The provider or the service behind it failed. It may pass by itself; the log has the whole message.',
  tool: 'The log has everything the tool said.',
  timeout: 'Give the node a longer timeout, or find out what it waits for in the log.',
  cancelled: 'What it had begun may be half-made: a resume finishes it, a rollback takes it back.',
  internal: 'This is a fault of Windlass; the server log has more.',
};

function classOf(diagnostic: Diagnostic): ErrorClass | null {
  const { summary, detail, address, range } = diagnostic;
  for (const rule of rules) {
    if (rule.class === 'definition') {
      if (rule.pattern.test(summary)) return 'definition';
    } else if (rule.pattern.test(summary) || rule.pattern.test(detail)) return rule.class;
  }
  if (address !== undefined) return 'provider';
  return range ? 'definition' : null;
}

/** The errors in output for people: what follows each `Error:`. */
export function diagnosticsOf(text: string): Diagnostic[] {
  // eslint-disable-next-line no-control-regex
  const plain = text.replace(/\u001b\[[0-9;]*m/g, '').replace(/^[│╷╵ ]{0,2}/gm, '');
  const found: Diagnostic[] = [];
  for (const section of plain.split(/^(?=Error: )/m)) {
    const summary = /^Error: (.*)/.exec(section)?.[1];
    if (summary === undefined) continue;
    const place = /^ *on (.+?) line (\d+)/m.exec(section);
    const address = /^ *with (\S+?),?$/m.exec(section)?.[1];
    const detail = section
      .split('\n')
      .slice(1)
      .filter((line) => !/^ *(on .+ line \d+|with \S+,?$|\d+: )/.test(line))
      .join('\n')
      .trim();
    found.push({
      severity: 'error',
      summary: summary.trim(),
      detail,
      ...(address === undefined ? {} : { address }),
      range: place?.[1] && place[2] ? { filename: place[1], start: { line: Number(place[2]), column: 1 } } : null,
    });
  }
  return found;
}

const longestMessage = 500;

function oneLine(diagnostic: Diagnostic): string {
  const { address, summary, detail } = diagnostic;
  // The first paragraph is the reason; what follows is advice. A terminal may have broken its lines.
  const reason = detail
    .split(/\n\s*\n|\n\s*Lock Info:/)
    .map((paragraph) => paragraph.replace(/\s+/g, ' ').trim())
    .find((paragraph) => paragraph !== '')
    // Windlass calls the tool, so nobody can give it flags.
    ?.replace(/ Use a -var or -var-file command line argument to provide a value for this variable\.$/, '');
  const prefix = address === undefined ? '' : `${address}: `;
  const text = `${prefix}${summary}${reason === undefined || summary.includes(reason) ? '' : `: ${reason}`}`;
  const flat = text.replace(/\s+/g, ' ').trim();
  return flat.length > longestMessage ? `${flat.slice(0, longestMessage)}…` : flat;
}

/** A line of a range that is inside a file of ours says nothing to a user. */
function isUsers(diagnostic: Diagnostic): boolean {
  return !diagnostic.range?.filename.endsWith('windlass.auto.tfvars.json');
}

/** A file as a person finds it in the source, not as the tool sees it from the stack's directory. */
function inSource(filename: string, directory: string): string {
  return posix.isAbsolute(filename) ? filename : posix.join(directory, filename);
}

function toProblem(diagnostic: Diagnostic, directory: string): Problem {
  const range = isUsers(diagnostic) ? diagnostic.range : null;
  return {
    message: oneLine(diagnostic),
    ...(range ? { file: inSource(range.filename, directory), line: range.start.line, column: range.start.column } : {}),
  };
}

/** What the tool itself does not say about a failure. */
export interface FailureContext {
  /** Windlass keeps the state, so a refusal of it is no fault of the user's credentials. */
  readonly managed?: boolean | undefined;
  /** The stack's directory in its source. */
  readonly directory?: string | undefined;
}

const fencedPattern = /remote state endpoint (requires|invalid) auth|error saving state: HTTP error: 40[13]/i;

/**
 * Says what went wrong, in the words a user reads, and of which class it is.
 */
export function describeFailure(failure: Failure, { managed = false, directory = '' }: FailureContext = {}): RunError {
  const { stopped, code, stage } = failure;
  const errors = failure.diagnostics.filter((diagnostic) => diagnostic.severity === 'error');
  const all = errors.length > 0 ? errors : diagnosticsOf(failure.text);
  const problems = all.length > 1 ? { problems: all.slice(0, 50).map((one) => toProblem(one, directory)) } : {};
  if (stopped === 'timeout') {
    return {
      class: 'timeout',
      message: `${stage} did not end in time and was stopped`,
      hint: hints.timeout,
      ...problems,
    };
  }
  if (stopped !== null) {
    const message = `${stage} was interrupted, because the run was stopped`;
    return { class: 'cancelled', message, hint: hints.cancelled, ...problems };
  }
  const classed = all.map((diagnostic) => ({ diagnostic, class: classOf(diagnostic) }));
  // The error that decides most about what to do next speaks for all.
  const first =
    rules.map((rule) => classed.find((entry) => entry.class === rule.class)).find((entry) => entry !== undefined) ??
    classed[0];
  if (first === undefined) {
    const lastLine = failure.text.trim().split('\n').at(-1)?.trim() ?? '';
    const ending =
      code === null ? 'was killed' : code > 128 ? `was ended by signal ${code - 128}` : `ended with code ${code}`;
    return {
      class: 'tool',
      message: `${stage}: the tool ${ending}${lastLine === '' ? '' : `: ${lastLine.slice(0, longestMessage)}`}`,
      hint: hints.tool,
    };
  }
  const { diagnostic } = first;
  if (managed && (fencedPattern.test(diagnostic.summary) || fencedPattern.test(diagnostic.detail))) {
    return {
      class: 'cancelled',
      message: `${stage}: Windlass has taken this call's access to the state away`,
      hint: 'Its worker was believed dead, or the run was ended. Look at the deployment before you go on.',
    };
  }
  const errorClass = first.class ?? 'tool';
  const range = isUsers(diagnostic) ? diagnostic.range : null;
  return {
    class: errorClass,
    message: oneLine(diagnostic),
    ...(range ? { where: `${inSource(range.filename, directory)}:${range.start.line}` } : {}),
    hint: missingVariableHint(diagnostic) ?? hints[errorClass],
    ...problems,
  };
}

/** The tool advises to use its own flags, which nobody can give it here. */
function missingVariableHint({ summary, detail }: Diagnostic): string | undefined {
  if (!/no value for required variable/i.test(summary)) return undefined;
  const name = /variable "([^"]{1,200})"/.exec(detail)?.[1];
  return `Give it a value: windlass variable set ${name ?? 'NAME'}=VALUE --environment NAME, or under inputs or variables of the node in the workflow file; then resume the run.`;
}
