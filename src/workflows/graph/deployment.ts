import {
  ActivityFailure,
  allHandlersFinished,
  CancellationScope,
  condition,
  continueAsNew,
  defineSignal,
  defineUpdate,
  isCancellation,
  patched,
  rootCause,
  setCurrentDetails,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import { controlRefusal, isEnding } from '../../definition/control-rules.ts';
import type { NodeSituation } from '../../definition/control-rules.ts';
import { compensationGraph } from '../../definition/compensation-graph.ts';
import { GraphRun } from '../../definition/graph-run.ts';
import { fromAnswer } from '../../definition/packed-graph.ts';
import type { DeploymentStatus } from '../../model/status.ts';
import type {
  ControlMessage,
  ControlRequest,
  DeploymentOutcome,
  DeploymentState,
  DeploymentWorkflowInput,
  PlaceNews,
  ResolvedRun,
  RunNode,
  StopMode,
} from '../../model/orchestration.ts';
import { deploymentMessages } from '../../model/orchestration.ts';
import { actsByRecord } from '../by-record.ts';
import { NodeChildren } from './node-children.ts';
import { records, resolveDeployment } from '../proxies.ts';
import { showStatus, upsertStatus } from '../search-attributes.ts';
import { endingOf, isRefused, refuse } from '../stopping.ts';
import { pendingMessagesProcessed } from '../pending-messages.ts';

const controlUpdate = defineUpdate<void, [ControlMessage]>(deploymentMessages.control);
const makeWaySignal = defineSignal<[]>(deploymentMessages.makeWay);
const placeSignal = defineSignal<[PlaceNews]>(deploymentMessages.place);

/** Events and bytes after which a run of the workflow hands over to the next; Temporal warns at 10,240 events and 10 MB. */
const handOverEvents = 6000;
const handOverBytes = 7_000_000;
/** Updates of nodes in one call. */
const mostUpdates = 2000;

/** One run of an environment: starts each node when what it needs has succeeded, and knows how a run is stopped. */
export async function deployment(input: DeploymentWorkflowInput): Promise<DeploymentOutcome> {
  const run = new DeploymentRun(input);
  setHandler(controlUpdate, (message) => run.control(message), { validator: (message) => run.validate(message) });
  setHandler(makeWaySignal, () => run.makeWay());
  setHandler(placeSignal, (news) => run.queuePlaceNews(news));
  // An operator's cancel in Temporal: what is done about it must not be cancelled, too.
  void CancellationScope.current().cancelRequested.catch(() =>
    CancellationScope.nonCancellable(() => run.stopByOperator()),
  );
  return CancellationScope.nonCancellable(() => run.execute());
}

class DeploymentRun {
  private readonly input: DeploymentWorkflowInput;
  private stop: StopMode | null;
  private paused: boolean;
  private compensating: boolean;
  private changed = true;
  private ended = false;
  private resolved: ResolvedRun | null = null;
  /** Open while the run is read and checked for the first time: nothing of it has begun. */
  private resolving: CancellationScope | null = null;
  private graph: GraphRun | null = null;
  private children: NodeChildren | null = null;
  private recording: Promise<void> = Promise.resolve();
  /** News of places that came in while there was no graph, or its turn had not come. */
  private placeNews: PlaceNews[] = [];

  constructor(input: DeploymentWorkflowInput) {
    this.input = input;
    this.stop = input.state?.stop ?? null;
    this.paused = input.state?.paused ?? false;
    this.compensating = input.state?.compensating ?? false;
  }

  async execute(): Promise<DeploymentOutcome> {
    const resolving = new CancellationScope();
    if (this.input.state === undefined) this.resolving = resolving;
    try {
      this.resolved = fromAnswer(await resolving.run(() => resolveDeployment(this.input)));
    } catch (error) {
      if (this.stop !== null && isCancellation(error))
        return this.finish(endingOf(this.stop), 'stopped before anything of it had begun');
      // Nobody has asked for this run, or not for such a one: its record, if there is any, is none of ours.
      if (!(error instanceof ActivityFailure) || isRefused(error)) throw error;
      return this.finish('failed', rootCause(error) ?? error.message);
    } finally {
      this.resolving = null;
    }
    const resolved = this.resolved;
    if (!this.compensating) {
      await this.runGraph(resolved, resolved.nodes, this.input.state);
      if (!this.mustCompensate(resolved)) return this.finish(this.forwardStatus());
      this.compensating = true;
    }
    return this.compensate(resolved);
  }

  private async compensate(resolved: ResolvedRun): Promise<DeploymentOutcome> {
    const { deploymentId } = this.input;
    const carried = this.input.state?.compensating === true ? this.input.state : undefined;
    if (carried === undefined) await records.setDeploymentStatus({ deploymentId, status: 'rollingBack' });
    const undo = new Map((await records.planCompensation({ deploymentId })).map((node) => [node.index, node.action]));
    const graph = await this.runGraph(resolved, compensationGraph(resolved.nodes, undo), carried);
    const { failed, cancelled, succeeded } = graph.counts();
    const wanted = [...undo.values()].filter((action) => action !== 'keep').length;
    const undone = failed === 0 && cancelled === 0 && succeeded === wanted;
    return this.finish(
      undone ? 'rolledBack' : 'rollbackFailed',
      undone ? undefined : `${wanted - succeeded} of ${wanted} nodes could not be taken back`,
    );
  }

  /** Runs one graph to its end; continues as new on the way when it is large. */
  private async runGraph(
    resolved: ResolvedRun,
    nodes: readonly RunNode[],
    carried: DeploymentState | undefined,
  ): Promise<GraphRun> {
    const graph = new GraphRun(nodes, {
      maxParallel: resolved.maxParallel,
      ...(carried ? { state: carried.graph } : {}),
    });
    const children = new NodeChildren({ input: this.input, nodes, compensation: this.compensating });
    this.graph = graph;
    this.children = children;
    children.onSettled = (index, result) => {
      this.changed = true;
      switch (result.status) {
        case 'succeeded':
          graph.succeed(index, result.changedOutputs);
          break;
        case 'failed':
          graph.fail(index);
          break;
        case 'cancelled':
        case 'aborted':
          graph.cancel(index);
          this.record([{ index, status: result.status, message: result.message }]);
          break;
      }
    };
    children.onStarted = () => {
      if (this.isLong()) this.changed = true;
    };
    children.adopt(graph.runningIndexes());
    if (this.stop !== null && !this.compensating) children.stopAll(this.stop);

    for (;;) {
      this.changed = false;
      this.applyPlaceNews(graph, children);
      const halted = !this.compensating && resolved.onFailure !== 'continue' && graph.failed > 0;
      const handingOver = this.isLong();
      // What has begun goes on, also in a run that is paused or stops at its first failure.
      if (!handingOver) {
        for (const index of graph.returnable()) {
          graph.proceed(index);
          children.proceed(index);
        }
      }
      if (handingOver) {
        // Nothing new begins, so that every child that was asked for is surely started before the next run takes over.
      } else if (this.compensating || (this.stop === null && !this.paused && !halted)) {
        for (const index of graph.startable()) {
          graph.start(index);
          children.start(index);
        }
      } else if (this.stop !== null) {
        graph.holdPending({ kind: 'stopped', message: 'the run was stopped before its turn' });
      } else if (halted && graph.running === 0 && !this.paused) {
        graph.holdPending({ kind: 'failedAncestor', message: 'the run stops at the first failure' });
      }
      this.record(graph.takeUpdates());
      setCurrentDetails(this.details(graph));
      showStatus(this.status());
      if (this.isOver(graph)) {
        await this.recording;
        await condition(allHandlersFinished);
        // A retry may have come in meanwhile; from here to the end nothing is awaited before it is refused.
        if (this.isOver(graph)) return graph;
        continue;
      }
      if (handingOver && children.allStarted) await this.continueAsNew(graph);
      await condition(() => this.changed);
    }
  }

  /** A signal of a node, which is acted on in its turn. */
  queuePlaceNews(news: PlaceNews): void {
    this.placeNews.push(news);
    this.changed = true;
  }

  private applyPlaceNews(graph: GraphRun, children: NodeChildren): void {
    const all = this.placeNews;
    this.placeNews = [];
    for (const { index, place, compensation = false } of all) {
      // It has ended meanwhile, or belongs to the graph that was run before.
      if (compensation !== this.compensating || !children.isOpen(index)) continue;
      if (place === 'free') {
        if (graph.canWait(index)) graph.wait(index);
      } else if (graph.canAsk(index)) graph.ask(index);
      else children.proceed(index);
    }
  }

  /** A run that somebody has paused does not end with a failure: it waits for the repair, or to be continued as it is. */
  private isOver(graph: GraphRun): boolean {
    const awaitsRepair = this.paused && this.stop === null && !this.compensating && graph.failed > 0;
    return graph.finished && !awaitsRepair;
  }

  private mustCompensate(resolved: ResolvedRun): boolean {
    if (this.stop === 'rollback') return true;
    return this.stop === null && resolved.onFailure === 'rollback' && (this.graph?.counts().failed ?? 0) > 0;
  }

  private forwardStatus(): DeploymentStatus {
    const counts = this.graph?.counts();
    if (this.stop === 'abort') return 'aborted';
    if (this.stop === 'cancel') return 'cancelled';
    if ((counts?.failed ?? 0) > 0) return 'failed';
    return (counts?.cancelled ?? 0) > 0 ? 'cancelled' : 'succeeded';
  }

  private async finish(status: DeploymentStatus, message?: string): Promise<DeploymentOutcome> {
    this.ended = true;
    await this.recording;
    const outcome = await records.finishDeployment({
      deploymentId: this.input.deploymentId,
      status,
      ...(message === undefined ? {} : { message }),
    });
    upsertStatus(outcome.status);
    await condition(allHandlersFinished);
    return outcome;
  }

  /** Records what no tool activity records, in order, without holding up the graph. */
  private record(updates: Parameters<typeof records.recordNodes>[0]['updates']): void {
    if (updates.length === 0) return;
    const { deploymentId } = this.input;
    const whose = { deploymentId, ...(this.compensating ? { compensation: true as const } : {}) };
    // All nodes at once, as when most are left as they are, may be more than fits into a payload.
    const step = updates.length > mostUpdates && patched('records-in-parts') ? mostUpdates : updates.length;
    for (let from = 0; from < updates.length; from += step) {
      const part = updates.slice(from, from + step);
      this.recording = this.recording.then(() => records.recordNodes({ ...whose, updates: part }));
    }
  }

  private isLong(): boolean {
    const { historyLength, historySize } = workflowInfo();
    return historyLength > handOverEvents || historySize > handOverBytes;
  }

  private async continueAsNew(graph: GraphRun): Promise<void> {
    await this.recording;
    await condition(allHandlersFinished);
    if (this.changed) return;
    const state: DeploymentState = {
      graph: graph.state(),
      stop: this.stop,
      paused: this.paused,
      compensating: this.compensating,
    };
    await continueAsNew<typeof deployment>({ ...this.input, state });
  }

  /** As the records have it; `paused` goes before `running`. */
  private status(): 'rollingBack' | 'stopping' | 'paused' | 'running' {
    if (this.compensating) return 'rollingBack';
    if (this.stop !== null) return 'stopping';
    return this.paused ? 'paused' : 'running';
  }

  private details(graph: GraphRun): string {
    const counts = graph.counts();
    const words = {
      rollingBack: 'Rolling back',
      stopping: `Stopping (${this.stop})`,
      paused: 'Paused',
      running: 'Running',
    };
    return `**${words[this.status()]}**: ${counts.succeeded} done, ${counts.running} running, ${counts.pending} to go, ${counts.failed} failed, ${counts.skipped} skipped of ${counts.total}`;
  }

  validate(request: ControlRequest): void {
    const { ended, compensating, stop } = this;
    const node = request.kind === 'retry' || request.kind === 'skip' ? this.situationOf(request.alias) : null;
    const because = controlRefusal(request, { ended, compensating, stop, node });
    if (because !== null) refuse(because);
  }

  private situationOf(alias: string): NodeSituation | null {
    const index = this.indexOf(alias);
    if (this.graph === null || index === undefined) return null;
    return { canRetry: this.graph.canRetry(index), canSkip: this.graph.canSkip(index), open: this.isOpen(index) };
  }

  /** Acts on what is recorded of a request. The message only says which one it is, and is no order by itself. */
  async control(message: ControlMessage): Promise<void> {
    await pendingMessagesProcessed();
    if (!actsByRecord()) return this.actOn(message, false);
    const taken = await records.takeControl({
      deploymentId: this.input.deploymentId,
      requestId: message.requestId ?? null,
      said: message.kind,
    });
    switch (taken.kind) {
      case 'taken':
        // Something may have come in between.
        this.validate(taken.request);
        return this.actOn(taken.request, true);
      case 'refused':
        return refuse(taken.message);
      case 'done':
        return;
    }
  }

  /** `recorded`: what it means for the run is written down already. */
  private async actOn(request: ControlRequest, recorded: boolean): Promise<void> {
    switch (request.kind) {
      case 'retry':
      case 'skip': {
        const index = this.indexOf(request.alias);
        if (index === undefined || this.graph === null) return;
        if (isEnding(request, { open: this.isOpen(index) })) {
          // When it does not end now, somebody else was faster and it runs again already.
          if (!(await condition(() => !this.isOpen(index), '10 seconds'))) return;
          if (this.stop !== null || !this.graph.canRetry(index)) return;
        }
        if (request.kind === 'skip') this.graph.skip(index, request.by);
        else if (this.graph.canRetry(index)) this.graph.retry(index);
        else this.children?.resume(index);
        this.changed = true;
        return;
      }
      case 'pause':
      case 'continue':
        this.paused = request.kind === 'pause';
        this.changed = true;
        if (recorded) return;
        await records.setDeploymentStatus({
          deploymentId: this.input.deploymentId,
          status: 'running',
          paused: this.paused,
        });
        return;
      case 'cancel':
      case 'abort':
      case 'rollback':
        this.beginStop(request.kind);
        if (!recorded) await this.recordStop(request.kind);
        return;
    }
  }

  /** A run that changes the environment is due. */
  async makeWay(): Promise<void> {
    await pendingMessagesProcessed();
    const { deploymentId } = this.input;
    if (actsByRecord()) {
      if ((await records.makeWay({ deploymentId })).stop) this.beginStop('cancel');
      return;
    }
    if (this.beginStop('cancel')) await this.recordStop('cancel');
  }

  /** Somebody has cancelled the workflow in Temporal. */
  async stopByOperator(): Promise<void> {
    if (this.compensating || this.stop === 'abort') return;
    const recordFirst = actsByRecord();
    // Nodes look it up.
    if (recordFirst) await this.recordStop('abort');
    if (this.beginStop('abort') && !recordFirst) await this.recordStop('abort');
  }

  private isOpen(index: number): boolean {
    return this.children?.isOpen(index) === true;
  }

  /** False when it was being stopped like that before, or cannot be any more. */
  private beginStop(mode: StopMode): boolean {
    if (this.compensating || this.stop === mode) return false;
    this.stop = mode;
    this.changed = true;
    this.children?.stopAll(mode);
    if (this.resolving !== null && patched('stop-while-resolving')) this.resolving.cancel();
    return true;
  }

  private recordStop(stopMode: StopMode): Promise<void> {
    return records.setDeploymentStatus({
      deploymentId: this.input.deploymentId,
      status: 'stopping',
      paused: false,
      stopMode,
    });
  }

  private indexOf(alias: string): number | undefined {
    const index = this.resolved?.nodes.findIndex((node) => node.alias === alias) ?? -1;
    return index < 0 ? undefined : index;
  }
}
