import { z } from 'zod';

/** Who asks for something: a key or user, or Windlass itself for timers and schedules. */
export const actorSchema = z.object({
  kind: z.enum(['key', 'user', 'system']),
  id: z.string(),
  name: z.string(),
  /** Network address the request came from; null for timers. */
  from: z.string().nullable(),
});
export type Actor = z.infer<typeof actorSchema>;

export const systemActor: Actor = { kind: 'system', id: 'windlass', name: 'Windlass', from: null };
