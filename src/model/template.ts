import { z } from 'zod';
import { poolNameSchema } from './pool.ts';

/** Everything a node can be deployed with. Only some have a runner in this release; the others say so before a run. */
export const templateTypes = [
  'opentofu',
  'terraform',
  'terragrunt',
  'pulumi',
  'cloudformation',
  'kubernetes',
  'helm',
  'ansible',
  'shell',
  'workflow',
  'release',
] as const;
export const templateTypeSchema = z.enum(templateTypes);
export type TemplateType = z.infer<typeof templateTypeSchema>;

/** What a node of a graph can be: what a template makes, or one of those that only a workflow file makes. */
export const nodeTypes = [...templateTypes, 'approval'] as const;
export const nodeTypeSchema = z.enum(nodeTypes);
export type NodeType = z.infer<typeof nodeTypeSchema>;

/** How a node is run: each kind has one performer and one task queue; see docs/architecture.md, "Kinds of nodes". */
export const nodeKinds = ['stack', 'approval', 'environment', 'release'] as const;
export type NodeKind = (typeof nodeKinds)[number];

export function kindOf(type: NodeType): NodeKind {
  switch (type) {
    case 'approval':
      return 'approval';
    case 'workflow':
      return 'environment';
    case 'release':
      return 'release';
    default:
      return 'stack';
  }
}

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

/** Settings of a template that depend on its type. Unused ones are ignored by the runners of other types. */
export const templateConfigSchema = z
  .strictObject({
    version: z.string().max(50).optional().describe('Wanted tool version; the installed one when absent'),
    fileName: z.string().max(300).optional().describe('Workflow or CloudFormation file name inside the path'),
    deployScript: z
      .string()
      .max(20_000)
      .optional()
      .describe('shell: what deploys; `./deploy.sh` when that file exists'),
    destroyScript: z.string().max(20_000).optional(),
    planScript: z.string().max(20_000).optional().describe('shell: exit 0 nothing to do, 2 changes'),
    driftScript: z.string().max(20_000).optional(),
    timeoutSeconds: z.number().int().min(1).max(604_800).optional().describe('Ceiling of one try of the tool'),
    pool: poolNameSchema.optional().describe('Runner pool whose workers run it; ours when absent'),
    approval: approvalGateSchema.optional().describe('approval: what is asked'),
    /** Further keys a type may take, kept for its runner. */
    extra: z.record(z.string(), z.json()).optional(),
  })
  .meta({ id: 'TemplateConfig' });
export type TemplateConfig = z.infer<typeof templateConfigSchema>;

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
