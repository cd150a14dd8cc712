import { z } from 'zod';
import { longestAlias } from './definition.ts';

/**
 * From the farthest level to the nearest; the nearest value wins. `file` is what the workflow file says of a node, and
 * `workflow` what is said in a file of a workflow that the node is in.
 */
export const variableLevels = [
  'organization',
  'project',
  'template',
  'environment',
  'node',
  'workflow',
  'file',
  'deployment',
] as const;
export type VariableLevel = (typeof variableLevels)[number];

/** Levels that variables can be stored at. `environment` on a workflow environment is "workflow-wide"; on a node it is "node". */
export const variableScopes = ['organization', 'project', 'template', 'environment'] as const;
export const variableScopeSchema = z.enum(variableScopes);
export type VariableScope = z.infer<typeof variableScopeSchema>;

/** `environment` variables go into the tool's process environment, `tool` variables into its typed input. */
export const variableKindSchema = z.enum(['environment', 'tool']);
export type VariableKind = z.infer<typeof variableKindSchema>;

export const variableTypeSchema = z.enum(['text', 'number', 'boolean', 'list', 'map']);
export type VariableType = z.infer<typeof variableTypeSchema>;

/** A JSON value of the declared type. */
export const variableValueSchema = z.json();
export type VariableValue = z.infer<typeof variableValueSchema>;

export const variableNameSchema = z
  .string()
  .min(1)
  .max(200)
  .regex(/^[A-Za-z_][A-Za-z0-9_.-]*$/, 'starts with a letter or _, then letters, digits, "_", "-" or "."');

export const variableInputSchema = z
  .strictObject({
    name: variableNameSchema,
    kind: variableKindSchema.default('tool'),
    type: variableTypeSchema.default('text'),
    value: variableValueSchema.optional().describe('Absent: declared here, its value must come from a nearer level'),
    sensitive: z.boolean().default(false),
    readOnly: z.boolean().default(false).describe('Nearer levels may not change the value'),
    required: z.boolean().default(false).describe('A run fails before it starts when no level gives a value'),
    regex: z.string().max(500).optional(),
    allowed: z.array(variableValueSchema).max(200).optional(),
    description: z.string().max(1000).optional(),
    alias: z.string().max(longestAlias).optional().describe('Only for the sub-environment with this alias'),
  })
  .meta({ id: 'VariableInput' });
export type VariableInput = z.infer<typeof variableInputSchema>;

/** A stored variable with its place, its value already decrypted. Lives in memory only. */
export interface Variable extends VariableInput {
  readonly id: string;
  readonly scope: VariableScope | 'deployment' | 'file';
  readonly scopeId: string;
}

/** A variable after inheritance: the value in force, and where it came from. */
export interface EffectiveVariable {
  readonly name: string;
  readonly kind: VariableKind;
  readonly type: VariableType;
  readonly value: VariableValue;
  readonly sensitive: boolean;
  readonly level: VariableLevel;
  /** Levels that also set it and lost, farthest first. */
  readonly overrides: readonly VariableLevel[];
}
