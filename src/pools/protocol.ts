/** What the workers of a runner pool and the server say to each other: one call with JSON for each method of NodeHost. */
import { z } from 'zod';
import type { EffectiveVariable, ErrorCode, NodeOutcome } from '../model/index.ts';
import {
  errorClasses,
  errorCodes,
  journalSchema,
  newLogChunkSchema,
  nodeActions,
  nodeBeginSchema,
  nodeEndingSchema,
  nodeErrorSchema,
  nodeKeySchema,
  planSchema,
  problemSchema,
  stages,
  stateUnverifiedSchema,
  variableKindSchema,
  variableLevels,
  variableTypeSchema,
  variableValueSchema,
} from '../model/index.ts';
import type { BoundsVerdict, Opening } from '../node/index.ts';

/** Below the address of the server. */
export const nodeHostPath = '/node-host/v1';
/** Plans and logs are the largest bodies. */
export const largestBodyBytes = 96 * 1024 ** 2;

const nothing = z.object({});
const id = z.string().min(1).max(200);
const worker = z.strictObject({ id, host: z.string().max(500), bootId: z.string().max(100), pid: z.number().int() });
const bytes = z.base64();
const artifactKind = z.enum(['plan', 'planText', 'planJson', 'flowVariables']);

const callInput = z.strictObject({
  deploymentId: id,
  environmentId: id,
  alias: z.string().max(500),
  index: z.number().int().nonnegative(),
  action: z.enum(nodeActions),
  compensation: z.literal(true).optional(),
  timeoutSeconds: z.number().optional(),
  taskQueue: z.string().max(200).optional(),
  mode: z.enum(['run', 'apply', 'settle']),
  try: z.number().int().positive(),
});
const caller = z.strictObject({
  workflowId: z.string().max(1000),
  callId: z.string().max(500),
  attempt: z.number().int(),
  scheduledAtMs: z.number(),
  nowMs: z.number(),
});
const output = z.strictObject({
  name: z.string().max(500),
  type: variableTypeSchema,
  value: variableValueSchema,
  sensitive: z.boolean(),
});
const variable = z.strictObject({
  name: z.string().max(500),
  kind: variableKindSchema,
  type: variableTypeSchema,
  value: variableValueSchema,
  sensitive: z.boolean(),
  level: z.enum(variableLevels),
  overrides: z.array(z.enum(variableLevels)).readonly(),
}) satisfies z.ZodType<EffectiveVariable>;
/** The snapshot that a success leaves behind is the server's to write. */
const ending = nodeEndingSchema.extend({
  environment: nodeEndingSchema.shape.environment.unwrap().omit({ snapshot: true }).optional(),
});

/** The answers of the server are believed: it is whom the worker works for. */
const told = <T>() => z.custom<T>((value) => typeof value === 'object' && value !== null);

const ofNode = <Shape extends z.core.$ZodLooseShape>(shape: Shape) => z.strictObject({ key: nodeKeySchema, ...shape });

/** Each method, what is sent, and what comes back. */
export const methods = {
  registerWorker: { input: worker, output: nothing },
  beat: { input: z.strictObject({ id }), output: z.object({ known: z.boolean() }) },
  stopWorker: { input: z.strictObject({ id }), output: nothing },
  begin: {
    input: z.strictObject({ input: callInput, caller }),
    output: z.discriminatedUnion('status', [
      z.object({ status: z.literal('begun'), begin: nodeBeginSchema }),
      z.object({ status: z.literal('over'), outcome: told<NodeOutcome>() }),
    ]),
  },
  open: { input: ofNode({ mode: z.enum(['run', 'apply', 'settle']) }), output: told<Opening>() },
  enter: { input: ofNode({ stage: z.enum(stages), journal: journalSchema }), output: nothing },
  progress: { input: ofNode({ text: z.string().max(10_000), keep: z.boolean() }), output: nothing },
  appendLog: {
    input: ofNode({ attempt: z.number().int().positive(), chunks: z.array(newLogChunkSchema).max(10_000).readonly() }),
    output: nothing,
  },
  stopReason: {
    input: ofNode({}),
    output: z.object({ reason: z.enum(['abort', 'cancel', 'timeout', 'shutdown']).nullable() }),
  },
  keep: { input: ofNode({ kind: artifactKind, body: bytes }), output: z.object({ id: z.string() }) },
  approved: {
    input: ofNode({}),
    output: z.object({
      approved: z.object({ plan: bytes.nullable(), exported: bytes.nullable() }).nullable(),
    }),
  },
  bounds: { input: ofNode({ plan: planSchema, flowAsks: z.boolean() }), output: told<BoundsVerdict>() },
  ask: {
    input: ofNode({ because: z.string().max(5000), plan: planSchema, planArtifact: z.string().max(200).nullable() }),
    output: z.object({ approvalId: z.string(), expiresInMs: z.number() }),
  },
  end: { input: ofNode({ ending }), output: nothing },
  succeed: {
    input: ofNode({
      outputs: z.array(output).max(10_000).readonly(),
      plan: planSchema.nullable(),
      grantId: id.nullable(),
      variables: z.array(variable).max(10_000).readonly(),
      keepUnverified: z.boolean(),
    }),
    output: z.object({ changedOutputs: z.boolean() }),
  },
  foundDrift: {
    input: ofNode({
      status: z.enum(['ok', 'drifted', 'error']),
      resources: planSchema.shape.resources,
      message: z.string().max(20_000).nullable(),
    }),
    output: nothing,
  },
  backOff: {
    input: ofNode({ error: nodeErrorSchema }),
    output: z.object({
      pace: z.object({ afterMs: z.number(), tooOften: z.boolean(), account: z.string() }).nullable(),
    }),
  },
  workerSigns: {
    input: ofNode({ workerId: id }),
    output: z.object({
      signs: z.object({ stopped: z.boolean(), seenAt: z.string(), silentMs: z.number() }).nullable(),
    }),
  },
  markUnverified: { input: ofNode({ mark: stateUnverifiedSchema }), output: nothing },
  freeLock: {
    input: ofNode({ grantId: id, because: z.string().max(2000) }),
    output: z.object({ lockId: z.string().nullable() }),
  },
} as const satisfies Record<string, { readonly input: z.ZodType; readonly output: z.ZodType }>;

/** Says that the records do not bear out what was asked; the call is not tried again. */
export const refusedStatus = 403;

/** Why a call came to nothing, whole, so that a node fails on a pool as it does on a worker of the server's own. */
export const failureSchema = z.object({
  code: z.enum(['refused', ...(Object.keys(errorCodes) as ErrorCode[])]),
  message: z.string(),
  class: z.enum(errorClasses),
  hint: z.string().optional(),
  problems: z.array(problemSchema).optional(),
});
export type Failure = z.infer<typeof failureSchema>;

export type Method = keyof typeof methods;
export type Sent<M extends Method> = z.input<(typeof methods)[M]['input']>;
export type Received<M extends Method> = z.output<(typeof methods)[M]['input']>;
export type Answered<M extends Method> = z.output<(typeof methods)[M]['output']>;

export function isMethod(name: string): name is Method {
  return Object.hasOwn(methods, name);
}
