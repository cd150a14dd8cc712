import { ApplicationFailure, CancelledFailure } from '@temporalio/activity';
import { WindlassError } from '../model/index.ts';
import { forHistory } from './history.ts';

const secret = 'hunter22-in-an-error';
const lines: unknown[] = [];
const log = { warn: (...line: unknown[]) => void lines.push(line) };
const by = { activity: 'runNode', log, isAway: () => false };

test.each([
  ['an error of a library', new TypeError(`cannot read ${secret}`)],
  ['an error of ours', new WindlassError('internal', `git said ${secret}`, { hint: secret })],
  ['an error with a cause', new Error('x', { cause: new Error(secret) })],
  ['what is no error', secret],
])('a history does not get the text of %s, which the log has', (_, thrown) => {
  const failure = forHistory(thrown, by);
  expect(failure).toBeInstanceOf(ApplicationFailure);
  const { message, stack, cause, details } = failure as ApplicationFailure;
  expect(JSON.stringify([message, stack, cause, details])).not.toContain(secret);
  expect((failure as ApplicationFailure).nonRetryable).not.toBe(true);
});

test('a history gets failures that were made for it, and cancellations, as they are', () => {
  for (const failure of [ApplicationFailure.nonRetryable('ended before it began', 'ended'), new CancelledFailure('x')])
    expect(forHistory(failure, by)).toBe(failure);
});
