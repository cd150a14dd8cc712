import { z } from 'zod';
import { deploymentSchema, deploymentStatuses, deploymentTypes } from '../model/index.ts';

export const reference = z.string().min(1).max(500);

export const refParams = z.object({
  ref: reference.describe('Id, unique beginning of one, or name; `shop%2Feks` is a node'),
});
export const idParams = z.object({ id: z.string().min(1).max(100) });
export const nodeParams = z.object({
  ref: reference.describe('Deployment: id, unique beginning of one, or `environment#number`'),
  alias: z.string().min(1).max(300),
});

export const pageQuery = {
  limit: z.coerce.number().int().min(1).max(200).optional().describe('Items of a page; 50 when absent'),
  cursor: z.string().min(1).max(1000).optional().describe('`next` of the page before'),
};
/** Of lists that are short enough to come whole: page parameters are taken and limit what comes. */
export const shortListQuery = z.strictObject(pageQuery);

export const flag = z
  .enum(['true', 'false'])
  .transform((text) => text === 'true')
  .optional();

export const since = z.iso
  .datetime({ offset: true })
  .transform((text) => new Date(text))
  .optional()
  .describe('ISO 8601');

export const projectQuery = { project: reference.optional().describe('Name or id') };
export const reasonBody = z.strictObject({ reason: z.string().trim().min(1).max(1000) });
export const optionalReasonBody = z.strictObject({ reason: z.string().trim().min(1).max(1000).optional() });

/** Ids of events and of pieces of logs; both grow for ever. */
export const eventId = z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const after = eventId.optional().describe('Id of the last one seen; what came after it is sent');
const limit = z.coerce.number().int().min(1).max(1000).optional();
const cursor = z
  .string()
  .regex(/^\d{1,15}$/, 'the cursor is not one of this list')
  .transform(Number)
  .optional();

export const eventQuery = z.strictObject({ after, limit, cursor });

/** A deployment that was asked for. */
export const acceptedSchema = deploymentSchema
  .extend({ warning: z.string().optional().describe('The run is recorded and begins later: why') })
  .meta({ id: 'AcceptedDeployment' });

/** One status or several, separated by commas. */
const statusList = z
  .string()
  .max(300)
  .transform((text) => text.split(','))
  .pipe(z.array(z.enum(deploymentStatuses)))
  .optional();

export const deploymentFilters = {
  status: statusList,
  type: z.enum(deploymentTypes).optional(),
  since,
  requestedBy: z.string().max(200).optional().describe('Name or id of the key or user'),
};
