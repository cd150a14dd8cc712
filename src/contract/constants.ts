import { z } from 'zod';

export const apiBase = '/api/v1';

export const idempotencyHeader = 'Idempotency-Key';

/** Printable ASCII without spaces, so that it survives every proxy. */
export const idempotencyKeySchema = z
  .string()
  .min(1)
  .max(200)
  .regex(/^[\x21-\x7e]+$/, 'takes printable characters without spaces')
  .describe('The same key gives the same answer, and changes things once');

export const defaultBodyLimit = 1024 * 1024;
/** A file of 10,000 nodes fits. */
export const validateBodyLimit = 2 * 1024 * 1024;
