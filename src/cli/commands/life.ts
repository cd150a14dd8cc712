import { z } from 'zod';
import { collect } from '../../client/index.ts';
import type { AnswerOf, Client } from '../../client/index.ts';
import { cronProblem, nextRuns, timezoneProblem } from '../../definition/index.ts';
import { environmentDriftSchema, environmentScheduleSchema } from '../../model/index.ts';
import type { Environment, EnvironmentDrift, EnvironmentSchedule } from '../../model/index.ts';
import type { Invocation, Registry } from '../cli.ts';
import { noOptions } from '../cli.ts';
import { CliError, usageError } from '../exit.ts';
import { driftLegend, driftLines } from '../text/drift.ts';
import { formatRelative, shellQuote } from '../text/format.ts';
import { oneLine } from '../text/width.ts';
import { followFlags, followOptions, startRun } from './runs.ts';
import { limitFlag, limitOption } from './options.ts';
import { ago, findPlace, getEnvironment, printDone, printItem, printList } from './shared.ts';

function checkCron(flag: string, cron: string | undefined, timezone: string | undefined): void {
  const problem =
    (cron === undefined ? undefined : cronProblem(cron)) ??
    (timezone === undefined ? undefined : timezoneProblem(timezone));
  if (problem)
    throw usageError(
      `${flag}: ${problem}`,
      'five fields: minute hour day-of-month month day-of-week, such as "0 20 * * 1-5"',
    );
}

export function addSchedules({ add, group }: Registry): void {
  const schedule = group('schedule', 'Schedules: deploy and destroy at fixed times', ['schedules']);
  add(
    {
      usage: 'list',
      aliases: ['ls'],
      summary: 'List what happens at fixed times, over all environments: deploys, destroys, drift checks',
      examples: [
        ['windlass schedule list', 'when each happens next, what is paused, what was missed'],
        ['windlass schedule list --project default --json', ''],
      ],
      flags: [{ flags: '--project <project>', description: 'of this project' }, limitFlag],
      options: z.object({ ...limitOption, project: z.string().optional() }),
      async run(call) {
        const { limit, project } = call.options;
        const { client } = await call.connect();
        const listing = await collect(client.schedules.list, { query: { project } }, { limit });
        printList(
          call,
          listing,
          [
            { title: 'environment', value: (item) => item.environmentName, keep: true },
            { title: 'does', value: (item) => (item.kind === 'drift' ? 'drift check' : item.kind) },
            {
              title: 'next',
              value: (item) => {
                if (item.paused) return 'paused';
                return `${ago(call, item.next)}${item.locked && item.kind !== 'drift' ? ', locked' : ''}`;
              },
              keep: true,
            },
            { title: 'missed', value: (item) => item.missed ?? '?', align: 'right' },
            { title: 'cron', value: (item) => item.cron, keep: true },
            { title: 'timezone', value: (item) => item.timezone },
          ],
          'Nothing happens at fixed times. Set it:  windlass schedule set --help, windlass drift set --help',
        );
      },
    },
    schedule,
  );
  add(
    {
      usage: 'show <environment>',
      summary: 'Show when an environment is deployed and destroyed',
      examples: [['windlass schedule show shop', '']],
      options: noOptions,
      async run(call) {
        const { client } = await call.connect();
        const { settings, name, id } = await getEnvironment(client, call.argument(0));
        if (!settings.schedule)
          return printDone(
            call,
            `${name} has no schedule. Set one:  windlass schedule set ${shellQuote(name)} --destroy "0 20 * * 1-5" --deploy "0 7 * * 1-5"`,
            null,
          );
        const { missed } = await client.schedules.get({ params: { ref: id } });
        return printItem(call, { ...settings.schedule, missed }, [
          ...scheduleFields(settings.schedule, call.io.now()),
          ['missed', missed ? `${missed} in outages of more than ${settings.schedule.catchUpSeconds} s` : null],
        ]);
      },
    },
    schedule,
  );
  add(
    {
      usage: 'set <environment>',
      aliases: ['create', 'update'],
      summary: 'Set when an environment is deployed and destroyed',
      examples: [
        [
          'windlass schedule set shop --destroy "0 20 * * 1-5" --deploy "0 7 * * 1-5" --timezone Europe/Berlin',
          'down at night',
        ],
        ['windlass schedule set shop --destroy none', 'no longer'],
      ],
      flags: [
        { flags: '--deploy <cron>', description: 'when it is deployed; none for never' },
        { flags: '--destroy <cron>', description: 'when it is destroyed; none for never' },
        { flags: '--timezone <name>', description: 'of both (default UTC)' },
        { flags: '--catch-up-seconds <n>', description: 'firings missed by more than this are dropped' },
      ],
      options: z.object({
        deploy: z.string().optional(),
        destroy: z.string().optional(),
        timezone: z.string().optional(),
        catchUpSeconds: z.coerce.number('expected seconds').int().optional(),
      }),
      async run(call) {
        const { deploy, destroy, timezone, catchUpSeconds } = call.options;
        for (const [flag, cron] of [
          ['--deploy', deploy],
          ['--destroy', destroy],
        ] as const)
          checkCron(flag, cron === 'none' ? undefined : cron, timezone);
        const { client } = await call.connect();
        const environment = await getEnvironment(client, call.argument(0));
        const merged = {
          ...environment.settings.schedule,
          ...(deploy ? { deploy: deploy === 'none' ? undefined : deploy } : {}),
          ...(destroy ? { destroy: destroy === 'none' ? undefined : destroy } : {}),
          ...(timezone ? { timezone } : {}),
          ...(catchUpSeconds === undefined ? {} : { catchUpSeconds }),
        };
        if (!merged.deploy && !merged.destroy) {
          if (!deploy && !destroy) throw usageError('give --deploy CRON, --destroy CRON, or both');
          await client.schedules.remove({ params: { ref: environment.id } });
          return printDone(call, `${environment.name} has no schedule any more.`, null);
        }
        return saveSchedule(call, client, environment, environmentScheduleSchema.parse(merged));
      },
    },
    schedule,
  );
  for (const [verb, paused, summary] of [
    ['pause', true, 'Stop firing until it is resumed'],
    ['resume', false, 'Fire again'],
  ] as const) {
    add(
      {
        usage: `${verb} <environment>`,
        summary,
        examples: [[`windlass schedule ${verb} shop`, '']],
        options: noOptions,
        async run(call) {
          const { client } = await call.connect();
          const environment = await getEnvironment(client, call.argument(0));
          const { schedule: known } = environment.settings;
          if (!known)
            throw new CliError(`"${environment.name}" has no schedule`, { hint: `windlass schedule set --help` });
          return saveSchedule(call, client, environment, { ...known, paused });
        },
      },
      schedule,
    );
  }
  add(
    {
      usage: 'delete <environment>',
      aliases: ['rm'],
      summary: 'Remove the schedule',
      examples: [['windlass schedule delete shop', '']],
      options: noOptions,
      async run(call) {
        const { client } = await call.connect();
        const environment = await getEnvironment(client, call.argument(0));
        await client.schedules.remove({ params: { ref: environment.id } });
        printDone(call, `${environment.name} has no schedule any more.`, null);
      },
    },
    schedule,
  );
}

