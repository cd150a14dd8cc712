/** Makes a call ready to run its tool: values, state, source and work directory. */
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { EffectiveVariable, Journal, NodeOutcome, NodeSnapshot, Stage, VariableLevel } from '../model/index.ts';
import { isReadOnly, WindlassError } from '../model/index.ts';
import { removeToolOutput } from '../tools/index.ts';
import type { StopReason } from '../process/index.ts';
import type { StackRun } from '../tools/index.ts';
import { credentialsOf, watchedSources } from '../sources/index.ts';
import type { CrashNotes, FailingCall, NodeCall } from './call.ts';
import { toolEnvironment } from './environment.ts';
import { openFlow } from './flow.ts';
import { historyMessage } from './history.ts';
import type { NodeValues, StateGrant } from './host.ts';
import type { Preparation } from './preparation.ts';

const defaultTimeoutSeconds = 24 * 3600;
/** How often the progress of a tool is written down; nodes that are done sooner write none. */
const progressEveryMs = 1000;
/** Levels at which a value is meant for one stack or run. */
const ownLevels: ReadonlySet<VariableLevel> = new Set(['node', 'file', 'deployment']);

export type OpenedCall =
  { readonly status: 'ready'; readonly call: NodeCall } | { readonly status: 'over'; readonly outcome: NodeOutcome };

/** A call that has begun. */
export interface StartedCall extends FailingCall {
  readonly preparation: Preparation;
}

export async function openCall(started: StartedCall): Promise<OpenedCall> {
  const { records, input, begin } = started;
  const refused = await refuseUnverified(started);
  if (refused !== null) return { status: 'over', outcome: refused };
  const opening = await records.open({ mode: input.mode });
  switch (opening.kind) {
    case 'unchanged':
      await records.end({ status: 'succeeded', ran: false, changedOutputs: false });
      return { status: 'over', outcome: { status: 'succeeded', changedOutputs: false, ran: false } };
    case 'slower': {
      const message = 'waits, because its account has asked for slower calls';
      const { afterMs, account } = opening;
      await records.end({ status: 'retrying', error: { class: 'quota', message }, wait: { afterMs, account } });
      return { status: 'over', outcome: { status: 'retry', afterMs, message, uncounted: true } };
    }
    case 'ready':
      if (begin.snapshot === null)
        throw new WindlassError('internal', `"${begin.alias}" has no snapshot to run`, { class: 'internal' });
      return { status: 'ready', call: await prepareCall(started, begin.snapshot, opening) };
  }
}

async function prepareCall(
  started: StartedCall,
  snapshot: NodeSnapshot,
  { values, grant }: { readonly values: NodeValues; readonly grant: StateGrant | null },
): Promise<NodeCall> {
  const { deps, input, begin, masker } = started;
  for (const variable of values.variables) if (variable.sensitive) masker.addValue(variable.value);
  if (grant !== null) masker.add(grant.token);
  const crash: CrashNotes = { cutOff: null };
  const grantId = grant?.id ?? null;
  const environment = values.variables.filter((variable) => variable.kind === 'environment');
  const credentials = credentialsOf(snapshot.source, environment);
  const progress = progressOf(started);
  const sources = watchedSources(deps.sources, { signal: started.signal, say: progress });
  const source = await sources.checkout(snapshot.source, snapshot.commit, { credentials });
  const workDirectory = chooseWorkDirectory(started);
  const run: StackRun = {
    id: `${input.deploymentId}/${input.index}`,
    environmentId: begin.environment_id,
    type: snapshot.type,
    onlyReads: isReadOnly(input.action),
    sourceDirectory: source,
    path: snapshot.source.path,
    workDirectory,
    isolation: deps.isolation,
    workspace: snapshot.workspace,
    config: snapshot.config,
    variables: toolVariables(values.variables),
    environment: toolEnvironment({ begin, key: started.key, snapshot, input, workDirectory }, values.variables),
    state: grant && { address: grant.address, username: grant.id, password: grant.token },
    timeoutMs: (snapshot.timeoutSeconds ?? input.timeoutSeconds ?? defaultTimeoutSeconds) * 1000,
    ...watchStages(started, { workDirectory, grantId, crash }),
    progress,
    signal: input.mode === 'settle' ? AbortSignal.abort('abort' satisfies StopReason) : started.signal,
  };
  const flow = await openFlow(source, snapshot, { run, action: input.action, masker });
  const runner = deps.runners.get(snapshot.type);
  return { ...started, snapshot, values, runner: flow?.wrap(runner) ?? runner, flow, run, grantId, crash };
}

