import { z } from 'zod';
import { assertNever } from '../../model/index.ts';
import type { ChangeCounts, ResourceAction, ResourceChange } from '../../model/index.ts';

const resourceSchema = z.object({ addr: z.string(), resource_type: z.string().default('') });
const countsSchema = z.object({
  add: z.number().default(0),
  change: z.number().default(0),
  remove: z.number().default(0),
  operation: z.string().default(''),
});

export const diagnosticSchema = z.object({
  severity: z.string(),
  summary: z.string(),
  detail: z.string().default(''),
  address: z.string().optional(),
  range: z.object({ filename: z.string(), start: z.object({ line: z.number(), column: z.number() }) }).nullish(),
  snippet: z.object({ context: z.string().nullish(), code: z.string(), start_line: z.number() }).nullish(),
});
export type Diagnostic = z.infer<typeof diagnosticSchema>;

export const outputValueSchema = z.object({
  sensitive: z.boolean().default(false),
  type: z.json().optional(),
  value: z.json().optional(),
});
export type OutputValue = z.infer<typeof outputValueSchema>;

/** One line of `-json` output. Kinds that are not listed are read for their message alone. */
const eventSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('version'), '@message': z.string() }),
  z.object({
    type: z.literal('planned_change'),
    '@message': z.string(),
    change: z.object({ resource: resourceSchema, action: z.string() }),
  }),
  z.object({
    type: z.literal('resource_drift'),
    '@message': z.string(),
    change: z.object({ resource: resourceSchema, action: z.string() }),
  }),
  z.object({ type: z.literal('change_summary'), '@message': z.string(), changes: countsSchema }),
  z.object({ type: z.literal('outputs'), '@message': z.string(), outputs: z.record(z.string(), outputValueSchema) }),
  z.object({ type: z.literal('diagnostic'), '@message': z.string(), diagnostic: diagnosticSchema }),
  z.object({
    type: z.enum(['apply_start', 'apply_complete', 'apply_errored']),
    '@message': z.string(),
    hook: z.object({ resource: resourceSchema, action: z.string() }),
  }),
]);
const anyEventSchema = z.object({ type: z.string().optional(), '@message': z.string().default('') });

/** What a run of the tool said, put together from its events. */
export interface ToolReport {
  readonly planned: ReadonlyMap<string, ResourceChange>;
  readonly drifted: ReadonlyMap<string, ResourceChange>;
  /** What the plan would do; null when it never got so far. */
  readonly planCounts: ChangeCounts | null;
  /** What was done; null when the apply did not end well. */
  readonly applyCounts: ChangeCounts | null;
  /** A resource began to be changed. */
  readonly applyStarted: boolean;
  readonly outputs: Readonly<Record<string, OutputValue>> | null;
  readonly diagnostics: readonly Diagnostic[];
}

export interface EventReader {
  /** Takes a piece of the tool's standard output. `fresh` false: it was logged before. */
  write(text: string, fresh: boolean): void;
  /** To be called when the tool has ended. */
  end(): ToolReport;
}

export function resourceAction(action: string): ResourceAction {
  switch (action) {
    case 'create':
    case 'update':
    case 'delete':
    case 'replace':
    case 'read':
      return action;
    case 'remove':
      return 'delete';
    default:
      return 'noop';
  }
}

/** A diagnostic as the tool prints it for people. */
export function describeDiagnostic(diagnostic: Diagnostic): string {
  const { severity, summary, detail, address, range, snippet } = diagnostic;
  const lines = [`${severity === 'error' ? 'Error' : 'Warning'}: ${summary}`];
  if (address !== undefined) lines.push(`  with ${address}`);
  if (range) {
    lines.push(`  on ${range.filename} line ${range.start.line}${snippet?.context ? `, in ${snippet.context}` : ''}:`);
    // A file of ours holds values of variables, which have no place in a log.
    if (snippet && !range.filename.endsWith('.tfvars.json')) {
      lines.push(...snippet.code.split('\n').map((code, index) => `  ${snippet.start_line + index}: ${code}`));
    }
  }
  if (detail !== '') lines.push(...detail.split('\n').map((line) => (line === '' ? '' : `  ${line}`)));
  return `${lines.join('\n')}\n`;
}

