import type { ControlRequest } from '../model/index.ts';
import { controlRefusal } from './control-rules.ts';
import type { NodeSituation, RunSituation } from './control-rules.ts';

const running: RunSituation = { ended: false, compensating: false, stop: null, node: null };
const node = (changes: Partial<NodeSituation> = {}): RunSituation => ({
  ...running,
  node: { canRetry: false, canSkip: false, open: false, ...changes },
});
const retry = (recorded?: 'failed' | 'paused' | 'succeeded'): ControlRequest => ({
  kind: 'retry',
  alias: 'eks',
  by: 'ada',
  ...(recorded === undefined ? {} : { recorded }),
});

test.each<[string, ControlRequest, RunSituation, string | null]>([
  ['a pause', { kind: 'pause', by: 'ada' }, running, null],
  ['a pause of a run that is being stopped', { kind: 'pause', by: 'ada' }, { ...running, stop: 'cancel' }, 'stopped'],
  ['an abort after a cancel', { kind: 'abort', by: 'ada' }, { ...running, stop: 'cancel' }, null],
  ['a cancel after an abort', { kind: 'cancel', by: 'ada' }, { ...running, stop: 'abort' }, 'already (abort)'],
  ['anything of a run that is over', { kind: 'rollback', by: 'ada' }, { ...running, ended: true }, 'has ended'],
  ['anything of a rollback', { kind: 'abort', by: 'ada' }, { ...running, compensating: true }, 'rolled back'],
  ['a retry of nothing', retry(), running, 'no node "eks"'],
  ['a retry of what has failed', retry('failed'), node({ canRetry: true }), null],
  ['a retry of what waits for a repair', retry('paused'), node({ open: true }), null],
  ['a retry of what is recorded as failed and about to be heard of', retry('failed'), node({ open: true }), null],
  ['a retry of what has succeeded', retry('succeeded'), node({ open: true }), 'not in a state for retry'],
  ['a skip of what runs', { kind: 'skip', alias: 'eks', by: 'ada' }, node({ open: true }), 'not in a state for skip'],
  ['a skip of what is pending', { kind: 'skip', alias: 'eks', by: 'ada' }, node({ canSkip: true }), null],
])('%s', (_, request, situation, refusal) => {
  const because = controlRefusal(request, situation);
  if (refusal === null) expect(because).toBeNull();
  else expect(because).toContain(refusal);
});
