import type { ErrorClass } from '../../model/index.ts';
import { describeFailure, diagnosticsOf } from '../failures.ts';
import { needsInit, parseLock } from './messages.ts';
import type { Diagnostic } from './events.ts';

function failure(diagnostics: Partial<Diagnostic>[], text = '') {
  return {
    diagnostics: diagnostics.map((d) => ({ severity: 'error', summary: '', detail: '', ...d })),
    text,
    code: 1,
    stopped: null,
    stage: 'apply',
  };
}

const range = { filename: 'main.tf', start: { line: 14, column: 3 } };
const address = 'aws_db_instance.main';

/** Messages as the tools and providers write them. */
const messages: readonly (readonly [ErrorClass, Partial<Diagnostic>])[] = [
  [
    'stalePlan',
    {
      summary: 'Saved plan is stale',
      detail:
        'The given plan file can no longer be applied because the state was changed by another operation after the plan was created.',
    },
  ],
  ['stalePlan', { summary: 'Saved plan does not match the given state' }],
  [
    'lock',
    {
      summary: 'Error acquiring the state lock',
      detail: 'Error message: HTTP remote state already locked: ID=x\nLock Info:\n  ID: x',
    },
  ],
  [
    'lock',
    {
      summary: 'Error acquiring the state lock',
      detail: 'ConditionalCheckFailedException: The conditional request failed',
    },
  ],
  ['lock', { summary: 'Error acquiring the state lock', detail: 'state blob is already locked' }],
  [
    'quota',
    {
      summary:
        'creating EC2 Instance: operation error EC2: RunInstances, https response error StatusCode: 400, api error VcpuLimitExceeded: You have requested more vCPU capacity',
      address,
      range,
    },
  ],
  [
    'quota',
    {
      summary:
        'reading IAM Role (x): operation error IAM: GetRole, exceeded maximum number of attempts, 25, Throttling: Rate exceeded',
      address,
      range,
    },
  ],
  [
    'quota',
    {
      summary:
        "Error creating Network: googleapi: Error 403: Quota 'NETWORKS' exceeded. Limit: 5.0 globally., quotaExceeded",
      address,
      range,
    },
  ],
  [
    'quota',
    {
      summary: 'creating Virtual Machine',
      detail: 'unexpected status 429 (429 Too Many Requests) with error: TooManyRequests',
      address,
    },
  ],
  ['credentials', { summary: 'No valid credential sources found', range }],
  [
    'credentials',
    {
      summary:
        'Retrieving AWS account details: validating provider credentials: retrieving caller identity from STS: operation error STS: GetCallerIdentity, https response error StatusCode: 403, api error ExpiredToken: The security token included in the request is expired',
      range,
    },
  ],
  [
    'credentials',
    {
      summary:
        'creating S3 Bucket (x): api error AccessDenied: User: arn:aws:iam::1:user/x is not authorized to perform: s3:CreateBucket',
      address,
      range,
    },
  ],
  [
    'credentials',
    {
      summary:
        "Error creating Instance: googleapi: Error 403: Required 'compute.instances.create' permission, forbidden",
      address,
      range,
    },
  ],
  [
    'credentials',
    {
      summary:
        'building AzureRM Client: clientCredentialsToken: received HTTP status 401 with response: AADSTS7000222: The provided client secret keys are expired',
    },
  ],
  [
    'credentials',
    { summary: 'Failed to get existing workspaces', detail: 'pq: password authentication failed for user "x"' },
  ],
  ['credentials', { summary: 'Error loading state', detail: 'HTTP remote state endpoint requires auth' }],
  ['definition', { summary: 'Unsupported argument', detail: 'An argument named "x" is not expected here.', range }],
  [
    'definition',
    {
      summary: 'Missing required argument',
      detail: 'The argument "ami" is required, but no definition was found.',
      address,
      range,
    },
  ],
  ['definition', { summary: 'Reference to undeclared resource', range }],
  ['definition', { summary: 'No value for required variable', range }],
  ['definition', { summary: 'Invalid value for input variable', range }],
  ['definition', { summary: 'Unclosed configuration block', range }],
  [
    'definition',
    {
      summary: 'Unreadable module directory',
      detail: 'Unable to evaluate directory symlink: lstat ../m: no such file or directory',
      range,
    },
  ],
  ['definition', { summary: 'Unsupported OpenTofu Core version', range }],
  ['definition', { summary: 'Backend type changed' }],
  ['definition', { summary: 'Some sentence never seen before', range }],
  [
    'provider',
    {
      summary:
        'creating RDS DB Instance (shop-db): operation error RDS: CreateDBInstance, DBInstanceAlreadyExists: DB instance already exists',
      address,
      range,
    },
  ],
  [
    'provider',
    {
      summary: 'local-exec provisioner error',
      detail: "Error running command 'exit 3': exit status 3. Output: working",
      address: 'terraform_data.boom',
      range,
    },
  ],
  [
    'provider',
    {
      summary: 'Failed to query available provider packages',
      detail: 'Could not retrieve the list of available versions for provider hashicorp/aws',
    },
  ],
  ['provider', { summary: 'Plugin did not respond', address, range }],
  ['provider', { summary: 'Provider produced inconsistent final plan', address }],
  ['provider', { summary: 'Failed to save state', detail: 'Post "https://x": dial tcp 1.2.3.4:443: i/o timeout' }],
  ['tool', { summary: 'Something else', detail: 'entirely' }],
];

test.each(messages)('%s: %j', (expected, diagnostic) => {
  const error = describeFailure(failure([diagnostic]));
  expect(error.class).toBe(expected);
  expect(error.hint).toBeTruthy();
});

