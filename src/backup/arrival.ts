import { randomUUID } from 'node:crypto';
import { settleArrivedRecords, writeInstallation } from '../store/index.ts';
import type { Db } from '../store/index.ts';

/** Settles what cannot be true any more where the records have arrived, and leaves word for the first start. */
export async function recordArrival(
  tx: Db,
  {
    how,
    asOf,
    graceHours,
    id = randomUUID(),
  }: { how: 'restore' | 'move'; asOf: string; graceHours: number; id?: string },
): Promise<void> {
  const at = new Date().toISOString();
  await settleArrivedRecords(tx, at);
  await writeInstallation(tx, 'arrived', { id, how, at, asOf, graceHours, done: false });
}
