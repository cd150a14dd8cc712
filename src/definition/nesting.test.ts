import fc from 'fast-check';
import { flattenWorkflow, formatProblem, parseWorkflowFile, topologicalOrder, upstreamOf } from './index.ts';
import type { FlatWorkflow, NestedWorkflow } from './index.ts';

interface File {
  readonly fileName: string;
}
/** A node of a file for a test: what it needs, what else stands there, and the file that it stands for. */
interface Written {
  readonly needs?: readonly string[];
  readonly more?: Record<string, unknown>;
  readonly inner?: WrittenFile;
}
interface WrittenFile {
  readonly [alias: string]: Written;
}

/** Reads files as a run reads them; each is called after the path of its workflow. */
function nested(written: WrittenFile, path = ''): NestedWorkflow<File> {
  const fileName = `${path === '' ? '' : `${path}/`}w.yml`;
  const environments = Object.fromEntries(
    Object.entries(written).map(([alias, { needs = [], more = {}, inner }]) => [
      alias,
      { needs, ...(inner ? { vcs: { type: 'workflow', path: alias } } : { vcs: { type: 'shell' } }), ...more },
    ]),
  );
  const { definition, problems } = parseWorkflowFile(JSON.stringify({ environments }), { fileName });
  if (definition === null) throw new Error(problems.map(formatProblem).join('\n'));
  const workflows = Object.entries(written).flatMap(([alias, { inner }]) =>
    inner === undefined ? [] : [[alias, nested(inner, path === '' ? alias : `${path}/${alias}`)] as const],
  );
  return { file: { fileName }, nodes: definition.nodes, workflows: new Map(workflows) };
}

function flat(written: WrittenFile, live: readonly string[] = []): FlatWorkflow<File> {
  return flattenWorkflow(nested(written), { isLive: (path) => live.includes(path) });
}
const needsOf = ({ nodes }: FlatWorkflow<File>): Record<string, readonly string[]> =>
  Object.fromEntries(nodes.map(({ definition: { alias, needs } }) => [alias, needs]));
const nodeOf = ({ nodes }: FlatWorkflow<File>, alias: string) => {
  const found = nodes.find(({ definition }) => definition.alias === alias);
  if (found === undefined) throw new Error(`no ${alias}`);
  return found;
};
const problemsOf = (written: WrittenFile): string[] => flat(written).problems.map(formatProblem);

