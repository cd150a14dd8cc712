/** `settings` of a workflow file. */
import type { DriftSettings, ScheduleSettings, WorkflowSettings } from '../model/index.ts';
import { failurePolicies, remediations, removalStrategies } from '../model/index.ts';
import type { Naming, Piece } from './schema.ts';
import { addIssue, derived, mapping, shorthand } from './schema.ts';
import { anything, cron, integer, oneOf, timezone } from './schema-values.ts';
import { inFormats } from './workflow-formats.ts';
import { has } from './yaml-tree.ts';

const dotted: Naming = (key, name) => `${name}.${key}`;

const schedule = mapping(
  { deploy: cron.optional(), destroy: cron.optional(), timezone: timezone.optional() },
  { naming: dotted },
  (fields, { node, issues }): ScheduleSettings => {
    const { deploy, destroy } = fields;
    if (deploy !== undefined && deploy === destroy)
      addIssue(
        issues,
        (name) => `${name} is the same as schedule.deploy; an environment cannot go up and down at once`,
        {
          path: ['destroy'],
        },
      );
    if (!has(node, 'deploy') && !has(node, 'destroy'))
      addIssue(issues, (name) => `${name} has neither deploy nor destroy; give one a cron expression`);
    return fields;
  },
);

const drift: Piece<DriftSettings> = shorthand(
  derived(cron, (at): DriftSettings => ({ cron: at, remediation: 'none' })),
  mapping(
    {
      cron,
      timezone: timezone.optional(),
      remediation: oneOf(remediations).default('none'),
      maxParallel: integer(1, 500).optional(),
    },
    { naming: dotted, missing: { cron: '; say when to look, such as "0 8,20 * * *"' } },
  ),
);

export const settings = inFormats(
  {
    env0: { environmentRemovalStrategy: oneOf(removalStrategies).optional() },
    windlass: {
      onFailure: oneOf(failurePolicies).optional(),
      maxParallel: integer(1, 1000).optional(),
      schedule: schedule.optional(),
      drift: drift.optional(),
      notifications: anything.optional(),
    },
    naming: (key) => key,
  },
  withDefaults,
);

/** The settings of a file, or of one that says nothing about them. */
export function withDefaults(fields: Partial<WorkflowSettings>): WorkflowSettings {
  return {
    environmentRemovalStrategy: fields.environmentRemovalStrategy ?? 'detach',
    onFailure: fields.onFailure ?? 'continue',
    maxParallel: fields.maxParallel,
    schedule: fields.schedule,
    drift: fields.drift,
  };
}
