import { checkAgainstProject, formatProblem, formatProblems, parseWorkflowFile } from './index.ts';
import type { WorkflowFileOptions } from './index.ts';

function parse(lines: readonly string[], options: Partial<WorkflowFileOptions> = {}) {
  const parsed = parseWorkflowFile(lines.join('\n'), { fileName: 'windlass.workflow.yml', ...options });
  expect(parsed.problems.map(formatProblem)).toEqual([]);
  if (parsed.definition === null) throw new Error('no definition');
  return parsed.definition;
}

function problemsOf(text: string, options: Partial<WorkflowFileOptions> = {}): string[] {
  return parseWorkflowFile(text, { fileName: 'w.yml', ...options }).problems.map(formatProblem);
}

describe('a file of env0', () => {
  const file = [
    'settings:',
    '  environmentRemovalStrategy: destroy',
    'environments:',
    '  vpc:',
    '    name: VPC and Network',
    '    templateName: VPC',
    '  "a b ✨ ":',
    '    name: Data ${STAGE}',
    '    vcs:',
    '      type: terraform',
    '      repository: https://git.example/acme/infra.git',
    '      revision: 1.10',
    '      path: stacks/db/',
    '      terraformVersion: 1.9',
    '      terragruntVersion: 0.55.1',
    '      terragruntTfBinary: opentofu',
    '      helmChartName: chart',
    '      isHelmRepository: false',
    '      tokenId: t-1',
    '      tokenName: main',
    '      sshKeys: [{id: k-1, name: deploy}]',
    '      githubInstallationId: 123456',
    '      bitbucketClientKey: key',
    '      vcsConnectionId: c-1',
    '      isGitLab: false',
    '      isGitLabEnterprise: false',
    '      isGitHubEnterprise: true',
    '      isBitbucketServer: false',
    '      isAzureDevOps: false',
    '    needs: [vpc, vpc]',
    '    workspace: "db-${STAGE}"',
    '    requiresApproval: true',
    '    disabled: "${DB_OFF}"',
    '  k8s:',
    '    name: K8s',
    '    vcs: {type: k8s, repository: "git@git.example:acme/k8s.git"}',
    '    needs:',
    '      - "a b ✨ "',
    '    disabled: "true"',
  ];

  it('is read unmodified', () => {
    const definition = parse(file, {
      fileName: 'infra/env0.workflow.yml',
      variables: { STAGE: 'prod', DB_OFF: 'FALSE' },
    });
    expect(definition.settings).toEqual({
      environmentRemovalStrategy: 'destroy',
      onFailure: 'continue',
      maxParallel: undefined,
      schedule: undefined,
      drift: undefined,
    });
    const [vpc, db, k8s] = definition.nodes;
    expect(vpc).toMatchObject({
      alias: 'vpc',
      name: 'VPC and Network',
      templateName: 'VPC',
      inline: undefined,
      position: { line: 4, column: 3 },
    });
    expect(db).toMatchObject({
      alias: 'a b ✨ ',
      name: 'Data prod',
      needs: ['vpc'],
      workspace: 'db-prod',
      requiresApproval: true,
      disabled: false,
      inline: {
        type: 'terraform',
        source: { kind: 'git', repository: 'https://git.example/acme/infra.git', revision: '1.10', path: 'stacks/db' },
        config: {
          version: '1.9',
          extra: { helmChartName: 'chart', terragruntTfBinary: 'opentofu', isHelmRepository: false },
        },
      },
    });
    expect(k8s).toMatchObject({ needs: ['a b ✨ '], disabled: true, inline: { type: 'kubernetes' } });
  });

  it('keeps its variables open when none are given', () => {
    const [, db] = parse(file, { fileName: 'env0.workflow.yaml' }).nodes;
    expect(db).toMatchObject({ name: 'Data ${STAGE}', workspace: 'db-${STAGE}', disabled: false });
  });

  it('leaves the version to the tool when the file does', () => {
    for (const version of ['latest', 'RESOLVE_FROM_TERRAFORM_CODE']) {
      const vcs = `{type: terraform, repository: "https://git.example/x.git", terraformVersion: ${version}}`;
      const [node] = parse(['environments:', `  a: {name: A, vcs: ${vcs}}`], { fileName: 'env0.workflow.yml' }).nodes;
      expect(node?.inline?.config.version).toBeUndefined();
    }
  });
});

