/** Errors as they cross a border: of a request, and of a node. */
import { z } from 'zod';
import { errorClasses } from './errors.ts';

export const problemSchema = z.object({
  message: z.string(),
  file: z.string().optional(),
  line: z.number().int().optional(),
  column: z.number().int().optional(),
  path: z.string().optional(),
});

/** application/problem+json (RFC 9457). */
export const problemDetailsSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.number().int(),
    detail: z.string(),
    code: z.string().describe('Stable, machine-readable reason'),
    hint: z.string().optional().describe('What to do about it'),
    problems: z.array(problemSchema).optional(),
    requestId: z.string(),
  })
  .meta({ id: 'ProblemDetails' });
export type ProblemDetails = z.infer<typeof problemDetailsSchema>;

export const runErrorSchema = z
  .object({
    class: z.enum(errorClasses),
    message: z.string(),
    where: z.string().optional(),
    hint: z.string().optional(),
    problems: z.array(problemSchema).optional(),
  })
  .meta({ id: 'RunError' });
