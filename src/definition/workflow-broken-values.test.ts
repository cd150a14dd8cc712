import { formatProblem, parseWorkflowFile } from './index.ts';

interface BrokenFile {
  readonly it: string;
  readonly file: string;
  readonly text: readonly string[];
  readonly variables?: Readonly<Record<string, string>>;
  /** Exactly what a user sees. */
  readonly printed: readonly string[];
}

/** Broken in the values of single keys. */
const brokenValues: readonly (readonly [string, readonly BrokenFile[]])[] = [
  [
    'Variables and inputs',
    [
      {
        it: 'a variable without a value',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db:', '    templateName: DB', '    variables:', '      size:'],
        printed: [
          'shop.workflow.yml:5:7  error  variable "size" of sub-environment "db" has no value; write "" for an empty text',
        ],
      },
      {
        it: 'a variable with half a specification',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db:', '    templateName: DB', '    variables:', '      size: {type: number}'],
        printed: [
          'shop.workflow.yml:5:7  error  variable "size" of sub-environment "db" has no value; a map that is the value itself is written {value: {…}, type: map}',
        ],
      },
      {
        it: 'a variable of an unknown type',
        file: 'shop.workflow.yml',
        text: [
          'environments:',
          '  db:',
          '    templateName: DB',
          '    variables:',
          '      size: {value: 3, type: numbr}',
        ],
        printed: [
          'shop.workflow.yml:5:30  error  type of variable "size" of sub-environment "db" is "numbr"; it has to be text, number, boolean, list or map; did you mean "number"?',
        ],
      },
      {
        it: 'a value that is not of its type',
        file: 'shop.workflow.yml',
        text: [
          'environments:',
          '  db:',
          '    templateName: DB',
          '    variables:',
          '      size: {value: three, type: number}',
        ],
        printed: [
          'shop.workflow.yml:5:21  error  variable "size" of sub-environment "db" has to be a number, but is other text',
        ],
      },
      {
        it: 'a number that cannot be kept',
        file: 'shop.workflow.yml',
        text: [
          'environments:',
          '  db:',
          '    templateName: DB',
          '    variables:',
          '      account: 12345678901234567890',
        ],
        printed: [
          'shop.workflow.yml:5:16  error  variable "account" of sub-environment "db" holds the number 12345678901234567890, which cannot be kept exactly; put it in quotes',
        ],
      },
      {
        it: 'a name that is none',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db:', '    templateName: DB', '    variables:', '      "a b": 1'],
        printed: [
          'shop.workflow.yml:5:7  error  variable "a b" of sub-environment "db" needs another name: one of at most 200 characters that starts with a letter or _, then letters, digits, "_", "-" or "."',
        ],
      },
      {
        it: 'a variable that reads an output',
        file: 'shop.workflow.yml',
        text: [
          'environments:',
          '  db:',
          '    templateName: DB',
          '    variables:',
          '      vpc_id: ${environments.vpc.outputs.id}',
        ],
        printed: [
          'shop.workflow.yml:5:15  error  variable "vpc_id" of sub-environment "db" reads an output of another sub-environment; move it to inputs',
        ],
      },
      {
        it: 'an input without a reference',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db:', '    templateName: DB', '    inputs:', '      region: eu-west-1'],
        printed: [
          'shop.workflow.yml:5:15  error  input "region" of sub-environment "db" reads no output; a constant belongs under variables',
        ],
      },
      {
        it: 'an input that cannot be read',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db:', '    templateName: DB', '    inputs:', '      vpc_id: ${environments.vpc.id}'],
        printed: [
          'shop.workflow.yml:5:15  error  input "vpc_id" of sub-environment "db": "${environments.vpc.id}" is not a reference to an output; write ${environments.<alias>.outputs.<name>}, and an alias with dots or brackets as environments["…"]',
        ],
      },
      {
        it: 'an input that takes a part of an output',
        file: 'shop.workflow.yml',
        text: [
          'environments:',
          '  db:',
          '    templateName: DB',
          '    inputs:',
          '      subnet: ${environments.vpc.outputs.subnets[0]}',
        ],
        printed: [
          'shop.workflow.yml:5:15  error  input "subnet" of sub-environment "db": "${environments.vpc.outputs.subnets[0]}" is not a reference to an output; write ${environments.<alias>.outputs.<name>}, and an alias with dots or brackets as environments["…"]',
        ],
      },
      {
        it: 'an input that is never closed',
        file: 'shop.workflow.yml',
        text: [
          'environments:',
          '  db:',
          '    templateName: DB',
          '    inputs:',
          '      vpc_id: "${environments.vpc.outputs.id"',
        ],
        printed: [
          'shop.workflow.yml:5:15  error  input "vpc_id" of sub-environment "db": "${environments.vpc.outputs.id" has no closing }; write $${ for the characters themselves',
        ],
      },
      {
        it: 'an input from nowhere',
        file: 'shop.workflow.yml',
        text: [
          'environments:',
          '  db:',
          '    templateName: DB',
          '    needs: [vpc]',
          '    inputs:',
          '      vpc_id: ${environments.vcp.outputs.id}',
          '  vpc: {templateName: VPC}',
        ],
        printed: [
          'shop.workflow.yml:6:15  error  input "vpc_id" reads environments.vcp, which does not exist; did you mean "vpc"?',
        ],
      },
      {
        it: 'an input whose producer is not upstream',
        file: 'shop.workflow.yml',
        text: [
          'environments:',
          '  vpc: {templateName: VPC}',
          '  eks: {templateName: EKS}',
          '  billing:',
          '    templateName: Billing',
          '    needs: [eks]',
          '    inputs:',
          '      vpc_id: ${environments.vpc.outputs.id}',
        ],
        printed: [
          'shop.workflow.yml:8:15  error  input "vpc_id" reads environments.vpc, which "billing" does not need, directly or through others',
        ],
      },
      {
        it: 'an input whose producer has spaces in its name',
        file: 'shop.workflow.yml',
        text: [
          'environments:',
          '  VPC and Network: {templateName: VPC}',
          '  db:',
          '    templateName: DB',
          '    inputs:',
          '      vpc_id: ${environments["VPC and Network"].outputs.id}',
        ],
        printed: [
          'shop.workflow.yml:6:15  error  input "vpc_id" reads environments["VPC and Network"], which "db" does not need, directly or through others',
        ],
      },
      {
        it: 'an input from the node itself',
        file: 'shop.workflow.yml',
        text: [
          'environments:',
          '  db:',
          '    templateName: DB',
          '    inputs:',
          '      x: ${environments.db.outputs.y}',
        ],
        printed: [
          'shop.workflow.yml:5:10  error  input "x" reads environments.db, which is the sub-environment itself',
        ],
      },
      {
        it: 'an input that is a variable too',
        file: 'shop.workflow.yml',
        text: [
          'environments:',
          '  db:',
          '    templateName: DB',
          '    needs: [vpc]',
          '    variables:',
          '      vpc_id: vpc-1',
          '    inputs:',
          '      vpc_id: ${environments.vpc.outputs.id}',
          '  vpc: {templateName: VPC}',
        ],
        printed: [
          'shop.workflow.yml:8:7  error  input "vpc_id" of sub-environment "db" is set under variables too; keep one',
        ],
      },
    ],
  ],
  [
    'Durations, retries, barriers',
    [
      {
        it: 'a duration without a unit',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db:', '    templateName: DB', '    timeout: 30'],
        printed: [
          'shop.workflow.yml:4:14  error  timeout of sub-environment "db": "30" is not a duration: add a unit, such as 30s or 30m',
        ],
      },
      {
        it: 'a duration with an unknown unit',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db:', '    templateName: DB', '    timeout: 3w'],
        printed: [
          'shop.workflow.yml:4:14  error  timeout of sub-environment "db": "3w" is not a duration: the unit "w" is not one of s, m, h and d',
        ],
      },
      {
        it: 'a duration that is words',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db:', '    templateName: DB', '    ttl: two hours'],
        printed: [
          'shop.workflow.yml:4:10  error  ttl of sub-environment "db": "two hours" is not a duration: write whole numbers with a unit, such as 30s, 10m, 2h or 1d',
        ],
      },
      {
        it: 'a duration in the wrong order',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db:', '    templateName: DB', '    ttl: 10m2h'],
        printed: [
          'shop.workflow.yml:4:10  error  ttl of sub-environment "db": "10m2h" is not a duration: write each unit once, from the largest to the smallest, such as 1h30m',
        ],
      },
      {
        it: 'a timeout that is too long',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db:', '    templateName: DB', '    timeout: 8d'],
        printed: ['shop.workflow.yml:4:14  error  timeout of sub-environment "db" is 8d; at most 7d are allowed'],
      },
      {
        it: 'a timeout of nothing',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db:', '    templateName: DB', '    timeout: 0s'],
        printed: ['shop.workflow.yml:4:14  error  timeout of sub-environment "db" is 0s; it has to be at least 1s'],
      },
      {
        it: 'too many retries',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db:', '    templateName: DB', '    retry: 21'],
        printed: ['shop.workflow.yml:4:12  error  retry of sub-environment "db" is 21; it has to be between 0 and 20'],
      },
      {
        it: 'a retry rule without a maximum',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db:', '    templateName: DB', '    retry: {interval: 10s}'],
        printed: [
          'shop.workflow.yml:4:12  error  retry of sub-environment "db" has no maximum; say how often to try again, such as maximum: 3',
        ],
      },
      {
        it: 'a retry pattern that is none',
        file: 'shop.workflow.yml',
        text: [
          'environments:',
          '  db:',
          '    templateName: DB',
          '    retry: {maximum: 2, onlyWhenMatches: "(unclosed"}',
        ],
        printed: [
          'shop.workflow.yml:4:42  error  onlyWhenMatches in retry of sub-environment "db": "(unclosed" is not a regular expression: missing closing )',
        ],
      },
      {
        it: 'a retry of what never passes',
        file: 'shop.workflow.yml',
        text: [
          'environments:',
          '  db:',
          '    templateName: DB',
          '    retry:',
          '      maximum: 2',
          '      classes: [quota, credentials, network]',
        ],
        printed: [
          'shop.workflow.yml:6:24  error  classes in retry of sub-environment "db": credentials errors do not pass by themselves; it can be quota, lock, provider, tool, timeout or internal',
          'shop.workflow.yml:6:37  error  classes in retry of sub-environment "db": "network" is no class of errors; it can be quota, lock, provider, tool, timeout or internal',
        ],
      },
      {
        it: 'a barrier listed twice',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db:', '    templateName: DB', '    barriers: [switch, switch]'],
        printed: [
          'shop.workflow.yml:4:24  error  the barrier "switch" is listed twice; a sub-environment crosses it once',
        ],
      },
    ],
  ],
  [
    'Settings',
    [
      {
        it: 'a failure policy that does not exist',
        file: 'shop.workflow.yml',
        text: ['settings:', '  onFailure: rolback', 'environments:', '  db: {templateName: DB}'],
        printed: [
          'shop.workflow.yml:2:14  error  onFailure is "rolback"; it has to be continue, stop or rollback; did you mean "rollback"?',
        ],
      },
      {
        it: 'no parallelism',
        file: 'shop.workflow.yml',
        text: ['settings:', '  maxParallel: 0', 'environments:', '  db: {templateName: DB}'],
        printed: ['shop.workflow.yml:2:16  error  maxParallel is 0; it has to be between 1 and 1000'],
      },
      {
        it: 'a cron of six fields',
        file: 'shop.workflow.yml',
        text: ['settings:', '  schedule:', '    deploy: "0 0 7 * * 1-5"', 'environments:', '  db: {templateName: DB}'],
        printed: [
          'shop.workflow.yml:3:13  error  schedule.deploy: "0 0 7 * * 1-5" is not a cron expression: it has 6 fields, not 5 (minute hour day-of-month month day-of-week)',
        ],
      },
      {
        it: 'a cron with an hour that does not exist',
        file: 'shop.workflow.yml',
        text: ['settings:', '  schedule:', '    deploy: "0 25 * * *"', 'environments:', '  db: {templateName: DB}'],
        printed: [
          'shop.workflow.yml:3:13  error  schedule.deploy: "0 25 * * *" is not a cron expression: "25" is no hour (0-23)',
        ],
      },
      {
        it: 'a cron by its nickname',
        file: 'shop.workflow.yml',
        text: ['settings:', '  schedule: {deploy: "@daily"}', 'environments:', '  db: {templateName: DB}'],
        printed: [
          'shop.workflow.yml:2:22  error  schedule.deploy: "@daily" is not a cron expression: write the five fields instead, such as "0 2 * * *" for every day at 02:00',
        ],
      },
      {
        it: 'a cron with both days',
        file: 'shop.workflow.yml',
        text: ['settings:', '  schedule: {deploy: "0 7 1 * MON"}', 'environments:', '  db: {templateName: DB}'],
        printed: [
          'shop.workflow.yml:2:22  error  schedule.deploy: "0 7 1 * MON" is not a cron expression: a day of month and a day of week together mean "either" to some schedulers and "both" to others; leave one of them *, or use two schedules',
        ],
      },
      {
        it: 'a cron on a day that does not exist',
        file: 'shop.workflow.yml',
        text: ['settings:', '  drift: "0 0 31 2 *"', 'environments:', '  db: {templateName: DB}'],
        printed: [
          'shop.workflow.yml:2:10  error  drift: "0 0 31 2 *" is not a cron expression: no such day exists, so it would never fire',
        ],
      },
      {
        it: 'a cron with a letter of another scheduler',
        file: 'shop.workflow.yml',
        text: ['settings:', '  drift: "0 0 L * *"', 'environments:', '  db: {templateName: DB}'],
        printed: [
          'shop.workflow.yml:2:10  error  drift: "0 0 L * *" is not a cron expression: "L" is no day of month (1-31)',
        ],
      },
      {
        it: 'a time zone that does not exist',
        file: 'shop.workflow.yml',
        text: [
          'settings:',
          '  schedule: {deploy: "0 7 * * *", timezone: Europe/Berln}',
          'environments:',
          '  db: {templateName: DB}',
        ],
        printed: [
          'shop.workflow.yml:2:45  error  schedule.timezone: "Europe/Berln" is not a time zone; did you mean "Europe/Berlin"?',
        ],
      },
      {
        it: 'a time zone that is an offset',
        file: 'shop.workflow.yml',
        text: [
          'settings:',
          '  schedule: {deploy: "0 7 * * *", timezone: "+02:00"}',
          'environments:',
          '  db: {templateName: DB}',
        ],
        printed: [
          'shop.workflow.yml:2:45  error  schedule.timezone: "+02:00" is not a time zone; write an IANA name such as "Europe/Berlin" or "UTC"',
        ],
      },
      {
        it: 'deploy and destroy at once',
        file: 'shop.workflow.yml',
        text: [
          'settings:',
          '  schedule: {deploy: "0 7 * * *", destroy: "0 7 * * *"}',
          'environments:',
          '  db: {templateName: DB}',
        ],
        printed: [
          'shop.workflow.yml:2:44  error  schedule.destroy is the same as schedule.deploy; an environment cannot go up and down at once',
        ],
      },
      {
        it: 'a schedule of nothing',
        file: 'shop.workflow.yml',
        text: ['settings:', '  schedule: {timezone: UTC}', 'environments:', '  db: {templateName: DB}'],
        printed: ['shop.workflow.yml:2:13  error  schedule has neither deploy nor destroy; give one a cron expression'],
      },
      {
        it: 'drift without a cron',
        file: 'shop.workflow.yml',
        text: ['settings:', '  drift: {remediation: ask}', 'environments:', '  db: {templateName: DB}'],
        printed: ['shop.workflow.yml:2:10  error  drift has no cron; say when to look, such as "0 8,20 * * *"'],
      },
      {
        it: 'a remediation that does not exist',
        file: 'shop.workflow.yml',
        text: [
          'settings:',
          '  drift: {cron: "0 8 * * *", remediation: fix}',
          'environments:',
          '  db: {templateName: DB}',
        ],
        printed: ['shop.workflow.yml:2:43  error  drift.remediation is "fix"; it has to be none, redeploy or ask'],
      },
    ],
  ],
  [
    'Variables of the environment',
    [
      {
        it: 'a variable without a value',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db:', '    templateName: DB', '    workspace: ${STAGE}-db'],
        variables: { STAGES: 'x' },
        printed: [
          'shop.workflow.yml:4:16  error  workspace of sub-environment "db": ${STAGE} has no value; did you mean "STAGES"?',
        ],
      },
      {
        it: 'a name of Object.prototype',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db:', '    templateName: DB', '    workspace: ${constructor}'],
        variables: {},
        printed: [
          'shop.workflow.yml:4:16  error  workspace of sub-environment "db": ${constructor} has no value; set the environment variable, or correct the name',
        ],
      },
      {
        it: 'disabled by a text that is neither',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db:', '    templateName: DB', '    disabled: ${DB_OFF}'],
        variables: { DB_OFF: 'maybe' },
        printed: [
          'shop.workflow.yml:4:15  error  disabled of sub-environment "db" is "${DB_OFF}", which gives "maybe"; it has to be true, false or a ${VARIABLE} that is one of them',
        ],
      },
      {
        it: 'a variable that leaves nothing',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db:', '    templateName: DB', '    workspace: ${STAGE}'],
        variables: { STAGE: '' },
        printed: [
          'shop.workflow.yml:4:16  error  workspace of sub-environment "db" is empty once "${STAGE}" is resolved',
        ],
      },
      {
        it: 'something that is not a variable',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db:', '    templateName: DB', '    workspace: ${STAGE-1}'],
        printed: [
          'shop.workflow.yml:4:16  error  workspace of sub-environment "db": "${STAGE-1}" is not the name of a variable; write $${ for the characters themselves',
        ],
      },
      {
        it: 'an output outside of inputs',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db:', '    templateName: DB', '    workspace: ${environments.vpc.outputs.id}'],
        printed: [
          'shop.workflow.yml:4:16  error  workspace of sub-environment "db": "${environments.vpc.outputs.id}" can only stand in inputs; an output is not known before the run',
        ],
      },
      {
        it: 'a path that a variable leads out of the source',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db:', '    vcs:', '      type: opentofu', '      path: ${STACK}'],
        variables: { STACK: '../../etc' },
        printed: [
          'shop.workflow.yml:5:13  error  vcs of sub-environment "db": the path "../../etc" leads out of its source',
        ],
      },
      {
        it: 'a variable that smuggles in a reference',
        file: 'shop.workflow.yml',
        text: [
          'environments:',
          '  db:',
          '    templateName: DB',
          '    needs: [vpc]',
          '    inputs:',
          '      x: ${environments.vpc.outputs.id}-${TAIL}',
          '      y: ${TAIL}',
          '  vpc: {templateName: VPC}',
        ],
        variables: { TAIL: '${environments.secret.outputs.key}' },
        printed: [
          'shop.workflow.yml:7:10  error  input "y" of sub-environment "db" reads no output; a constant belongs under variables',
        ],
      },
    ],
  ],
  [
    'Many at once',
    [
      {
        it: 'all problems in the order of the file',
        file: 'shop.workflow.yml',
        text: [
          'settings: {onFailur: stop}',
          'environments:',
          '  eks: {templateName: EKS}',
          '  billing:',
          '    templateName: Billing',
          '    needs: [ek, notification]',
          '    inputs: {vpc_id: "${environments.eks.outputs.id}"}',
          '  notification:',
          '    templateName: N',
          '    timeout: soon',
          '    needs: [billing]',
        ],
        printed: [
          'shop.workflow.yml:1:12  error  unknown key "onFailur" in settings; did you mean "onFailure"?',
          'shop.workflow.yml:6:13  error  unknown sub-environment "ek" in needs; did you mean "eks"?',
          'shop.workflow.yml:7:22  error  input "vpc_id" reads environments.eks, which "billing" does not need, directly or through others',
          'shop.workflow.yml:10:14  error  timeout of sub-environment "notification": "soon" is not a duration: write whole numbers with a unit, such as 30s, 10m, 2h or 1d',
          'shop.workflow.yml:11:13  error  cycle: billing → notification → billing',
        ],
      },
    ],
  ],
];

describe.each(brokenValues)('%s', (_, files) => {
  it.each(files)('$it', ({ file, text, variables, printed }) => {
    const { definition, problems } = parseWorkflowFile(text.join('\n'), { fileName: file, variables });
    expect(definition).toBeNull();
    expect(problems.map(formatProblem)).toEqual(printed);
  });
});