describe('a file of Windlass', () => {
  it('takes everything', () => {
    const definition = parse([
      'settings:',
      '  environmentRemovalStrategy: detach',
      '  onFailure: rollback',
      '  maxParallel: 8',
      '  schedule: {deploy: "0  7 * * MON-FRI", destroy: "0 19 * * 1-5", timezone: Europe/Berlin}',
      '  drift: {cron: "00 08,20 * * *", timezone: UTC, remediation: ask, maxParallel: 2}',
      '  notifications: {anything: goes}',
      'environments:',
      '  network:',
      '    vcs: {type: opentofu, path: ./network, opentofuVersion: 1.10.0}',
      '  db:',
      '    vcs:',
      '      type: shell',
      '      deployScript: |',
      '        echo ${HOME}',
      '      destroyScript: ./down.sh',
      '      planScript: ./plan.sh',
      '      driftScript: ./drift.sh',
      '    needs: [network]',
      '    variables:',
      '      size: 3',
      '      version: {value: 1.10, type: text}',
      '      tags: {team: shop, __proto__: x}',
      '      zones: [a, b]',
      '      public: false',
      '      TOKEN: {value: s3cret, sensitive: true, kind: environment}',
      '      spec: {value: {type: text}, type: map}',
      '    inputs:',
      '      vpc_id: ${environments.network.outputs.vpc_id}',
      '      url: "https://${environments[\'network\'].outputs[\\"host name\\"]}/${STAGE}"',
      '      count: {value: "${ environments.network.outputs.count }", type: number, kind: environment}',
      '    redeploy: onInputChange',
      '    timeout: 1h30m',
      '    retry: {maximum: 3, interval: 30s, backoff: 1.5, onlyWhenMatches: "rate limit", classes: [quota]}',
      '    ttl: 2d',
      '    barriers: [switch]',
      '  eks:',
      '    templateName: EKS',
      '    needs: [db]',
      '    retry: 2',
      '    inputs: {vpc_id: "${environments.network.outputs.vpc_id}"}',
    ]);
    expect(definition.settings).toEqual({
      environmentRemovalStrategy: 'detach',
      onFailure: 'rollback',
      maxParallel: 8,
      schedule: { deploy: '0 7 * * MON-FRI', destroy: '0 19 * * 1-5', timezone: 'Europe/Berlin' },
      drift: { cron: '00 08,20 * * *', timezone: 'UTC', remediation: 'ask', maxParallel: 2 },
    });
    const [network, db, eks] = definition.nodes;
    expect(network).toMatchObject({
      name: 'network',
      inline: { type: 'opentofu', source: { kind: 'own', path: 'network' }, config: { version: '1.10.0' } },
    });
    expect(db?.inline).toEqual({
      type: 'shell',
      source: { kind: 'own', path: '.' },
      config: {
        deployScript: 'echo ${HOME}\n',
        destroyScript: './down.sh',
        planScript: './plan.sh',
        driftScript: './drift.sh',
      },
    });
    expect(db?.variables).toEqual([
      { name: 'size', kind: 'tool', type: 'number', value: 3, sensitive: false },
      { name: 'version', kind: 'tool', type: 'text', value: '1.10', sensitive: false },
      {
        name: 'tags',
        kind: 'tool',
        type: 'map',
        value: JSON.parse('{"team":"shop","__proto__":"x"}'),
        sensitive: false,
      },
      { name: 'zones', kind: 'tool', type: 'list', value: ['a', 'b'], sensitive: false },
      { name: 'public', kind: 'tool', type: 'boolean', value: false, sensitive: false },
      { name: 'TOKEN', kind: 'environment', type: 'text', value: 's3cret', sensitive: true },
      { name: 'spec', kind: 'tool', type: 'map', value: { type: 'text' }, sensitive: false },
    ]);
    expect(db?.inputs).toMatchObject([
      {
        name: 'vpc_id',
        kind: 'tool',
        type: undefined,
        whole: { alias: 'network', output: 'vpc_id' },
        position: { line: 29, column: 15 },
      },
      { name: 'url', whole: undefined, references: [{ alias: 'network', output: 'host name' }] },
      { name: 'count', kind: 'environment', type: 'number', whole: { alias: 'network', output: 'count' } },
    ]);
    expect(db).toMatchObject({
      redeploy: 'onInputChange',
      timeoutSeconds: 5400,
      retry: { maximum: 3, intervalSeconds: 30, backoff: 1.5, onlyWhenMatches: 'rate limit', classes: ['quota'] },
      ttlSeconds: 172_800,
      barriers: ['switch'],
    });
    expect(eks).toMatchObject({ retry: { maximum: 2, intervalSeconds: 10, backoff: 2 }, redeploy: 'always' });
  });

  it('takes a cron alone for drift', () => {
    expect(parse(['settings: {drift: "0 8 * * *"}', 'environments: {a: {templateName: T}}']).settings.drift).toEqual({
      cron: '0 8 * * *',
      remediation: 'none',
    });
  });

  it('may reach code above it, but not above its source', () => {
    const file = ['environments:', '  a: {vcs: {type: opentofu, path: ../../stacks/a}}'];
    expect(parse(file, { directory: 'live/shop' }).nodes[0]?.inline?.source).toEqual({
      kind: 'own',
      path: '../../stacks/a',
    });
    expect(problemsOf(file.join('\n'), { directory: 'live' })).toEqual([
      'w.yml:2:35  error  vcs of sub-environment "a": the path "../../stacks/a" leads out of its source',
    ]);
  });

  it('writes ${ itself as $${', () => {
    expect(
      parse(['environments: {a: {templateName: T, workspace: "$${A}-${B}"}}'], { variables: { B: 'b' } }).nodes[0]
        ?.workspace,
    ).toBe('${A}-b');
    expect(parse(['environments: {a: {templateName: T, workspace: "$${A}-${B}"}}']).nodes[0]?.workspace).toBe(
      '$${A}-${B}',
    );
  });

  it('repeats values with aliases', () => {
    const nodes = parse([
      'environments:',
      '  vpc: {templateName: V}',
      '  a: &a',
      '    templateName: T',
      '    needs: &needs [vpc]',
      '  b: {templateName: T, needs: *needs}',
      '  c: *a',
    ]).nodes;
    expect(nodes.map((node) => node.needs)).toEqual([[], ['vpc'], ['vpc'], ['vpc']]);
  });

  it('keeps names of Object.prototype apart from it', () => {
    const nodes = parse([
      'environments:',
      '  __proto__: {templateName: T}',
      '  constructor: {templateName: toString, needs: [__proto__]}',
    ]).nodes;
    expect(nodes.map((node) => [node.alias, node.templateName, node.needs])).toEqual([
      ['__proto__', 'T', []],
      ['constructor', 'toString', ['__proto__']],
    ]);
    expect(problemsOf('environments:\n  a: {templateName: T, __proto__: {x: 1}, needs: [hasOwnProperty]}')).toEqual([
      'w.yml:2:24  error  unknown key "__proto__" in sub-environment "a"; known are name, templateName, vcs, needs, revision, workspace, requiresApproval, disabled, approval, variables, inputs, redeploy, timeout, retry, ttl and barriers',
      'w.yml:2:51  error  unknown sub-environment "hasOwnProperty" in needs; the file has "a"',
    ]);
  });
});

