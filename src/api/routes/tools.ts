import { z } from 'zod';
import { graphSchema, problemSchema } from '../../model/index.ts';
import { validateBodyLimit } from '../constants.ts';
import { route } from '../route.ts';
import type { Route } from '../route.ts';
import { reference } from './shared.ts';
import type { RouteDeps } from './shared.ts';

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

export function toolRoutes({ operations, version, temporalUrl }: RouteDeps): Route[] {
  return [
    route({
      method: 'post',
      path: '/validate',
      tag: 'Tools',
      summary: 'Check a workflow file without running anything',
      body: validateSchema,
      bodyLimit: validateBodyLimit,
      status: 200,
      response: z.object({ problems: z.array(problemSchema), graph: graphSchema.nullable() }),
      handle: async ({ caller, body }) => {
        const { problems, graph } = await operations.validate({ actor: caller, ...body });
        return { problems: problems.map((problem) => ({ ...problem })), graph };
      },
    }),
    route({
      method: 'get',
      path: '/version',
      tag: 'Tools',
      summary: 'Show what runs here',
      status: 200,
      response: z.object({ version: z.string(), node: z.string(), temporalUiUrl: z.string().nullable() }),
      handle: () => ({ version, node: process.versions.node, temporalUiUrl: temporalUrl }),
    }),
  ];
}
