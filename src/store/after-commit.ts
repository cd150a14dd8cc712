import { AsyncLocalStorage } from 'node:async_hooks';

const open = new AsyncLocalStorage<(() => void)[]>();

/** Does something once the transaction that this call belongs to is committed; at once when it belongs to none. */
export function afterCommit(work: () => void): void {
  const waiting = open.getStore();
  if (waiting === undefined) work();
  else waiting.push(work);
}

/** Runs a transaction, and when it is committed what was put off to then. */
export async function withCommitWork<T>(transaction: () => Promise<T>): Promise<T> {
  const waiting: (() => void)[] = [];
  const result = await open.run(waiting, transaction);
  for (const work of waiting) work();
  return result;
}
