import { z } from 'zod';
import { nodeKindDefinitions } from '../node/kinds/catalogue.ts';
import { toolDefinitions } from '../tools/catalogue.ts';
import { poolNameSchema } from './pool.ts';

/**
 * What a template deploys with: a type of a tool, a workflow file, or a release. Which tools there are is in the catalogue, so
 * this is any word to the compiler; the schema refuses what is none of them.
 */
export type TemplateType = string;
export const templateTypes: readonly TemplateType[] = [
  ...toolDefinitions().flatMap(({ types }) => types),
  'workflow',
  'release',
];
export const templateTypeSchema = z.enum(templateTypes);

/** What a node of a graph can be: what a template makes, or a kind that only a workflow file makes. */
export const nodeTypes: readonly NodeType[] = [...templateTypes, ...nodeKindDefinitions().map(({ name }) => name)];
export const nodeTypeSchema = z.enum(nodeTypes);
export type NodeType = TemplateType;

/** How a node is run: by the tool of its type, as a graph of its own, or by the performer of a kind without a tool. */
export type NodeKind = 'stack' | 'environment' | 'release' | 'withoutTool';

export function kindOf(type: NodeType): NodeKind {
  if (nodeKindDefinitions().some(({ name }) => name === type)) return 'withoutTool';
  switch (type) {
    case 'workflow':
      return 'environment';
    case 'release':
      return 'release';
    default:
      return 'stack';
  }
}

/** Whether a tool has to run a node of this type: one that is known, or else the run is refused. */
export function needsTool(type: NodeType): boolean {
  const kind = kindOf(type);
  // A workflow is not run itself, but the nodes in it are.
  return kind !== 'environment' && kind !== 'withoutTool';
}

/** Types of nodes that no tool runs for. */
export const typesWithoutTool: readonly NodeType[] = nodeTypes.filter((type) => !needsTool(type));

export const gitSourceSchema = z
  .strictObject({
    kind: z.literal('git'),
    repository: z.string().min(1).max(2000).describe('Clone address: https, ssh or an absolute path'),
    revision: z.string().min(1).max(250).optional().describe('Branch, tag or commit; the default branch when absent'),
    path: z.string().max(1000).default('.').describe('Directory inside the repository'),
    credentials: z
      .string()
      .max(200)
      .optional()
      .describe('Name of a sensitive environment variable that holds the token or private key'),
  })
  .meta({ id: 'GitSource' });

export const localSourceSchema = z
  .strictObject({
    kind: z.literal('local'),
    directory: z.string().min(1).max(4000).describe('Absolute directory on the machines that run workers'),
    path: z.string().max(1000).default('.').describe('Directory inside it'),
  })
  .meta({ id: 'LocalSource' });

export const sourceSchema = z.discriminatedUnion('kind', [gitSourceSchema, localSourceSchema]);
export type GitSource = z.infer<typeof gitSourceSchema>;
export type LocalSource = z.infer<typeof localSourceSchema>;
export type Source = z.infer<typeof sourceSchema>;

/** When and how often a failed node is tried again by itself. */
export const retryRuleSchema = z
  .strictObject({
    maximum: z.number().int().min(0).max(20).default(0).describe('Tries after the first one'),
    intervalSeconds: z.number().int().min(0).max(86_400).default(10),
    backoff: z.number().min(1).max(10).default(2).describe('Each wait is this many times the one before'),
    onlyWhenMatches: z.string().max(500).optional().describe('Regular expression on the error message'),
    classes: z
      .array(z.string())
      .optional()
      .describe('Error classes to retry; all that can pass by themselves when absent'),
  })
  .meta({ id: 'RetryRule' });
export type RetryRule = z.infer<typeof retryRuleSchema>;

/** A decision between nodes, which no tool runs for. */
export const approvalGateSchema = z
  .strictObject({
    message: z.string().min(1).max(2000).optional().describe('What is to be decided, for those who are asked'),
    required: z
      .number()
      .int()
      .min(1)
      .max(20)
      .optional()
      .describe('People who have to approve; the setting when absent'),
    expiresSeconds: z.number().int().min(60).max(31_536_000).optional().describe('The setting when absent'),
  })
  .meta({ id: 'ApprovalGate' });
export type ApprovalGate = z.infer<typeof approvalGateSchema>;

const commonSettings = {
  version: z.string().max(50).optional().describe('Wanted tool version; the installed one when absent'),
  fileName: z.string().max(300).optional().describe('File inside the path, for the types that are read from one'),
  timeoutSeconds: z.number().int().min(1).max(604_800).optional().describe('Ceiling of one try of the tool'),
  pool: poolNameSchema.optional().describe('Runner pool whose workers run it; ours when absent'),
  approval: approvalGateSchema.optional().describe('approval: what is asked'),
  /** Further keys a type may take, kept for its runner. */
  extra: z.record(z.string(), z.json()).optional(),
};
const toolSettings: z.ZodRawShape = Object.assign({}, ...toolDefinitions().map(({ settings }) => settings));
const kindSettings = Object.fromEntries(
  nodeKindDefinitions().flatMap(({ name, settings }) => (settings === undefined ? [] : [[name, settings.optional()]])),
);

/** Settings of a template that depend on its type. Those of tools are read by the tool, with its own schema. */
export type TemplateConfig = z.infer<z.ZodObject<typeof commonSettings>> & Readonly<Record<string, unknown>>;

/** Unused settings are ignored by the runners of other types. */
export const templateConfigSchema: z.ZodType<TemplateConfig, TemplateConfig> = z
  .strictObject({ ...toolSettings, ...kindSettings, ...commonSettings })
  .meta({ id: 'TemplateConfig' });

export const templateInputSchema = z
  .strictObject({
    name: z.string().trim().min(1).max(200),
    type: templateTypeSchema,
    source: sourceSchema,
    config: templateConfigSchema.default({}),
    retryOnDeploy: retryRuleSchema.optional(),
    retryOnDestroy: retryRuleSchema.optional(),
    description: z.string().max(2000).optional(),
  })
  .meta({ id: 'TemplateInput' });
export type TemplateInput = z.infer<typeof templateInputSchema>;
