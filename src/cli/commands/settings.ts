import { z } from 'zod';
import { ApiError, collect } from '../../client/index.ts';
import type { Client } from '../../client/index.ts';
import { nextRuns } from '../../definition/index.ts';
import type { Environment, ScopeSettings, Ttl } from '../../model/index.ts';
import type { Flag } from '../cli.ts';
import { usageError } from '../exit.ts';
import { formatDuration, formatRelative, plural } from '../text/format.ts';
import { readHours, readTtl } from './times.ts';

type Fields = [string, string | number | null][];

/** Flags of `project update` and `organization update`; `none` takes a setting away. */
export const scopeSettingsFlags: readonly Flag[] = [
  {
    flags: '--default-ttl <time>',
    description: 'time to live of environments that say nothing else: 24h, 3d, unlimited or none',
  },
  { flags: '--maximum-ttl <time>', description: 'no environment lives longer after a deploy: 72h, 30d or none' },
  { flags: '--max-parallel <n>', description: 'nodes at once over all runs, or none' },
];
export const scopeSettingsOptions = {
  defaultTtl: z.string().optional(),
  maximumTtl: z.string().optional(),
  maxParallel: z.string().optional(),
};

/** The settings with what was given; null when nothing was given. */
export function changeScopeSettings(
  known: ScopeSettings,
  given: z.output<z.ZodObject<typeof scopeSettingsOptions>>,
): ScopeSettings | null {
  const { defaultTtl, maximumTtl, maxParallel } = given;
  if (defaultTtl === undefined && maximumTtl === undefined && maxParallel === undefined) return null;
  return {
    ...known,
    ...(defaultTtl === undefined ? {} : { defaultTtl: defaultTtl === 'none' ? undefined : readDefaultTtl(defaultTtl) }),
    ...(maximumTtl === undefined ? {} : { maximumTtlHours: maximumTtl === 'none' ? undefined : readHours(maximumTtl) }),
    ...(maxParallel === undefined
      ? {}
      : { maxParallel: maxParallel === 'none' ? undefined : readCount('--max-parallel', maxParallel) }),
  };
}

function readDefaultTtl(text: string): Ttl {
  const ttl = readTtl(text);
  if (ttl.kind !== 'date') return ttl;
  throw usageError(
    '--default-ttl cannot be a date: a date passes once',
    'hours such as 24h, days such as 3d, or unlimited',
  );
}

function readCount(flag: string, text: string): number {
  if (/^[1-9]\d{0,5}$/.test(text)) return Number(text);
  throw usageError(`${flag} ${text}: expected a whole number, or none`);
}

/** Settings of a project or an organization, those that are not set too: they can be. */
export function scopeSettingsFields(settings: ScopeSettings): Fields {
  const { defaultTtl, maximumTtlHours, maxParallel } = settings;
  return [
    ['default time to live', defaultTtl === undefined ? 'not set' : describeTtl(defaultTtl)],
    ['maximum time to live', maximumTtlHours === undefined ? 'not set' : hours(maximumTtlHours)],
    ['nodes at once', maxParallel ?? 'not set'],
  ];
}

const hours = (count: number): string => formatDuration(count * 3_600_000);

function describeTtl(ttl: Ttl): string {
  switch (ttl.kind) {
    case 'unlimited':
      return 'unlimited';
    case 'hours':
      return `${hours(ttl.hours)} after a deploy`;
    case 'date':
      return `until ${ttl.at}`;
  }
}

/** What an environment inherits when it says nothing itself. */
export interface Inherited {
  readonly ttl: Ttl | undefined;
  /** `project` or `organization`. */
  readonly from: string;
}

/** The default time to live above an environment. Without the right to see it the picture is poorer but still right. */
export async function findInherited(client: Client, { projectId }: Environment): Promise<Inherited> {
  try {
    const project = await client.projects.get({ params: { ref: projectId } });
    if (project.settings.defaultTtl) return { ttl: project.settings.defaultTtl, from: 'project' };
    const { items } = await collect(client.organizations.list, {});
    const organization = items.find(({ id }) => id === project.organizationId);
    return { ttl: organization?.settings.defaultTtl, from: 'organization' };
  } catch (error) {
    if (error instanceof ApiError) return { ttl: undefined, from: '' };
    throw error;
  }
}

/** Every setting by name, also those that are not set, so that scripts find them all. */
export function allSettings({ settings }: Environment): Record<keyof Environment['settings'], unknown> {
  return {
    requiresApproval: null,
    ttl: null,
    schedule: null,
    drift: null,
    maxParallel: null,
    pool: null,
    ...settings,
  };
}

/** Every setting of an environment in words, those at their default too. */
export function settingsFields(environment: Environment, inherited: Inherited, nowMs: number): Fields {
  const { settings } = environment;
  const { schedule, drift } = settings;
  const cron = (text: string | undefined, timezone: string, paused: boolean): string | null => {
    if (text === undefined) return null;
    const [next] = nextRuns(text, timezone, nowMs, 1);
    const when = paused ? 'paused' : next ? `next ${formatRelative(new Date(next).toISOString(), nowMs)}` : '';
    return `${text} ${timezone}${when ? `, ${when}` : ''}`;
  };
  const isNode = environment.parentId !== null && !environment.flags.detached;
  const approval =
    settings.requiresApproval === undefined
      ? isNode
        ? 'as the file or the whole environment says'
        : 'where the file says so'
      : settings.requiresApproval
        ? 'asked before every apply, unless the file says otherwise'
        : 'not asked, unless the file says otherwise';
  const life: Fields = isNode
    ? [['time to live', settings.ttl ? describeTtl(settings.ttl) : 'as the file says, else that of the environment']]
    : [
        ['time to live', timeToLive(settings.ttl, inherited)],
        [
          'deploys at',
          schedule ? (cron(schedule.deploy, schedule.timezone, schedule.paused) ?? 'never') : 'no schedule',
        ],
        [
          'destroys at',
          schedule ? (cron(schedule.destroy, schedule.timezone, schedule.paused) ?? 'never') : 'no schedule',
        ],
        [
          'drift checks',
          drift
            ? `${cron(drift.cron, drift.timezone, drift.paused) ?? ''}, then ${drift.remediation}, ${drift.maxParallel} at once`
            : 'no schedule',
        ],
      ];
  return [
    ['approval', approval],
    [
      'approvals',
      [
        `${plural(settings.requiredApprovals, 'person', 'people')}`,
        settings.forbidSelfApproval ? 'not the one who asked for the run' : 'also the one who asked for the run',
        `within ${formatDuration(settings.approvalExpirySeconds * 1000)}`,
      ].join(', '),
    ],
    ...life,
    ['lock', environment.flags.lock ? null : 'none'],
    ['nodes at once', environment.type === 'workflow' ? (settings.maxParallel ?? 'as the file says, else 200') : null],
    ['queue', settings.coalesceDeploys ? 'keeps only the newest waiting deploy' : 'in order'],
  ];
}

function timeToLive(own: Ttl | undefined, inherited: Inherited): string {
  if (own) return describeTtl(own);
  return inherited.ttl ? `${describeTtl(inherited.ttl)}, by default of the ${inherited.from}` : 'unlimited';
}
