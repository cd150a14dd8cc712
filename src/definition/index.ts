export {
  approvalInRequest,
  approvalNeeded,
  approvalSettings,
  approvalSettingsWithin,
  insideBounds,
  insideEnvelope,
  waiverRefusal,
} from './approval.ts';
export type { ApprovalAnswer, ApprovalSettings, ApprovalSources, EnvelopeAnswer, GivenBounds } from './approval.ts';
export { resolveBinding, parseInputTemplate } from './bindings.ts';
export type { OutputValue, ParsedTemplate, ResolvableBinding, ResolvedBinding } from './bindings.ts';
export { compensationGraph } from './compensation-graph.ts';
export { fromAnswer, packGraph, toAnswer, unpackGraph } from './packed-graph.ts';
export { cronProblem, nextRuns, timezoneProblem } from './cron.ts';
export { hookSteps, parseCustomFlow } from './custom-flow.ts';
export type {
  CustomFlow,
  CustomFlowFile,
  HookCommand,
  HookShell,
  HookStep,
  ParsedCustomFlow,
  StepHooks,
} from './custom-flow.ts';
export { formatDuration, parseDuration } from './duration.ts';
export type { ParsedDuration } from './duration.ts';
export { workflowStatus } from './environment-status.ts';
export type { NodeTally } from './environment-status.ts';
export { diffGraphs } from './graph-diff.ts';
export type { DiffNode, GraphDiff, Rename } from './graph-diff.ts';
export { GraphRun } from './graph-run.ts';
export { currentNotice, heldByDependents, nodeExpiryAfterRun, nodeExpirySteps, nodeTtl } from './node-expiry.ts';
export type { ExpiringNode, ExpiryNotice, NodeExpirySteps } from './node-expiry.ts';
export { decodeStates, isLast } from './node-states.ts';
export type { GraphCounts, NodeState } from './node-states.ts';
export {
  areUpstream,
  dedupeNeeds,
  downstreamOf,
  findCycles,
  longestPath,
  reverseGraph,
  topologicalOrder,
  upstreamOf,
} from './graph.ts';
export type { GraphNode, LongestPath, TopologicalOrder } from './graph.ts';
export { canonicalJson, inputHash } from './input-hash.ts';
export { destroyRetryMs } from './expiry.ts';
export { interpolate, textsOf } from './interpolation.ts';
export type { Interpolated } from './interpolation.ts';
export { matchPattern, patternProblem } from './pattern.ts';
export { steersTools } from './steering-names.ts';
export { flattenWorkflow } from './nesting.ts';
export { levelProblem } from './nesting-levels.ts';
export type { WorkflowLevel } from './nesting-levels.ts';
export type { FlatNode, FlatWorkflow, NestedWorkflow } from './nesting.ts';
export { aliasInside, deepestNesting, innerAlias, isInside, isMeant } from './node-path.ts';
export type { PlacedNode } from './node-path.ts';
export { positionOf } from './positions.ts';
export { formatProblem, formatProblems } from './problems.ts';
export { checkAgainstProject } from './project-checks.ts';
export type { TemplateName } from './project-checks.ts';
export { unknownAliases } from './request-aliases.ts';
export { neverRetried, retriedByDefault, retryDecision } from './retry.ts';
export type { FailedTry, RetryDecision } from './retry.ts';
export { asPlan, selectForDeploy, selectForDestroy, selectForPlan, selectForReading } from './run-selection.ts';
export type { Choice, SelectableNode, Selection } from './run-selection.ts';
export { checkSourcePath, repositoryProblem } from './source-path.ts';
export type { CheckedPath } from './source-path.ts';
export { didYouMean, listed, nearest, quote } from './text.ts';
export { expiryAfterDeploy, nextTtlMoment, restartsTtl, ttlProblem, ttlWarningsMs, warningsStillGiven } from './ttl.ts';
export type { TtlLimits, TtlMoment } from './ttl.ts';
export { compensatingAction } from './compensating-action.ts';
export { describeType, readValue, typeOfValue, writeValue } from './values.ts';
export type { TypedValue } from './values.ts';
export { checkNodeVariables } from './variable-checks.ts';
export { resolveVariables } from './variables.ts';
export type { LevelVariable, ResolvedVariables, VariableLayer } from './variables.ts';
export { isEnv0FileName, mostNodes, parseWorkflowFile } from './workflow-file.ts';
export type { ParsedWorkflowFile, WorkflowFileOptions } from './workflow-file.ts';
export { retryText, waitingTexts } from './waiting.ts';
