import { formatProblem, parseWorkflowFile } from './index.ts';

interface BrokenFile {
  readonly it: string;
  readonly file: string;
  readonly text: readonly string[];
  readonly variables?: Readonly<Record<string, string>>;
  /** Exactly what a user sees. */
  readonly printed: readonly string[];
}

/** Broken in how nodes hang together and where their code lies. */
const brokenGraphs: readonly (readonly [string, readonly BrokenFile[]])[] = [
  [
    'The graph',
    [
      {
        it: 'an unknown need',
        file: 'shop.workflow.yml',
        text: [
          'environments:',
          '  eks: {templateName: EKS}',
          '  billing:',
          '    templateName: Billing',
          '    needs: [ek]',
        ],
        printed: ['shop.workflow.yml:5:13  error  unknown sub-environment "ek" in needs; did you mean "eks"?'],
      },
      {
        it: 'a need that resembles nothing',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db:', '    templateName: DB', '    needs: [network]'],
        printed: ['shop.workflow.yml:4:13  error  unknown sub-environment "network" in needs; the file has "db"'],
      },
      {
        it: 'a node that needs itself',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db:', '    templateName: DB', '    needs:', '      - db'],
        printed: ['shop.workflow.yml:5:9  error  sub-environment "db" needs itself'],
      },
      {
        it: 'a cycle of two',
        file: 'shop.workflow.yml',
        text: [
          'environments:',
          '  billing:',
          '    templateName: B',
          '    needs: [notification]',
          '  notification:',
          '    templateName: N',
          '    needs:',
          '      - billing',
        ],
        printed: ['shop.workflow.yml:8:9  error  cycle: billing → notification → billing'],
      },
      {
        it: 'a cycle that is not at the start',
        file: 'shop.workflow.yml',
        text: [
          'environments:',
          '  a: {templateName: T}',
          '  b: {templateName: T, needs: [a, d]}',
          '  c: {templateName: T, needs: [b]}',
          '  d: {templateName: T, needs: [c]}',
          '  e: {templateName: T, needs: [d]}',
        ],
        printed: ['shop.workflow.yml:4:32  error  cycle: b → d → c → b'],
      },
      {
        it: 'two cycles',
        file: 'shop.workflow.yml',
        text: [
          'environments:',
          '  a: {templateName: T, needs: [b]}',
          '  b: {templateName: T, needs: [a]}',
          '  c: {templateName: T, needs: [d]}',
          '  d: {templateName: T, needs: [c]}',
        ],
        printed: ['shop.workflow.yml:3:32  error  cycle: a → b → a', 'shop.workflow.yml:5:32  error  cycle: c → d → c'],
      },
    ],
  ],
  [
    'Inline templates',
    [
      {
        it: 'no type',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db:', '    vcs:', '      path: stacks/db'],
        printed: [
          'shop.workflow.yml:4:7  error  vcs of sub-environment "db" has no type; it is one of terraform, opentofu, terragrunt, pulumi, k8s, cloudformation, helm, ansible, kubernetes, shell or workflow',
        ],
      },
      {
        it: 'a mistyped type',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db:', '    vcs:', '      type: teraform'],
        printed: [
          'shop.workflow.yml:4:13  error  vcs of sub-environment "db" has the unknown type "teraform"; did you mean "terraform"?',
        ],
      },
      {
        it: 'a type from nowhere',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db:', '    vcs:', '      type: bicep'],
        printed: [
          'shop.workflow.yml:4:13  error  vcs of sub-environment "db" has the unknown type "bicep"; it is one of terraform, opentofu, terragrunt, pulumi, k8s, cloudformation, helm, ansible, kubernetes, shell or workflow',
        ],
      },
      {
        it: 'a workflow in a workflow, in a file of env0',
        file: 'env0.workflow.yml',
        text: [
          'environments:',
          '  db:',
          '    name: DB',
          '    vcs: {type: workflow, repository: "https://git.example/infra.git"}',
        ],
        printed: [
          'env0.workflow.yml:4:17  error  vcs of sub-environment "db" has the type workflow; only windlass.workflow.yml has it',
        ],
      },
      {
        it: 'an absolute path',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db:', '    vcs:', '      type: opentofu', '      path: /etc'],
        printed: [
          'shop.workflow.yml:5:13  error  vcs of sub-environment "db": the path "/etc" has to be relative to its source, not absolute',
        ],
      },
      {
        it: 'a path out of the source',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db:', '    vcs:', '      type: opentofu', '      path: stacks/../../secrets'],
        printed: [
          'shop.workflow.yml:5:13  error  vcs of sub-environment "db": the path "stacks/../../secrets" leads out of its source',
        ],
      },
      {
        it: 'a path with backslashes',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db:', '    vcs:', '      type: opentofu', '      path: stacks\\..\\..\\secrets'],
        printed: [
          'shop.workflow.yml:5:13  error  vcs of sub-environment "db": the path "stacks\\..\\..\\secrets" holds a backslash; write / between directories',
        ],
      },
      {
        it: 'a path with a NUL',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db:', '    vcs:', '      type: opentofu', '      path: "db\\0"'],
        printed: ['shop.workflow.yml:5:13  error  the path in vcs of sub-environment "db" holds a control character'],
      },
      {
        it: 'a path into .git',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db:', '    vcs:', '      type: opentofu', '      path: db/.git/hooks'],
        printed: [
          'shop.workflow.yml:5:13  error  vcs of sub-environment "db": the path "db/.git/hooks" leads into .git',
        ],
      },
      {
        it: 'a repository without protocol',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db:', '    vcs:', '      type: opentofu', '      repository: github.com/acme/shop'],
        printed: [
          'shop.workflow.yml:5:19  error  vcs of sub-environment "db": the address of the repository has no protocol; begin it with https:// or ssh://',
        ],
      },
      {
        it: 'a repository that is an option',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db:', '    vcs:', '      type: opentofu', '      repository: --upload-pack=touch'],
        printed: [
          'shop.workflow.yml:5:19  error  vcs of sub-environment "db": the address of the repository begins with "-"',
        ],
      },
      {
        it: 'a repository that runs a program',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db:', '    vcs:', '      type: opentofu', '      repository: "ext::sh -c id"'],
        printed: [
          'shop.workflow.yml:5:19  error  vcs of sub-environment "db": the address of the repository holds a space or control character',
        ],
      },
      {
        it: 'a repository that asks for a helper',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db:', '    vcs:', '      type: opentofu', '      repository: ext::id'],
        printed: [
          'shop.workflow.yml:5:19  error  vcs of sub-environment "db": the address of the repository asks for a helper program ("::"); use https, ssh or an absolute path',
        ],
      },
      {
        it: 'a revision without a repository',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db:', '    vcs:', '      type: opentofu', '      revision: main'],
        printed: [
          'shop.workflow.yml:5:7  error  vcs of sub-environment "db" has "revision" without a repository; code beside the file has the file\'s own revision',
        ],
      },
      {
        it: 'a script for a tool that runs none',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db:', '    vcs:', '      type: opentofu', '      deployScript: ./deploy.sh'],
        printed: [
          'shop.workflow.yml:5:7  error  vcs of sub-environment "db" has deployScript, which only the type shell runs',
        ],
      },
      {
        it: 'a version said twice',
        file: 'shop.workflow.yml',
        text: [
          'environments:',
          '  db:',
          '    vcs:',
          '      type: terraform',
          '      version: 1.9.0',
          '      terraformVersion: 1.8.0',
        ],
        printed: [
          'shop.workflow.yml:5:7  error  vcs of sub-environment "db" has both version and terraformVersion; keep one',
        ],
      },
      {
        it: 'an unknown key of vcs',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db:', '    vcs:', '      type: opentofu', '      repo: https://git.example/x.git'],
        printed: [
          'shop.workflow.yml:5:7  error  unknown key "repo" in vcs of sub-environment "db"; did you mean "repository"?',
        ],
      },
      {
        it: 'a version longer than fits',
        file: 'shop.workflow.yml',
        text: [
          'environments:',
          '  db:',
          '    vcs:',
          '      type: opentofu',
          '      version: 111111111111111111111111111111111111111111111111111',
        ],
        printed: [
          'shop.workflow.yml:5:16  error  version in vcs of sub-environment "db" has 51 characters; at most 50 are allowed',
        ],
      },
    ],
  ],
];

describe.each(brokenGraphs)('%s', (_, files) => {
  it.each(files)('$it', ({ file, text, variables, printed }) => {
    const { definition, problems } = parseWorkflowFile(text.join('\n'), { fileName: file, variables });
    expect(definition).toBeNull();
    expect(problems.map(formatProblem)).toEqual(printed);
  });
});