/** A line that never ends is cut here, so that a tool gone wild cannot fill the memory. */
const longestLine = 32 * 1024 * 1024;

export function createEventReader(options: {
  readonly onText: (text: string) => void;
  readonly onProgress: (text: string) => void;
}): EventReader {
  const planned = new Map<string, ResourceChange>();
  const drifted = new Map<string, ResourceChange>();
  /** Operations still to come for each planned resource: a replacement takes two. */
  const open = new Map<string, number>();
  const diagnostics: Diagnostic[] = [];
  let planCounts: ChangeCounts | null = null;
  let applyCounts: ChangeCounts | null = null;
  let outputs: Readonly<Record<string, OutputValue>> | null = null;
  let applyStarted = false;
  let rest = '';
  let lastPrefix: string | null = null;

  function progress(): void {
    const done = [...open.values()].filter((left) => left <= 0).length;
    options.onProgress(`${done} of ${open.size} resource${open.size === 1 ? '' : 's'}`);
  }

  function take(event: z.infer<typeof eventSchema>): string | null {
    switch (event.type) {
      case 'version':
        return event['@message'];
      case 'planned_change':
      case 'resource_drift': {
        const action = resourceAction(event.change.action);
        const { addr: address, resource_type: type } = event.change.resource;
        (event.type === 'planned_change' ? planned : drifted).set(address, { address, type, action });
        if (event.type === 'planned_change' && action !== 'noop' && action !== 'read') {
          open.set(address, action === 'replace' ? 2 : 1);
        }
        return event['@message'];
      }
      case 'change_summary': {
        const { add, change, remove, operation } = event.changes;
        const counts = { add, change, destroy: remove };
        if (operation === 'plan') planCounts = counts;
        else applyCounts = counts;
        return event['@message'];
      }
      case 'outputs':
        outputs = event.outputs;
        return null;
      case 'diagnostic':
        diagnostics.push(event.diagnostic);
        return describeDiagnostic(event.diagnostic);
      case 'apply_start':
        if (event.hook.action !== 'read') applyStarted = true;
        return event['@message'];
      case 'apply_complete': {
        const address = event.hook.resource.addr;
        const left = open.get(address);
        if (left !== undefined) {
          open.set(address, left - 1);
          progress();
        }
        return event['@message'];
      }
      case 'apply_errored':
        return event['@message'];
      default:
        return assertNever(event, 'event of the tool');
    }
  }

  function readable(line: string): string | null {
    if (!line.startsWith('{')) return line;
    let json: unknown;
    try {
      json = JSON.parse(line);
    } catch {
      return line;
    }
    const known = eventSchema.safeParse(json);
    if (known.success) return take(known.data);
    const other = anyEventSchema.safeParse(json);
    if (!other.success) return line;
    return other.data.type === 'refresh_complete' || other.data.type === 'apply_progress'
      ? null
      : other.data['@message'];
  }

  /**
   * The tool puts the resource in front of each line of a provisioner. Written once, the lines below it stay together:
   * easier to read, and a secret that is wrapped over them is still found.
   */
  function withoutRepeatedPrefix(log: string): string {
    const prefix = /^\S+(?: \(.+?\))?: \([a-z-]+\): /.exec(log)?.[0] ?? null;
    const repeated = prefix !== null && prefix === lastPrefix;
    lastPrefix = prefix;
    return repeated ? `  ${log.slice(prefix.length)}` : log;
  }

  function line(text: string, fresh: boolean): void {
    if (text.trim() === '') return;
    const log = readable(text.trimEnd());
    if (log === null || !fresh) return;
    const shown = withoutRepeatedPrefix(log);
    options.onText(shown.endsWith('\n') ? shown : `${shown}\n`);
  }

  return {
    write(text, fresh) {
      let start = 0;
      for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', start)) {
        line(rest + text.slice(start, end), fresh);
        rest = '';
        start = end + 1;
      }
      rest += text.slice(start);
      if (rest.length > longestLine) {
        if (fresh) options.onText(`${rest.slice(0, 2000)}… (line cut)\n`);
        rest = '';
      }
    },
    end() {
      line(rest, true);
      rest = '';
      return { planned, drifted, planCounts, applyCounts, applyStarted, outputs, diagnostics };
    },
  };
}