async function saveSchedule(
  call: Invocation<unknown>,
  client: Client,
  environment: { readonly id: string; readonly name: string },
  body: EnvironmentSchedule,
): Promise<void> {
  await client.schedules.set({ params: { ref: environment.id }, body });
  printItem(call, body, [['environment', environment.name], ...scheduleFields(body, call.io.now())]);
}

function scheduleFields(schedule: EnvironmentSchedule, nowMs: number): [string, string | number | null][] {
  const line = (cron: string | undefined): string | null =>
    cron === undefined ? null : describeCron(cron, schedule.timezone, nowMs);
  return [
    ['deploys', line(schedule.deploy)],
    ['destroys', line(schedule.destroy)],
    ['timezone', schedule.timezone],
    ['paused', schedule.paused ? 'yes' : null],
    ['catches up', `${schedule.catchUpSeconds} s`],
  ];
}

function describeCron(cron: string, timezone: string, nowMs: number): string {
  const [next] = nextRuns(cron, timezone, nowMs, 1);
  return next ? `${cron}   next ${formatRelative(new Date(next).toISOString(), nowMs)}` : cron;
}

export function addDrift({ add, group }: Registry): void {
  const drift = group('drift', 'Drift: what was changed behind the back of the code');
  add(
    {
      usage: 'show <environment>',
      summary: 'Show the last check, and when checks run',
      examples: [
        ['windlass drift show shop', 'what drifted, node after node'],
        ['windlass drift show shop --history', 'what earlier checks found, too'],
      ],
      flags: [{ flags: '--history', description: 'results of earlier checks too, newest first' }],
      options: z.object({ history: z.boolean().default(false) }),
      async run(call) {
        const { client } = await call.connect();
        const environment = await getEnvironment(client, call.argument(0));
        const answer = await fetchDrift(client, environment.id);
        const results = call.options.history ? answer.results : await currentResults(client, environment, answer);
        if (call.printer.format !== 'table') return printItem(call, { ...answer, results }, []);
        const { settings, flags } = environment;
        printItem(call, null, [
          ['drift', flags.drift === 'neverRun' ? 'never checked' : flags.drift],
          ['checked', flags.driftCheckedAt ? formatRelative(flags.driftCheckedAt, call.io.now()) : null],
          [
            'checks at',
            settings.drift
              ? `${settings.drift.cron} ${settings.drift.timezone}${settings.drift.paused ? ', paused' : ''}`
              : 'no schedule',
          ],
          ['then', settings.drift && settings.drift.remediation !== 'none' ? settings.drift.remediation : null],
        ]);
        const { history } = call.options;
        const { glyphs } = call.printer.style;
        if (results.some(({ resources }) => resources.some(({ planned }) => planned !== undefined)))
          call.printer.lines(['', `  ${driftLegend(glyphs)}`]);
        for (const result of results.filter(({ status }) => history || status === 'drifted' || status === 'error')) {
          const when = history ? `${formatRelative(result.at, call.io.now())}  ` : '';
          const silent = result.status === 'drifted' && result.resources.length === 0;
          const said = result.message ?? (silent ? 'the tool does not say what' : null);
          const why = said ? `: ${said}` : '';
          call.printer.line(`  ${when}${oneLine(`${result.alias ?? environment.name}: ${result.status}${why}`)}`);
          for (const line of driftLines(result.resources, glyphs)) call.printer.line(`    ${line}`);
        }
        const name = shellQuote(environment.name);
        call.printer.line(`\nNext:  windlass drift check ${name} · windlass deploy ${name}`);
        return undefined;
      },
    },
    drift,
  );
  add(
    {
      usage: 'check <environment>',
      summary: 'Check for drift now; only reads',
      examples: [
        ['windlass drift check shop', ''],
        ['windlass drift check shop/db', 'one node'],
      ],
      flags: followFlags,
      options: z.object(followOptions),
      async run(call) {
        const session = await call.connect();
        const { root, alias } = await findPlace(session.client, call.argument(0));
        return startRun(call, session, root, {
          type: 'drift',
          ...(alias === null ? {} : { partial: { operation: 'single-node-deploy', node: alias, trickleDown: 'none' } }),
        });
      },
    },
    drift,
  );
  add(
    {
      usage: 'set <environment>',
      aliases: ['create', 'update'],
      summary: 'Check for drift at fixed times',
      examples: [
        ['windlass drift set shop --cron "0 8,20 * * *"', 'twice a day'],
        ['windlass drift set shop --remediation redeploy', 'and put it right'],
      ],
      flags: [
        { flags: '--cron <cron>', description: 'when checks run' },
        { flags: '--timezone <name>', description: 'of the cron (default UTC)' },
        {
          flags: '--remediation <what>',
          description: 'what happens to what drifted',
          choices: ['none', 'redeploy', 'ask'],
        },
        { flags: '--max-parallel <n>', description: 'nodes checked at once' },
        { flags: '--paused <true|false>', description: 'whether checks wait until further notice' },
      ],
      options: z.object({
        cron: z.string().optional(),
        timezone: z.string().optional(),
        remediation: z.enum(['none', 'redeploy', 'ask']).optional(),
        maxParallel: z.coerce.number('expected a whole number').int().optional(),
        paused: z
          .enum(['true', 'false'], 'expected true or false')
          .transform((text) => text === 'true')
          .optional(),
      }),
      async run(call) {
        const { options } = call;
        checkCron('--cron', options.cron, options.timezone);
        const { client } = await call.connect();
        const environment = await getEnvironment(client, call.argument(0));
        const given = Object.fromEntries(
          Object.entries(options).filter(
            ([name, value]) => value !== undefined && name in environmentDriftSchema.shape,
          ),
        );
        const merged = { ...environment.settings.drift, ...given };
        if (!('cron' in merged)) throw usageError('--cron is missing', 'such as --cron "0 8,20 * * *"');
        const body: EnvironmentDrift = environmentDriftSchema.parse(merged);
        await client.drift.set({ params: { ref: environment.id }, body });
        printItem(call, body, [
          ['environment', environment.name],
          ['checks', describeCron(body.cron, body.timezone, call.io.now())],
          ['then', body.remediation],
          ['paused', body.paused ? 'yes' : null],
        ]);
      },
    },
    drift,
  );
  add(
    {
      usage: 'delete <environment>',
      aliases: ['rm'],
      summary: 'Stop checking for drift',
      examples: [['windlass drift delete shop', '']],
      options: noOptions,
      async run(call) {
        const { client } = await call.connect();
        const environment = await getEnvironment(client, call.argument(0));
        await client.drift.remove({ params: { ref: environment.id } });
        printDone(call, `${environment.name} is not checked for drift any more.`, null);
      },
    },
    drift,
  );
}

type DriftAnswer = AnswerOf<Client['drift']['get']>;
type DriftResult = DriftAnswer['results'][number];

/** What is known of each node now: the newest result of those whose status still says so. A deploy makes older ones void. */
async function currentResults(client: Client, environment: Environment, first: DriftAnswer): Promise<DriftResult[]> {
  const { items: nodes } =
    environment.type === 'workflow'
      ? await collect(client.environments.children, { params: { ref: environment.id } })
      : { items: [environment] };
  const checked = nodes.filter(({ flags }) => flags.drift !== 'neverRun');
  const newest = new Map<string, DriftResult>();
  for (let page = first; ;) {
    for (const result of page.results) if (!newest.has(result.environmentId)) newest.set(result.environmentId, result);
    if (page.nextCursor === null || checked.every(({ id }) => newest.has(id))) break;
    page = await fetchDrift(client, environment.id, page.nextCursor);
  }
  return checked.flatMap((node) => {
    const result = newest.get(node.id);
    return result !== undefined && result.status === node.flags.drift ? [result] : [];
  });
}

function fetchDrift(client: Client, id: string, cursor?: string): Promise<DriftAnswer> {
  return client.drift.get({ params: { ref: id }, query: { limit: 200, cursor } });
}