function toolVariables(variables: readonly EffectiveVariable[]): StackRun['variables'] {
  return variables
    .filter((variable) => variable.kind === 'tool')
    .map((variable) => ({ ...variable, own: ownLevels.has(variable.level) }));
}

/** Stages are made durable before their first process, and what is logged belongs to the one that was entered last. */
function watchStages(
  { deps, records, begin, log, preparation }: StartedCall,
  call: { readonly workDirectory: string; readonly grantId: string | null; readonly crash: CrashNotes },
): Pick<StackRun, 'log' | 'enter'> {
  let stage: Stage = 'prepare';
  const journal = (next: Stage, changes: boolean): Journal => ({
    open: true,
    stage: next,
    changes,
    workerId: deps.worker.id,
    host: deps.worker.host,
    bootId: deps.worker.bootId,
    workDirectory: call.workDirectory,
    grantId: call.grantId,
    ...(call.crash.cutOff === null || changes ? {} : { cutOff: call.crash.cutOff }),
  });
  return {
    log: (text) => log.write(stage, text),
    enter: async (next, evidence) => {
      stage = next;
      if (evidence?.changes === true || next === 'hooks') preparation.over();
      const evidenceOf = (next === 'recover' ? begin.journal : null) ?? journal(next, evidence?.changes ?? false);
      await records.enter(next, evidenceOf);
    },
  };
}

function progressOf({ records }: StartedCall): (text: string) => void {
  let keptMs = Date.now();
  return (text) => {
    const keep = Date.now() - keptMs >= progressEveryMs;
    if (keep) keptMs = Date.now();
    void records.progress(text, keep).catch(() => undefined);
  };
}

/**
 * What a killed tool made last may be in no state, so a deploy may make it a second time: a person looks first. A destroy
 * makes nothing, and a plan that was approved meanwhile was looked at.
 */
async function refuseUnverified({ records, input, begin }: StartedCall): Promise<NodeOutcome | null> {
  const mark = begin.state_unverified;
  if (mark === null || input.action !== 'deploy' || input.mode !== 'run' || begin.journal?.open === true) return null;
  const name = begin.parent_id === null ? begin.entity_name : `${begin.entity_name}/${begin.alias}`;
  await records.end({
    status: 'failed',
    error: {
      class: 'tool',
      message: `the state of "${begin.alias}" is unverified, so it may be made a second time: ${mark.reason}`,
      hint: `look at what really exists, then: windlass state verify "${name}" --reason "…" and windlass resume "${begin.entity_name}"`,
    },
  });
  return { status: 'failed', class: 'tool', message: historyMessage('tool'), changedState: false };
}

/** What the tools have printed is removed; of a read the whole directory, since nobody comes back to it. */
export async function cleanUpWorkDirectory({ input, run }: NodeCall): Promise<void> {
  if (isReadOnly(input.action)) await rm(run.workDirectory, { recursive: true, force: true });
  else await removeToolOutput(run.workDirectory);
}

/**
 * Where the tool works on this machine. What another worker of this machine has left unfinished is taken over where it
 * lies. Each read has a directory of its own: it must not disturb the one that applies use, nor a read beside it.
 */
function chooseWorkDirectory({ deps, begin, input }: StartedCall): string {
  const name = isReadOnly(input.action) ? `${begin.environment_id}.${input.deploymentId}` : begin.environment_id;
  const { journal } = begin;
  const { host, bootId } = deps.worker;
  const left = journal !== null && journal.open && journal.host === host && journal.bootId === bootId;
  return left && existsSync(journal.workDirectory) ? journal.workDirectory : join(deps.workDirectory, name);
}
