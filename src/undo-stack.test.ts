import { undoneOnFailure } from './undo-stack.ts';
import type { UndoStack } from './undo-stack.ts';

const warnings: unknown[] = [];
const log = { warn: (said: unknown) => void warnings.push(said) };

function threeSteps(undo: UndoStack, ended: string[]): void {
  undo.push(() => ended.push('tracing'));
  undo.push(() => Promise.reject(new Error('it was gone')));
  undo.push(async () => ended.push('connection'));
}

it('ends what was started, last first, when a later step fails, and throws what failed', async () => {
  const ended: string[] = [];
  const started = undoneOnFailure(log, async (undo) => {
    threeSteps(undo, ended);
    await Promise.reject(new Error('the server is away'));
  });
  await expect(started).rejects.toThrow('the server is away');
  expect(ended).toEqual(['connection', 'tracing']);
  expect(warnings).toEqual(['while stopping: it was gone']);
});

it('keeps what was started until it is to stop, and then ends it once', async () => {
  const ended: string[] = [];
  const undo = await undoneOnFailure(log, async (stack) => {
    threeSteps(stack, ended);
    return stack;
  });
  expect(ended).toEqual([]);
  await undo.undo();
  await undo.undo();
  expect(ended).toEqual(['connection', 'tracing']);
});
