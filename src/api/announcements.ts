import { z } from 'zod';
import { eventChannel, logChannel } from '../store/index.ts';
import type { Database } from '../store/index.ts';
import { createWaker } from './waker.ts';
import type { Waker } from './waker.ts';

/** Announced by runs and not kept, see `announceProgress`. */
const progressChannel = 'windlass_progress';

const growthSchema = z.object({ environmentId: z.string().nullish(), deploymentId: z.string().nullish() });
/** Which run, and which environment of the graph's root, has something new. */
export type Growth = z.infer<typeof growthSchema>;

const progressSchema = z.object({
  deploymentId: z.string(),
  index: z.number(),
  alias: z.string(),
  progress: z.string(),
});
/** How far a tool is: told and not kept. */
export type Progress = z.infer<typeof progressSchema>;

/** What the database announces, each channel with one listener for all readers. */
export interface Announcements {
  readonly events: Waker<Growth>;
  readonly logs: Waker<Growth>;
  readonly progress: Waker<Progress>;
}

export function listenToDatabase(db: Database): Announcements {
  const on = (channel: string) => (onMessage: (payload: string) => void) => db.listen(channel, onMessage);
  return {
    events: createWaker(on(eventChannel), growthSchema),
    logs: createWaker(on(logChannel), growthSchema),
    progress: createWaker(on(progressChannel), progressSchema),
  };
}