describe('a workflow in a workflow', () => {
  const network: WrittenFile = { vpc: {}, subnets: { needs: ['vpc'] }, dns: {} };

  it('puts its nodes between what its node needs and what needs its node', () => {
    const graph = flat({ account: {}, network: { needs: ['account'], inner: network }, db: { needs: ['network'] } });
    expect(needsOf(graph)).toEqual({
      account: [],
      'network/vpc': ['account'],
      'network/subnets': ['network/vpc'],
      'network/dns': ['account'],
      db: expect.arrayContaining(['network/subnets', 'network/dns']),
    });
    expect(needsOf(graph)['db']).toHaveLength(2);
    expect(nodeOf(graph, 'network/vpc')).toMatchObject({ within: ['network'], file: { fileName: 'network/w.yml' } });
    expect([nodeOf(graph, 'db').follows, nodeOf(graph, 'network/subnets').follows]).toEqual([['network'], []]);
    expect(graph.groups.map(({ definition }) => definition.alias)).toEqual(['network']);
    expect(graph.problems).toEqual([]);
  });

  it('can lie in another one, and two can follow one another', () => {
    const graph = flat({
      base: { inner: { network: { inner: network }, log: { needs: ['network'] } } },
      apps: { needs: ['base'], inner: { web: {} } },
    });
    expect(needsOf(graph)).toMatchObject({ 'base/network/vpc': [], 'apps/web': ['base/log'] });
    expect(needsOf(graph)['base/log']).toHaveLength(2);
    expect(nodeOf(graph, 'base/network/vpc').within).toEqual(['base', 'base/network']);
    expect(nodeOf(graph, 'apps/web').follows).toEqual(['base']);
  });

  it('is waited for without what is disabled in it and not deployed', () => {
    const written: WrittenFile = {
      network: { inner: { vpc: {}, extra: { needs: ['vpc'], more: { disabled: true } } } },
      db: { needs: ['network'] },
    };
    expect(needsOf(flat(written))['db']).toEqual(['network/vpc']);
    expect(needsOf(flat(written, ['network/extra']))['db']).toEqual(['network/extra']);
    const off = { ...written, network: { ...written['network'], more: { disabled: true } } };
    expect(needsOf(flat(off))['db']).toEqual(['network/extra']);
    expect(nodeOf(flat(off), 'network/vpc').definition.disabled).toBe(true);
  });

  it('has from its node what it does not say itself', () => {
    const graph = flat({
      account: {},
      network: {
        needs: ['account'],
        more: {
          variables: { region: 'eu', size: 3 },
          inputs: { zone: '${environments.account.outputs.zone}' },
          requiresApproval: true,
          timeout: '1h',
          retry: 2,
          redeploy: 'onInputChange',
          workspace: 'blue',
          ttl: '2h',
        },
        inner: {
          vpc: { more: { variables: { size: 5 }, requiresApproval: false, timeout: '10m', ttl: '3h' } },
          subnets: {
            needs: ['vpc'],
            more: {
              redeploy: 'never',
              inputs: { id: '${environments.vpc.outputs["the id"]}', zone: 'in ${environments.vpc.outputs.zone}' },
            },
          },
          go: { needs: ['vpc'], more: { vcs: undefined, approval: 'Sure?' } },
        },
      },
    });
    const { definition: vpc } = nodeOf(graph, 'network/vpc');
    expect(vpc.variables.map(({ name, value }) => [name, value])).toEqual([
      ['region', 'eu'],
      ['size', 5],
    ]);
    expect(vpc).toMatchObject({ requiresApproval: true, timeoutSeconds: 600, ttlSeconds: 7200, workspace: 'blue' });
    expect(vpc).toMatchObject({ redeploy: 'onInputChange', retry: { maximum: 2 } });
    expect(vpc.inputs.map(({ name, template }) => [name, template])).toEqual([
      ['zone', '${environments.account.outputs.zone}'],
    ]);
    const { definition: subnets } = nodeOf(graph, 'network/subnets');
    expect(subnets.redeploy).toBe('never');
    expect(subnets.inputs).toMatchObject([
      {
        template: '${environments.network/vpc.outputs["the id"]}',
        whole: { alias: 'network/vpc', output: 'the id' },
        references: [{ alias: 'network/vpc', output: 'the id' }],
      },
      {
        template: 'in ${environments.network/vpc.outputs.zone}',
        references: [{ alias: 'network/vpc', output: 'zone' }],
      },
    ]);
    expect(nodeOf(graph, 'network/go').definition).toMatchObject({ variables: [], inputs: [], retry: undefined });
  });

  it('is read from by the path of one of its nodes', () => {
    const reading = (alias: string): Written => ({
      needs: ['network'],
      more: { inputs: { id: `\${environments["${alias}"].outputs.id}` } },
    });
    expect(problemsOf({ network: { inner: network }, db: reading('network/vpc') })).toEqual([]);
    expect(problemsOf({ network: { inner: network }, db: reading('network/vcp') })).toEqual([
      expect.stringMatching(
        /^w\.yml:1:\d+ {2}error {2}input "id" of "db" reads "network\/vcp", which does not exist; did you mean "network\/vpc"\?$/,
      ),
    ]);
    expect(problemsOf({ network: { inner: network }, db: reading('network') })).toEqual([
      expect.stringContaining(
        '"network", which is a workflow; read one of its own: "network/vpc", "network/subnets" or "network/dns"',
      ),
    ]);
    const go: WrittenFile = { go: { more: { vcs: undefined, approval: 'Sure?' } } };
    expect(problemsOf({ network: { inner: go }, db: reading('network/go') })).toEqual([
      expect.stringContaining('which is an approval and has no outputs'),
    ]);
  });

  it('can only be read from by what needs it', () => {
    const text = JSON.stringify({
      environments: {
        network: { templateName: 'Network' },
        db: { vcs: { type: 'shell' }, inputs: { id: '${environments.network/vpc.outputs.id}' } },
      },
    });
    expect(parseWorkflowFile(text, { fileName: 'w.yml' }).problems.map(formatProblem)).toEqual([
      expect.stringContaining('reads environments["network/vpc"], which "db" does not need'),
    ]);
  });

  it.each<[string, WrittenFile, string]>([
    [
      'the same path twice',
      { network: { inner: { vpc: {} } }, 'network/vpc': {} },
      'two sub-environments "network/vpc"',
    ],
    [
      'a path that seems to be in it',
      { network: { inner: { vpc: {} } }, 'network/db': {} },
      'the workflow "network", but it is none of them',
    ],
    [
      'a path that is too long',
      { ['n'.repeat(150)]: { inner: { ['v'.repeat(150)]: {} } } },
      '301 characters; at most 300',
    ],
    ['the name of what is undone', { rollback: { inner: { vpc: {} } } }, 'cannot have the alias "rollback"'],
  ])('refuses %s', (_what, written, message) => {
    expect(problemsOf(written)).toEqual([expect.stringContaining(message)]);
  });

  it('cannot say what tools of a template run', () => {
    const inner: WrittenFile = { vpc: { more: { vcs: undefined, templateName: 'VPC' } }, own: {} };
    const more = { variables: { PATH: { value: '/tmp', kind: 'environment' } } };
    expect(problemsOf({ network: { inner, more } })).toEqual([
      expect.stringContaining('"network/vpc" may not have "PATH" from a workflow around it'),
    ]);
  });
});