test('the message names the resource and the reason on one line, with its place', () => {
  const error = describeFailure(
    failure([
      {
        summary: 'creating RDS DB Instance (shop-db)',
        detail: '\nDBInstanceAlreadyExists:\nshop-db\n\nMore advice.',
        address,
        range,
      },
    ]),
  );
  expect(error).toMatchObject({
    message: 'aws_db_instance.main: creating RDS DB Instance (shop-db): DBInstanceAlreadyExists: shop-db',
    where: 'main.tf:14',
  });
  expect(error.problems).toBeUndefined();
});

test('of several errors the one that decides what to do speaks, and all are listed', () => {
  const error = describeFailure(
    failure([
      { summary: 'creating thing', address, range },
      { summary: 'creating other: ThrottlingException: Rate exceeded', address: 'aws_x.y' },
      { severity: 'warning', summary: 'deprecated' },
    ]),
  );
  expect(error).toMatchObject({ class: 'quota', message: expect.stringContaining('aws_x.y') });
  expect(error.problems).toEqual([
    { message: 'aws_db_instance.main: creating thing', file: 'main.tf', line: 14, column: 3 },
    { message: expect.stringContaining('aws_x.y') },
  ]);
});

test('places are those of the source, seen from where the stack is', () => {
  const place = (filename: string): string | undefined =>
    describeFailure(failure([{ summary: 'Invalid expression', range: { ...range, filename } }]), {
      directory: 'stacks/db',
    }).where;
  expect(place('main.tf')).toBe('stacks/db/main.tf:14');
  expect(place('../../modules/net/main.tf')).toBe('modules/net/main.tf:14');
});

test('a variable without a value says how to give it one', () => {
  const detail = 'The root module input variable "size" is not set, and has no default value.';
  expect(describeFailure(failure([{ summary: 'No value for required variable', detail, range }])).hint).toContain(
    'windlass variable set size=VALUE',
  );
});

test('stopped and killed runs say so', () => {
  expect(describeFailure({ ...failure([]), stopped: 'timeout' })).toMatchObject({ class: 'timeout' });
  expect(describeFailure({ ...failure([]), stopped: 'abort' })).toMatchObject({
    class: 'cancelled',
    message: expect.stringContaining('interrupted'),
  });
  expect(describeFailure({ ...failure([]), code: 137 })).toMatchObject({
    class: 'tool',
    message: 'apply: the tool was ended by signal 9',
  });
  expect(describeFailure({ ...failure([], 'first\nlast words\n'), code: 3 }).message).toBe(
    'apply: the tool ended with code 3: last words',
  );
});

test('a state that Windlass has closed to a call is not a matter of credentials', () => {
  const closed = failure([
    { summary: 'Error acquiring the state lock', detail: 'Error message: HTTP remote state endpoint invalid auth' },
  ]);
  expect(describeFailure(closed, { managed: true }).class).toBe('cancelled');
  expect(describeFailure(closed).class).toBe('lock');
  const unsaved = failure([
    { summary: 'Failed to save state', detail: 'Error saving state: HTTP error: 403' },
    { summary: 'Failed to persist state to backend', detail: 'The error shown above has prevented OpenTofu' },
  ]);
  expect(describeFailure(unsaved, { managed: true }).class).toBe('cancelled');
  expect(describeFailure(unsaved).class).toBe('credentials');
});

test('errors printed for people are read too', () => {
  const text = [
    '\u001b[31m╷\u001b[0m',
    '│ Error: Failed to query available provider packages',
    '│ ',
    '│   with aws_vpc.main,',
    '│   on main.tf line 3, in resource "aws_vpc" "main":',
    '│    3: resource "aws_vpc" "main" {',
    '│ ',
    '│ Could not retrieve the list of available versions for provider',
    '│ hashicorp/aws: no such host',
    '╵',
  ].join('\n');
  expect(diagnosticsOf(text)).toMatchObject([
    {
      summary: 'Failed to query available provider packages',
      address: 'aws_vpc.main',
      range: { filename: 'main.tf', start: { line: 3 } },
    },
  ]);
  expect(describeFailure(failure([], text))).toMatchObject({
    class: 'provider',
    message:
      'aws_vpc.main: Failed to query available provider packages: Could not retrieve the list of available versions for provider hashicorp/aws: no such host',
    where: 'main.tf:3',
  });
});

test.each([
  ['Backend initialization required, please run "tofu init"', true],
  ['Backend initialization required: please run "terraform init"', true],
  ['Inconsistent dependency lock file', true],
  ['Required plugins are not installed', true],
  ['Module not installed', true],
  ['Unsupported argument', false],
])('%s asks for init: %s', (summary, expected) => {
  expect(needsInit(failure([{ summary }]))).toBe(expected);
});

test('the holder of a lock is read, but not the own try that some backends show', () => {
  const info =
    '  ID:        4e1\n  Path:      \n  Who:       me@here\n  Created:   2026-11-21 04:39:38.169866517 +0000 UTC\n';
  const createdAtMs = Date.parse('2026-11-21T04:39:38.169Z');
  expect(parseLock(`Error message: already locked\nLock Info:\n${info}`)).toEqual({
    id: '4e1',
    who: 'me@here',
    createdAtMs,
  });
  expect(parseLock(`HTTP remote state already locked:\nID=9f2\nLock Info:\n${info}`)).toEqual({
    id: '9f2',
    who: null,
    createdAtMs: null,
  });
  expect(parseLock('no lock here')).toBeNull();
});