describe('a hostile file', () => {
  // The largest file takes a second; on a machine that does other things, several.
  jest.setTimeout(60_000);

  it('is not read beyond a mebibyte', () => {
    expect(problemsOf('#'.repeat(1024 * 1024 + 1))).toEqual([
      'w.yml  error  the file has 1048577 bytes; at most 1048576 (1 MiB) are read',
    ]);
  });

  it('is not read when it is binary', () => {
    expect(problemsOf('environments: \0')).toEqual([
      'w.yml  error  the file holds a NUL character; it has to be a text in UTF-8',
    ]);
  });

  it('gains nothing from aliases of aliases', () => {
    const names = [...'abcdefghi'];
    const bomb = names.map(
      (name, i) =>
        `${name}: &${name} [${Array.from({ length: 9 }, () => (i === 0 ? 'lol' : `*${names[i - 1]}`)).join(',')}]`,
    );
    expect(problemsOf(bomb.join('\n'))).toEqual([
      'w.yml:6:8  error  the aliases of the file stand for more than 100000 values; write fewer of them',
    ]);
  });

  it('gains nothing from depth', () => {
    expect(problemsOf('['.repeat(500_000))).toEqual(['w.yml:1:42  error  this is nested more than 40 levels deep']);
    expect(problemsOf('- '.repeat(500_000))).toEqual(['w.yml:1:83  error  this is nested more than 40 levels deep']);
    const chain = Array.from({ length: 30 }, (_, i) => `a${i}: &a${i} [[${i === 0 ? '' : `*a${i - 1}`}]]`);
    expect(problemsOf(chain.join('\n'))).toEqual([
      'w.yml:20:13  error  with the alias *a18, this is nested more than 40 levels deep',
    ]);
  });

  it('does not have every one of its errors collected', () => {
    expect(problemsOf(']'.repeat(1_000_000))).toEqual([
      'w.yml:1:21  error  there are more than 20 syntax errors up to here',
    ]);
    const unknown = Array.from({ length: 3000 }, (_, i) => `  a${i}: {templateName: T, needs: [missing]}`);
    const printed = problemsOf(['environments:', ...unknown].join('\n'));
    expect(printed).toHaveLength(201);
    expect(printed[200]).toBe('w.yml  error  and 2800 more problems');
  });

  it('has 10,000 sub-environments at most', () => {
    const nodes = (count: number) =>
      [
        'environments:',
        ...Array.from(
          { length: count },
          (_, i) => `  n${i}: {templateName: T, needs: [${i === 0 ? '' : `n${i - 1}`}]}`,
        ),
      ].join('\n');
    expect(problemsOf(nodes(10_000))).toEqual([]);
    expect(problemsOf(nodes(10_001))).toEqual([
      'w.yml:2:3  error  there are 10001 sub-environments; at most 10000 are allowed',
    ]);
  });

  it('cannot smuggle a reference in through a variable', () => {
    const variables = { TAIL: '${environments.secret.outputs.key}' };
    const [a] = parse(
      [
        'environments:',
        '  a: {templateName: T, needs: [b], inputs: {x: "${environments.b.outputs.y}${TAIL}"}}',
        '  b: {templateName: T}',
      ],
      { variables },
    ).nodes;
    expect(a?.inputs[0]?.references).toEqual([{ alias: 'b', output: 'y' }]);
    expect(a?.inputs[0]?.template).toBe('${environments.b.outputs.y}$${environments.secret.outputs.key}');
  });
});

