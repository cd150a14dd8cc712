import { z } from 'zod';
import { graphSchema, problemSchema } from '../model/index.ts';
import { validateBodyLimit } from './constants.ts';
import { reasonBody, reference } from './parameters.ts';
import { route } from './route.ts';

const validateSchema = z
  .strictObject({
    text: z.string().max(validateBodyLimit),
    fileName: z.string().min(1).max(300).default('windlass.workflow.yml').describe('Decides which format the file has'),
    directory: z
      .string()
      .max(1000)
      .optional()
      .describe('Of the file inside its source; code beside it may lie as far up as the root of the source'),
    project: reference.optional().describe('Checks templates and variables of this project too'),
  })
  .meta({ id: 'ValidateInput' });

const installationSchema = z
  .object({
    hold: z.object({ since: z.string(), by: z.string(), reason: z.string() }).nullable(),
    openRuns: z
      .array(
        z.object({
          deploymentId: z.string(),
          environment: z.string(),
          number: z.number().int(),
          type: z.string(),
          status: z.string(),
        }),
      )
      .describe('Runs that are not over, without those that are held back'),
  })
  .meta({ id: 'Installation' });

export const tools = {
  validate: route('POST /validate', {
    tag: 'Tools',
    permission: 'view',
    summary: 'Check a workflow file without running anything',
    body: validateSchema,
    bodyLimit: validateBodyLimit,
    response: z.object({ problems: z.array(problemSchema), graph: graphSchema.nullable() }),
  }),
  version: route('GET /version', {
    tag: 'Tools',
    permission: null,
    summary: 'Show what runs here',
    response: z.object({ version: z.string(), node: z.string(), temporalUiUrl: z.string().nullable() }),
  }),
};

export const installation = {
  get: route('GET /installation', {
    tag: 'Tools',
    permission: 'view',
    summary: 'Show which runs are open, and whether new ones are held back',
    response: installationSchema,
  }),
  hold: route('PUT /installation/hold', {
    tag: 'Tools',
    permission: '*',
    summary: 'Hold new runs back: they are recorded and wait',
    body: reasonBody,
    response: installationSchema,
  }),
  release: route('DELETE /installation/hold', { tag: 'Tools', permission: '*', summary: 'Let held runs begin' }),
  backup: route('POST /backup', {
    tag: 'Tools',
    permission: '*',
    summary: 'Take a backup: records, states, plans, logs, and the encryption keys under a passphrase',
    description: 'Of one moment, while runs go on. The answer is the file.',
    body: z.strictObject({ passphrase: z.string().min(1).max(1000) }),
    media: { 'application/octet-stream': z.string() },
  }),
};
