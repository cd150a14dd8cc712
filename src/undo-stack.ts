import type { Logger } from 'pino';
import { messageOf } from './model/index.ts';

/** What a process has started, to be ended again: when it stops, or when a later part of its start fails. */
export interface UndoStack {
  /** The last that is pushed is the first that is undone. */
  push(step: () => unknown): void;
  /** Undoes everything once, whatever fails of it. */
  undo(): Promise<void>;
}

export function createUndoStack(log: Pick<Logger, 'warn'>): UndoStack {
  const steps: (() => unknown)[] = [];
  return {
    push: (step) => void steps.push(step),
    async undo() {
      for (let step = steps.pop(); step; step = steps.pop()) {
        try {
          await step();
        } catch (error) {
          log.warn(`while stopping: ${messageOf(error)}`);
        }
      }
    },
  };
}

/** Starts something in steps. What was started is ended again when a later step fails. */
export async function undoneOnFailure<T>(
  log: Pick<Logger, 'warn'>,
  start: (undo: UndoStack) => Promise<T>,
): Promise<T> {
  const undo = createUndoStack(log);
  try {
    return await start(undo);
  } catch (error) {
    await undo.undo();
    throw error;
  }
}
