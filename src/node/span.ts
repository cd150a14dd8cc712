import type { NodeBegin, NodeOutcome, RunNodeInput } from '../model/index.ts';
import { inSpan, runSpan } from '../tracing/index.ts';

/** Carries out a call for a node in a span of its run's. What the tool printed and what values it had is not told. */
export function inNodeSpan(
  input: RunNodeInput,
  begin: NodeBegin,
  work: () => Promise<NodeOutcome>,
): Promise<NodeOutcome> {
  const attributes = {
    'windlass.deployment.id': input.deploymentId,
    'windlass.environment.id': begin.environment_id,
    'windlass.alias': begin.alias,
    'windlass.type': begin.snapshot?.type ?? '',
    'windlass.action': input.action,
    'windlass.mode': input.mode,
    'windlass.try': input.try,
  };
  const parent = runSpan(input.deploymentId, begin.traceparent);
  return inSpan(`node ${input.action}`, { attributes, parent }, async (span) => {
    const outcome = await work();
    span.set({ 'windlass.outcome': outcome.status });
    if (outcome.status === 'failed') span.fail(outcome.class);
    return outcome;
  });
}
