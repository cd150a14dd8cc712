import { eventTypes } from '../../model/index.ts';
import type { EventType } from '../../model/index.ts';
import { makeEvent, at, startMs } from '../testing/records.test-support.ts';
import { sentenceOf } from './event.ts';

const say = (type: EventType, data: Parameters<typeof makeEvent>[2]['data']): string =>
  sentenceOf(makeEvent(1, type, { data }), startMs);

test('events are told as sentences', () => {
  expect(say('deployment.status', { status: 'rolledBack', number: 7, type: 'deploy', paused: false })).toBe(
    'deployment 7 (deploy) is rolled back',
  );
  expect(say('node.status', { index: 0, status: 'running', try: 2, action: 'destroy' })).toBe('destroy started, try 2');
  expect(say('node.stage', { stage: 'apply', compensation: true })).toBe('taking back: apply');
  expect(say('approval.requested', { counts: { add: 1, change: 0, destroy: 2 }, reason: 'the file asks' })).toBe(
    'waits for approval of 1 to add, 2 to destroy: the file asks',
  );
  expect(say('approval.decided', { decision: 'approve', by: 'ana', complete: false })).toBe(
    'approved by ana, more have to',
  );
  expect(say('environment.status', { status: 'active', lock: { by: 'ana', reason: 'migration', at: at(0) } })).toBe(
    'locked by ana: migration',
  );
  expect(say('environment.status', { status: 'active', lock: null })).toBe('unlocked');
  expect(say('environment.status', { status: 'deployInProgress' })).toBe('is deploy in progress');
  expect(say('ttl.changed', { expiresAt: at(7200), by: 'ana' })).toBe('ends in 2 h (2026-03-01 14:00), by ana');
  expect(say('schedule.skipped', { kind: 'deploy', message: 'a run was in progress' })).toBe(
    'the deploy of the schedule was skipped: a run was in progress',
  );
  expect(say('drift.result', { status: 'drifted', resources: 1, message: null })).toBe('has drifted: 1 resource');
});

test('an event that is not understood is shown as it is, on one line', () => {
  for (const type of eventTypes) expect(() => say(type, { status: 7, stage: ['x'], lock: 'no' })).not.toThrow();
  expect(say('node.status', { status: 'levitating' })).toBe('node.status {"status":"levitating"}');
  expect(say('environment.warning', { message: 'two\nlines\u001b[31m' })).toBe('warning: two lines');
});
