import { formatProblem, parseCustomFlow } from './index.ts';

function parse(...lines: string[]) {
  const { flow, problems } = parseCustomFlow(lines.join('\n'), { fileName: 'env0.yml' });
  expect(problems.map(formatProblem)).toEqual([]);
  if (flow === null) throw new Error('no flow');
  return flow;
}

describe('a custom flow', () => {
  it('of version 1 has texts', () => {
    const { deploy, destroy, shell } = parse(
      'version: 1',
      'deploy:',
      '  steps:',
      '    setupVariables: {after: [echo vars]}',
      '    terraformInit:',
      '      before:',
      '        - echo one',
      '        - |',
      '          echo two',
      '          echo three',
      '    terraformApply: {after: echo applied}',
      '  onCompletion: [echo done]',
      'destroy:',
      '  steps:',
      '    terraformPlan: {before: [echo plan]}',
      '    terraformDestroy: {after: [echo gone]}',
      '  onFailure: [echo no]',
    );
    expect(shell).toBe('sh');
    expect(deploy.hooks.prepare.after.map((hook) => hook.run)).toEqual(['echo vars']);
    expect(deploy.hooks.init.before).toEqual([
      { name: 'echo one', run: 'echo one', environment: {}, position: { line: 7, column: 11 } },
      { name: 'echo two', run: 'echo two\necho three\n', environment: {}, position: { line: 8, column: 11 } },
    ]);
    expect(deploy.hooks.apply.after.map((hook) => hook.run)).toEqual(['echo applied']);
    expect(deploy.onCompletion.map((hook) => hook.run)).toEqual(['echo done']);
    expect(destroy.phase).toBe('destroy');
    expect(destroy.hooks.plan.before.map((hook) => hook.run)).toEqual(['echo plan']);
    expect(destroy.hooks.destroy.after.map((hook) => hook.run)).toEqual(['echo gone']);
    expect(destroy.onFailure.map((hook) => hook.run)).toEqual(['echo no']);
  });

  it('of version 2 has objects too', () => {
    const { deploy, shell } = parse(
      'version: 2',
      'shell: bash',
      'deploy:',
      '  steps:',
      '    opentofuPlan:',
      '      after:',
      '        - name: Check',
      '          run: ./check.sh "${HOME}"',
      '          env: {LEVEL: 3, EMPTY: }',
      '          executeAfterChild: true',
      '        - echo plain',
    );
    expect(shell).toBe('bash');
    expect(deploy.hooks.plan.after).toEqual([
      {
        name: 'Check',
        run: './check.sh "${HOME}"',
        environment: { LEVEL: '3', EMPTY: '' },
        position: { line: 8, column: 16 },
      },
      { name: 'echo plain', run: 'echo plain', environment: {}, position: { line: 11, column: 11 } },
    ]);
  });

  it('takes the names of both tools for one step, in the order of the file', () => {
    const { deploy } = parse(
      'version: 1',
      'deploy: {steps: {opentofuApply: {before: [a]}, terraformApply: {before: [b]}}}',
    );
    expect(deploy.hooks.apply.before.map((hook) => hook.run)).toEqual(['a', 'b']);
  });

  it.each([
    ['pulumiPreview', 'plan'],
    ['pulumiUp', 'apply'],
    ['cfCreateChangeSet', 'plan'],
    ['cfDeploy', 'apply'],
    ['k8sDiff', 'plan'],
    ['k8sApply', 'apply'],
    ['helmUpgrade', 'apply'],
    ['ansibleGalaxy', 'init'],
    ['ansiblePlaybook', 'apply'],
    ['terraformOutput', 'outputs'],
    ['storeState', 'outputs'],
  ] as const)('knows the step %s as %s', (step, place) => {
    expect(parse('version: 1', `deploy: {steps: {${step}: {before: [x]}}}`).deploy.hooks[place].before).toHaveLength(1);
  });

  it('may leave everything out but its version', () => {
    const { deploy, destroy } = parse('version: 2', 'task: {steps: {taskCommands: {before: [x]}}}');
    expect(
      Object.values(deploy.hooks)
        .concat(Object.values(destroy.hooks))
        .flatMap((step) => [...step.before, ...step.after]),
    ).toEqual([]);
  });
});

describe('a broken custom flow', () => {
  const cases: readonly (readonly [string, readonly string[], readonly string[]])[] = [
    ['empty', [''], ['env0.yml:1:1  error  the custom flow is empty; begin with "version: 2"']],
    ['a list', ['- x'], ['env0.yml:1:1  error  the custom flow has to be a mapping, not a list']],
    ['no version', ['deploy: {}'], ['env0.yml:1:1  error  the custom flow has no version; write "version: 2"']],
    ['a version to come', ['version: 3'], ['env0.yml:1:10  error  version is "3"; it has to be 1 or 2']],
    [
      'another shell',
      ['version: 2', 'shell: zsh'],
      ['env0.yml:2:8  error  shell is "zsh"; it has to be sh or bash; did you mean "sh"?'],
    ],
    [
      'a mistyped step',
      ['version: 1', 'deploy:', '  steps:', '    terraformaply: {}'],
      ['env0.yml:4:5  error  unknown key "terraformaply" in deploy.steps; did you mean "terraformApply"?'],
    ],
    [
      'a step of destroy in deploy',
      ['version: 1', 'deploy: {steps: {helmUninstall: {before: [x]}}}'],
      ['env0.yml:2:18  error  unknown key "helmUninstall" in deploy.steps; it is a step of destroy'],
    ],
    [
      'something before the variables',
      ['version: 1', 'deploy: {steps: {setupVariables: {before: [x]}}}'],
      ['env0.yml:2:35  error  unknown key "before" in deploy.steps.setupVariables; known is after'],
    ],
    [
      'an object in version 1',
      ['version: 1', 'deploy: {onSuccess: [{run: x}]}'],
      [
        'env0.yml:2:22  error  a command of deploy.onSuccess is an object; version 1 has texts only, write "version: 2"',
      ],
    ],
    [
      'a step from a repository',
      [
        'version: 2',
        'deploy:',
        '  onSuccess:',
        '    - name: Scan',
        '      use: https://git.example/scan@1',
        '      inputs: {a: 1}',
      ],
      [
        'env0.yml:5:7  error  a command of deploy.onSuccess takes its step from a repository with "use", which is not supported yet; write what it does under run',
      ],
    ],
    [
      'nothing to run',
      ['version: 2', 'deploy: {onSuccess: [{name: x}]}'],
      ['env0.yml:2:22  error  a command of deploy.onSuccess has nothing to run'],
    ],
    [
      'an empty command',
      ['version: 2', 'deploy: {onSuccess: [" "]}'],
      ['env0.yml:2:22  error  a command of deploy.onSuccess is empty'],
    ],
    [
      'a command that is a list',
      ['version: 2', 'deploy: {onSuccess: [[x]]}'],
      ['env0.yml:2:22  error  a command of deploy.onSuccess has to be text, not a list'],
    ],
    [
      'an environment variable that cannot be',
      ['version: 2', 'deploy: {onSuccess: [{run: x, env: {"A B": 1}}]}'],
      [
        'env0.yml:2:37  error  "A B" in env of a command of deploy.onSuccess cannot be the name of an environment variable',
      ],
    ],
  ];
  it.each(cases)('%s', (_, lines, printed) => {
    const { flow, problems } = parseCustomFlow(lines.join('\n'), { fileName: 'env0.yml' });
    expect(flow).toBeNull();
    expect(problems.map(formatProblem)).toEqual(printed);
  });
});