describe('variables in values of variables', () => {
  const lines = [
    'environments:',
    '  db:',
    '    templateName: Database',
    '    variables:',
    '      bare: db.${ZONE}',
    '      port: {value: "${PORT}", type: number}',
    '      tags: {value: {zone: ["${ZONE}"]}, type: map}',
    '      url: "postgres://app:${PASSWORD}@db.${ZONE}"',
    '      literal: $${ZONE}',
  ];
  const variables = { ZONE: 'eu', PORT: '5432' };
  const secrets = { PASSWORD: 'hunter2' };

  it('are put in before the type is looked at; a sensitive one makes the whole sensitive', () => {
    const [db] = parse(lines, { variables, secrets }).nodes;
    expect(db?.variables.map(({ name, type, value, sensitive }) => [name, type, value, sensitive])).toEqual([
      ['bare', 'text', 'db.eu', false],
      ['port', 'number', 5432, false],
      ['tags', 'map', { zone: ['eu'] }, false],
      ['url', 'text', 'postgres://app:hunter2@db.eu', true],
      ['literal', 'text', '${ZONE}', false],
    ]);
  });

  it('stay open without the variables of a run', () => {
    expect(parse(lines).nodes[0]?.variables[1]).toMatchObject({ type: 'number', value: '${PORT}' });
  });

  it('have to be there, and what is wrong never shows a secret', () => {
    const bad = [
      'environments:',
      '  db:',
      '    templateName: Database',
      '    name: ${PASSWORD}',
      '    variables:',
      '      bare: db.${ZON}',
      '      port: {value: "${PASSWORD}", type: number}',
      '      rest: "${a-b}"',
    ];
    const found = formatProblems(parseWorkflowFile(bad.join('\n'), { fileName: 'w.yml', variables, secrets }).problems);
    expect(found).toEqual([
      'w.yml:4:11  error  name of sub-environment "db": ${PASSWORD} is sensitive; only values under variables can use it, since this one is shown',
      'w.yml:6:13  error  variable "bare" of sub-environment "db": ${ZON} has no value; did you mean "ZONE"?',
      'w.yml:7:21  error  variable "port" of sub-environment "db" has to be a number, but is other text',
      expect.stringContaining(
        'w.yml:8:13  error  variable "rest" of sub-environment "db": "${a-b}" is not the name of a variable',
      ),
    ]);
    expect(found.join()).not.toContain('hunter2');
  });
});