/** Files in files, without cycles, with a few disabled nodes; aliases are equal on different levels on purpose. */
const files: fc.Arbitrary<WrittenFile> = fc.letrec<{ file: WrittenFile; node: Written }>((tie) => ({
  node: fc.record({
    more: fc.constantFrom({}, {}, {}, { disabled: true }),
    inner: fc.option(tie('file'), { nil: undefined, depthSize: 'small', maxDepth: 3 }),
  }) as fc.Arbitrary<Written>,
  file: fc
    .array(fc.tuple(tie('node'), fc.array(fc.nat(), { maxLength: 3 })), {
      minLength: 1,
      maxLength: 4,
      depthIdentifier: 'f',
    })
    .map((rows) =>
      Object.fromEntries(
        rows.map(([node, needs], i) => [
          `n${i}`,
          { ...node, needs: i === 0 ? [] : needs.map((need) => `n${need % i}`) },
        ]),
      ),
    ),
})).file;

/** What a path leads through: aliases of each level. */
const steps = (path: string): string[] => path.split('/');

/** Whether a node of a file needs another one, directly or through others. */
function needsThere(file: WrittenFile, of: string, need: string): boolean {
  return (file[of]?.needs ?? []).some((direct) => direct === need || needsThere(file, direct, need));
}

/** Slow and obviously right: two nodes are in order when what they lie in is so where their paths part. */
function isBefore(file: WrittenFile, first: readonly string[], second: readonly string[]): boolean {
  const [a = '', ...restOfA] = first;
  const [b = '', ...restOfB] = second;
  if (a !== b) return needsThere(file, b, a);
  const inner = file[a]?.inner;
  return inner !== undefined && isBefore(inner, restOfA, restOfB);
}

const allOn = (file: WrittenFile): WrittenFile =>
  Object.fromEntries(
    Object.entries(file).map(([alias, node]) => [
      alias,
      { ...node, more: {}, ...(node.inner ? { inner: allOn(node.inner) } : {}) },
    ]),
  );

describe('any files in files', () => {
  it('make a graph without cycles, in which each path is there once', () => {
    fc.assert(
      fc.property(files, (file) => {
        const { nodes, groups, problems } = flat(file);
        const graph = nodes.map(({ definition }) => definition);
        const paths = [...graph, ...groups.map(({ definition }) => definition)].map(({ alias }) => alias);
        expect(problems).toEqual([]);
        expect(topologicalOrder(graph).cycle).toBeNull();
        expect(new Set(paths).size).toBe(paths.length);
        for (const { alias, needs } of graph) {
          expect(new Set(needs).size).toBe(needs.length);
          for (const need of needs) expect(graph.map((other) => other.alias)).toContain(need);
          expect(needs).not.toContain(alias);
        }
      }),
    );
  });

  it('keep the order of each level, and add none', () => {
    fc.assert(
      fc.property(files.map(allOn), (file) => {
        const graph = flat(file).nodes.map(({ definition }) => definition);
        for (const { alias } of graph) {
          const wanted = graph.filter((other) => isBefore(file, steps(other.alias), steps(alias)));
          expect([...upstreamOf(graph, [alias])].sort()).toEqual(wanted.map((other) => other.alias).sort());
        }
      }),
    );
  });

  it('wait for all that is enabled where they wait for a workflow', () => {
    fc.assert(
      fc.property(files, (file) => {
        const graph = flat(file).nodes.map(({ definition }) => definition);
        const enabled = graph.filter(({ disabled }) => !disabled);
        for (const { alias } of enabled) {
          const upstream = upstreamOf(graph, [alias]);
          for (const other of enabled)
            if (isBefore(file, steps(other.alias), steps(alias))) expect(upstream).toContain(other.alias);
        }
      }),
    );
  });
});
