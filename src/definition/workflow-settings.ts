/** `settings` of a workflow file. */
import type { DriftSettings, ScheduleSettings, WorkflowSettings } from '../model/index.ts';
import { failurePolicies, remediations, removalStrategies } from '../model/index.ts';
import { cronProblem, timezoneProblem } from './cron.ts';
import type { FileContext } from './workflow-context.ts';
import type { Fields } from './yaml-reader.ts';
import { readFields, readInteger, readOneOf, readPlain } from './yaml-reader.ts';
import type { YamlNode } from './yaml-tree.ts';

const env0Keys = ['environmentRemovalStrategy'];
const windlassKeys = [...env0Keys, 'onFailure', 'maxParallel', 'schedule', 'drift', 'notifications'];

export const defaultSettings: WorkflowSettings = {
  environmentRemovalStrategy: 'detach',
  onFailure: 'continue',
  maxParallel: undefined,
  schedule: undefined,
  drift: undefined,
};

export function readSettings(context: FileContext, node: YamlNode): WorkflowSettings {
  const fields = readFields(context, node, {
    what: 'settings',
    known: context.windlass ? windlassKeys : env0Keys,
    elsewhere: (key) =>
      !context.windlass && windlassKeys.includes(key) ? '; only windlass.workflow.yml has it' : undefined,
  });
  const removal = fields.get('environmentRemovalStrategy');
  const failure = fields.get('onFailure');
  const parallel = fields.get('maxParallel');
  const schedule = fields.get('schedule');
  const drift = fields.get('drift');
  return {
    environmentRemovalStrategy:
      (removal &&
        readOneOf(context, removal.value, { what: 'environmentRemovalStrategy', choices: removalStrategies })) ??
      defaultSettings.environmentRemovalStrategy,
    onFailure:
      (failure && readOneOf(context, failure.value, { what: 'onFailure', choices: failurePolicies })) ??
      defaultSettings.onFailure,
    maxParallel:
      (parallel && readInteger(context, parallel.value, { what: 'maxParallel', minimum: 1, maximum: 1000 })) ??
      undefined,
    schedule: schedule && readSchedule(context, schedule.value),
    drift: drift && readDrift(context, drift.value),
  };
}

function readSchedule(context: FileContext, node: YamlNode): ScheduleSettings {
  const fields = readFields(context, node, { what: 'schedule', known: ['deploy', 'destroy', 'timezone'] });
  const deploy = readCronAt(context, fields, { key: 'deploy', what: 'schedule.deploy' });
  const destroy = readCronAt(context, fields, { key: 'destroy', what: 'schedule.destroy' });
  const timezone = readTimezoneAt(context, fields, 'schedule.timezone');
  const entry = fields.get('destroy');
  if (entry !== undefined && deploy !== undefined && deploy === destroy) {
    context.problems.add(
      entry.value.position,
      'schedule.destroy is the same as schedule.deploy; an environment cannot go up and down at once',
    );
  }
  if (node.kind === 'map' && !fields.has('deploy') && !fields.has('destroy')) {
    context.problems.add(node.position, 'schedule has neither deploy nor destroy; give one a cron expression');
  }
  return { deploy, destroy, timezone };
}

function readDrift(context: FileContext, node: YamlNode): DriftSettings | undefined {
  if (node.kind === 'scalar') {
    const cron = readCron(context, node, 'drift');
    return cron === undefined ? undefined : { cron, remediation: 'none' };
  }
  const fields = readFields(context, node, {
    what: 'drift',
    known: ['cron', 'timezone', 'remediation', 'maxParallel'],
  });
  const cron = readCronAt(context, fields, { key: 'cron', what: 'drift.cron' });
  const timezone = readTimezoneAt(context, fields, 'drift.timezone');
  const remediation = fields.get('remediation');
  const parallel = fields.get('maxParallel');
  const drift = {
    timezone,
    remediation:
      (remediation && readOneOf(context, remediation.value, { what: 'drift.remediation', choices: remediations })) ??
      'none',
    maxParallel:
      (parallel && readInteger(context, parallel.value, { what: 'drift.maxParallel', minimum: 1, maximum: 500 })) ??
      undefined,
  } as const;
  if (node.kind === 'map' && !fields.has('cron'))
    context.problems.add(node.position, 'drift has no cron; say when to look, such as "0 8,20 * * *"');
  return cron === undefined ? undefined : { cron, ...drift };
}

function readCronAt(
  context: FileContext,
  fields: Fields,
  { key, what }: { readonly key: string; readonly what: string },
): string | undefined {
  const entry = fields.get(key);
  return entry === undefined ? undefined : readCron(context, entry.value, what);
}

function readCron(context: FileContext, node: YamlNode, what: string): string | undefined {
  const text = readPlain(context, node, what);
  if (text === null) return undefined;
  const problem = cronProblem(text);
  if (problem === null)
    return text
      .trim()
      .split(/[ \t]+/)
      .join(' ');
  context.problems.add(node.position, `${what}: ${problem}`);
  return undefined;
}

function readTimezoneAt(context: FileContext, fields: Fields, what: string): string | undefined {
  const entry = fields.get('timezone');
  if (entry === undefined) return undefined;
  const text = readPlain(context, entry.value, what);
  if (text === null) return undefined;
  const problem = timezoneProblem(text);
  if (problem === null) return text;
  context.problems.add(entry.value.position, `${what}: ${problem}`);
  return undefined;
}