describe('against a project', () => {
  const templateNames = [
    { id: 'tpl_1', name: 'VPC', type: 'opentofu' },
    { id: 'tpl_2', name: 'Database', type: 'opentofu' },
    { id: 'tpl_3', name: 'Twin', type: 'shell' },
    { id: 'tpl_4', name: 'Twin', type: 'shell' },
    { id: 'tpl_5', name: 'Shop', type: 'workflow' },
    { id: 'tpl_6', name: 'Chart', type: 'helm' },
  ] as const;
  const runnable = ['opentofu', 'shell'] as const;
  const definition = parse([
    'environments:',
    '  vpc: {templateName: VPC}',
    '  db: {templateName: Databse}',
    '  cache: {templateName: Redis}',
    '  twin: {templateName: Twin}',
    '  shop:',
    '    templateName: Shop',
    '  own: {vcs: {type: shell}}',
  ]);

  it('templates have to exist once; a workflow is one like any other', () => {
    expect(formatProblems(checkAgainstProject(definition, { templateNames, runnable, fileName: 'w.yml' }))).toEqual([
      'w.yml:3:22  error  sub-environment "db" uses the template "Databse", which does not exist; did you mean "Database"?',
      'w.yml:4:25  error  sub-environment "cache" uses the template "Redis", which does not exist; the project has "VPC", "Database", "Twin", "Shop" and "Chart"',
      'w.yml:5:24  error  sub-environment "twin" uses the template "Twin", and 2 have that name: tpl_3 and tpl_4; rename all but one',
    ]);
  });

  it('types that nothing can run are refused, all at once, unless the node is disabled', () => {
    const file = parse([
      'environments:',
      '  chart: {templateName: Chart}',
      '  web:',
      '    vcs:',
      '      type: pulumi',
      '  off: {templateName: Chart, disabled: true}',
      '  own: {vcs: {type: shell}}',
    ]);
    expect(formatProblems(checkAgainstProject(file, { templateNames, runnable, fileName: 'w.yml' }))).toEqual([
      'w.yml:2:25  error  sub-environment "chart" uses the template "Chart" of the type helm, which this version of Windlass cannot run; it runs opentofu and shell',
      'w.yml:5:13  error  sub-environment "web" has the type pulumi, which this version of Windlass cannot run; it runs opentofu and shell',
    ]);
  });

  it('no node lives longer than the project allows', () => {
    const file = parse(['environments:', '  a: {vcs: {type: shell}, ttl: 2h}', '  b: {vcs: {type: shell}, ttl: 1d}']);
    const options = { templateNames, runnable, fileName: 'w.yml' };
    expect(checkAgainstProject(file, options)).toEqual([]);
    expect(formatProblems(checkAgainstProject(file, { ...options, maximumTtlHours: 2 }))).toEqual([
      'w.yml:3:32  error  sub-environment "b" has a ttl of 1d, which is longer than the maximum of 2h; give a shorter one, or have the maximum raised (windlass project update --maximum-ttl)',
    ]);
  });

  it('a project without templates says how to make one', () => {
    const [first] = checkAgainstProject(definition, { templateNames: [], runnable, fileName: 'w.yml' });
    expect(first?.message).toBe(
      'sub-environment "vpc" uses the template "VPC", which does not exist; the project has no templates yet; make one with windlass template create',
    );
  });
});
