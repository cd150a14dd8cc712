import { z } from 'zod';
import {
  newRunnerPoolSchema,
  pageOf,
  poolNameSchema,
  runnerPoolInputSchema,
  runnerPoolSchema,
} from '../model/index.ts';
import { shortListQuery } from './parameters.ts';
import { route } from './route.ts';

/** A call that is repeated is not told the token. */
const withSecretTokenSchema = newRunnerPoolSchema.extend({ token: z.string().nullable() });
const nameParams = z.strictObject({ name: poolNameSchema });

export const pools = {
  list: route('GET /pools', {
    tag: 'Access',
    permission: 'organization.manage',
    summary: 'List runner pools with their workers and what waits for them',
    query: shortListQuery,
    response: pageOf(runnerPoolSchema),
  }),
  create: route('POST /pools', {
    tag: 'Access',
    permission: 'organization.manage',
    summary: 'Create a runner pool; its token is told once',
    description:
      'Workers that are started with this token run the nodes whose template or environment names the pool. They see the values and the state of these nodes alone.',
    body: runnerPoolInputSchema,
    status: 201,
    response: withSecretTokenSchema,
  }),
  rotate: route('POST /pools/:name/token', {
    tag: 'Access',
    permission: 'organization.manage',
    summary: 'Give a runner pool a new token; the old one ends at once',
    params: nameParams,
    response: withSecretTokenSchema,
  }),
  remove: route('DELETE /pools/:name', {
    tag: 'Access',
    permission: 'organization.manage',
    summary: 'Delete a runner pool; its workers are shut out at once',
    params: nameParams,
  }),
};
