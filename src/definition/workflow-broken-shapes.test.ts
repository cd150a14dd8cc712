import { formatProblem, parseWorkflowFile } from './index.ts';

interface BrokenFile {
  readonly it: string;
  readonly file: string;
  readonly text: readonly string[];
  readonly variables?: Readonly<Record<string, string>>;
  /** Exactly what a user sees. */
  readonly printed: readonly string[];
}

/** Broken from the text up to its types. */
const brokenShapes: readonly (readonly [string, readonly BrokenFile[]])[] = [
  [
    'YAML that cannot be read',
    [
      {
        it: 'an empty file',
        file: 'shop.workflow.yml',
        text: [],
        printed: [
          'shop.workflow.yml:1:1  error  the file is empty; begin with "environments: {vpc: {templateName: VPC}}", or make a file with windlass init',
        ],
      },
      {
        it: 'a file of comments',
        file: 'shop.workflow.yml',
        text: ['# nothing yet'],
        printed: [
          'shop.workflow.yml:1:1  error  the file is empty; begin with "environments: {vpc: {templateName: VPC}}", or make a file with windlass init',
        ],
      },
      {
        it: 'a file that is a list',
        file: 'shop.workflow.yml',
        text: ['- db'],
        printed: [
          'shop.workflow.yml:1:1  error  a workflow file has to be a mapping with the key environments, not a list',
        ],
      },
      {
        it: 'a file that is a text',
        file: 'shop.workflow.yml',
        text: ['hello'],
        printed: [
          'shop.workflow.yml:1:1  error  a workflow file has to be a mapping with the key environments, not text',
        ],
      },
      {
        it: 'a bracket that is never closed',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db: {templateName: DB'],
        printed: ['shop.workflow.yml:2:24  error  a "{" before here is not closed with "}"'],
      },
      {
        it: 'a tab as indentation',
        file: 'shop.workflow.yml',
        text: ['environments:', '	db: {templateName: DB}'],
        printed: ['shop.workflow.yml:2:1  error  a tab cannot indent YAML; use spaces'],
      },
      {
        it: 'a second colon in a line',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db: templateName: DB'],
        printed: [
          'shop.workflow.yml:2:7  error  a second ":" begins a mapping here; put the text in quotes, or the mapping on lines of its own',
        ],
      },
      {
        it: 'a text without its closing quote',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db: {templateName: "DB}'],
        printed: ['shop.workflow.yml:2:26  error  a text in quotes is not closed before here'],
      },
      {
        it: 'two documents in one file',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db: {templateName: DB}', '---', 'environments: {}'],
        printed: ['shop.workflow.yml:3:1  error  a second YAML document begins here; keep one, without ---'],
      },
      {
        it: 'a tag',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db: {templateName: !Ref DB}'],
        printed: ['shop.workflow.yml:2:22  error  unknown tag !Ref; a workflow file has no tags'],
      },
      {
        it: 'a merge key',
        file: 'shop.workflow.yml',
        text: ['base: &base {templateName: DB}', 'environments:', '  db:', '    <<: *base'],
        printed: [
          'shop.workflow.yml:4:5  error  merge keys (<<) are not supported; write the keys out, or repeat a whole value with an alias',
        ],
      },
      {
        it: 'an alias without its anchor',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db: *base'],
        printed: ['shop.workflow.yml:2:7  error  the alias *base cannot be used: no anchor &base stands before it'],
      },
      {
        it: 'an anchor inside of itself',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db: &db', '    templateName: DB', '    needs: *db'],
        printed: ['shop.workflow.yml:4:12  error  the alias *db cannot be used: it stands inside of what it repeats'],
      },
      {
        it: 'a key that is a list',
        file: 'shop.workflow.yml',
        text: ['environments:', '  [a, b]: {templateName: DB}'],
        printed: ['shop.workflow.yml:2:3  error  a key has to be a text'],
      },
      {
        it: 'an alias given twice',
        file: 'shop.workflow.yml',
        text: [
          'environments:',
          '  db: {templateName: DB}',
          '  eks: {templateName: EKS}',
          '  "db": {templateName: DB2}',
        ],
        printed: ['shop.workflow.yml:4:3  error  "db" is already set in line 2; a key may stand once'],
      },
      {
        it: 'a key given twice',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db:', '    templateName: DB', '    templateName: DB2'],
        printed: ['shop.workflow.yml:4:5  error  "templateName" is already set in line 3; a key may stand once'],
      },
    ],
  ],
  [
    'The shape of the file',
    [
      {
        it: 'no environments',
        file: 'shop.workflow.yml',
        text: ['settings: {onFailure: stop}'],
        printed: [
          'shop.workflow.yml:1:1  error  the workflow file has no environments; list at least one sub-environment under this key',
        ],
      },
      {
        it: 'environments without any',
        file: 'shop.workflow.yml',
        text: ['environments: {}'],
        printed: ['shop.workflow.yml:1:15  error  environments lists no sub-environment'],
      },
      {
        it: 'environments as a list',
        file: 'shop.workflow.yml',
        text: ['environments:', '  - db'],
        printed: [
          'shop.workflow.yml:2:3  error  environments has to be a mapping of aliases to sub-environments, not a list',
        ],
      },
      {
        it: 'a mistyped key at the top',
        file: 'shop.workflow.yml',
        text: ['enviroments:', '  db: {templateName: DB}'],
        printed: [
          'shop.workflow.yml:1:1  error  unknown key "enviroments" in the workflow file; did you mean "environments"?',
        ],
      },
      {
        it: 'an unknown key that resembles none',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db: {templateName: DB}', 'version: 3'],
        printed: [
          'shop.workflow.yml:3:1  error  unknown key "version" in the workflow file; known are settings and environments',
        ],
      },
      {
        it: 'a mistyped key of a sub-environment',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db:', '    templateName: DB', '    need: [db2]'],
        printed: ['shop.workflow.yml:4:5  error  unknown key "need" in sub-environment "db"; did you mean "needs"?'],
      },
      {
        it: 'an unknown key of a sub-environment',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db:', '    templateName: DB', '    colour: red'],
        printed: [
          'shop.workflow.yml:4:5  error  unknown key "colour" in sub-environment "db"; known are name, templateName, vcs, needs, revision, workspace, requiresApproval, disabled, approval, variables, inputs, redeploy, timeout, retry, ttl and barriers',
        ],
      },
      {
        it: 'a sub-environment that says nothing',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db:'],
        printed: ['shop.workflow.yml:2:3  error  sub-environment "db" says nothing; give it a templateName or vcs'],
      },
      {
        it: 'a sub-environment that is a text',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db: DB'],
        printed: ['shop.workflow.yml:2:7  error  sub-environment "db" has to be a mapping, not text'],
      },
      {
        it: 'neither template nor vcs',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db:', '    name: Database'],
        printed: [
          'shop.workflow.yml:2:3  error  sub-environment "db" says nothing to deploy; give it a templateName or vcs',
        ],
      },
      {
        it: 'both template and vcs',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db:', '    templateName: DB', '    vcs: {type: shell}'],
        printed: ['shop.workflow.yml:4:5  error  sub-environment "db" has both templateName and vcs; keep one'],
      },
      {
        it: 'an approval that is a stack, too',
        file: 'shop.workflow.yml',
        text: ['environments:', '  go:', '    approval: Go on?', '    templateName: DB'],
        printed: ['shop.workflow.yml:4:5  error  sub-environment "go" has both templateName and approval; keep one'],
      },
      {
        it: 'an approval with what only a stack can have',
        file: 'shop.workflow.yml',
        text: ['environments:', '  go: {approval: {mesage: Go on?, required: 0}, retry: 2}'],
        printed: [
          'shop.workflow.yml:2:19  error  unknown key "mesage" in approval of sub-environment "go"; did you mean "message"?',
          'shop.workflow.yml:2:45  error  required in approval of sub-environment "go" is 0; it has to be between 1 and 20',
          'shop.workflow.yml:2:49  error  sub-environment "go" is an approval and cannot have "retry"; it takes name, needs and disabled',
        ],
      },
      {
        it: 'an input that reads an approval',
        file: 'shop.workflow.yml',
        text: [
          'environments:',
          '  go: {approval: Go on?}',
          '  db: {templateName: DB, needs: [go], inputs: {x: "${environments.go.outputs.x}"}}',
        ],
        printed: [
          'shop.workflow.yml:3:51  error  input "x" reads environments.go, which is an approval and has no outputs',
        ],
      },
      {
        it: 'an approval in the format that has none',
        file: 'env0.workflow.yml',
        text: ['environments:', '  go: {name: Go, approval: Go on?}'],
        printed: [
          'env0.workflow.yml:2:3  error  sub-environment "go" says nothing to deploy; give it a templateName or vcs',
          'env0.workflow.yml:2:18  error  unknown key "approval" in sub-environment "go"; only windlass.workflow.yml has it',
        ],
      },
      {
        it: 'an alias of 201 letters',
        file: 'shop.workflow.yml',
        text: [
          'environments:',
          '  aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa: {templateName: DB}',
        ],
        printed: [
          'shop.workflow.yml:2:3  error  the alias "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…" has 201 characters; at most 200 are allowed',
        ],
      },
      {
        it: 'an empty alias',
        file: 'shop.workflow.yml',
        text: ['environments:', '  "": {templateName: DB}'],
        printed: ['shop.workflow.yml:2:3  error  the alias of a sub-environment is empty'],
      },
      {
        it: 'an alias made to deceive a terminal',
        file: 'shop.workflow.yml',
        text: ['environments:', '  "db\\e[2K\\u202e": {}'],
        printed: [
          'shop.workflow.yml:2:3  error  sub-environment "db\\u001b[2K\\u202e" says nothing to deploy; give it a templateName or vcs',
        ],
      },
    ],
  ],
  [
    'The format of env0',
    [
      {
        it: 'no name',
        file: 'env0.workflow.yml',
        text: ['environments:', '  db: {templateName: DB}'],
        printed: ['env0.workflow.yml:2:3  error  sub-environment "db" has no name'],
      },
      {
        it: 'a key that only Windlass has',
        file: 'env0.workflow.yml',
        text: ['environments:', '  db:', '    name: DB', '    templateName: DB', '    ttl: 2h'],
        printed: [
          'env0.workflow.yml:5:5  error  unknown key "ttl" in sub-environment "db"; only windlass.workflow.yml has it',
        ],
      },
      {
        it: 'a setting that only Windlass has',
        file: 'infra/env0.workflow.yaml',
        text: ['settings: {maxParallel: 3}', 'environments:', '  db: {name: DB, templateName: DB}'],
        printed: [
          'infra/env0.workflow.yaml:1:12  error  unknown key "maxParallel" in settings; only windlass.workflow.yml has it',
        ],
      },
      {
        it: 'vcs without a repository',
        file: 'env0.workflow.yml',
        text: ['environments:', '  db:', '    name: DB', '    vcs: {type: terraform, path: db}'],
        printed: ['env0.workflow.yml:4:10  error  vcs of sub-environment "db" has no repository'],
      },
      {
        it: 'the removal strategy that does not exist',
        file: 'env0.workflow.yml',
        text: [
          'settings:',
          '  environmentRemovalStrategy: remove',
          'environments:',
          '  db: {name: DB, templateName: DB}',
        ],
        printed: [
          'env0.workflow.yml:2:31  error  environmentRemovalStrategy is "remove"; it has to be detach or destroy',
        ],
      },
      {
        it: 'a type that only Windlass has',
        file: 'env0.workflow.yml',
        text: [
          'environments:',
          '  db:',
          '    name: DB',
          '    vcs: {type: shell, repository: https://git.example/x.git}',
        ],
        printed: [
          'env0.workflow.yml:4:17  error  vcs of sub-environment "db" has the type shell; only windlass.workflow.yml has it',
        ],
      },
    ],
  ],
  [
    'Wrong types',
    [
      {
        it: 'a name that is a list',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db:', '    templateName: DB', '    name: [a]'],
        printed: ['shop.workflow.yml:4:11  error  name of sub-environment "db" has to be text, not a list'],
      },
      {
        it: 'a name that is a boolean',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db:', '    templateName: DB', '    name: true'],
        printed: ['shop.workflow.yml:4:11  error  name of sub-environment "db" has to be text; put quotes around true'],
      },
      {
        it: 'an empty workspace',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db:', '    templateName: DB', '    workspace: ""'],
        printed: ['shop.workflow.yml:4:16  error  workspace of sub-environment "db" is empty'],
      },
      {
        it: 'needs that are a text',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db:', '    templateName: DB', '    needs: vpc'],
        printed: [
          'shop.workflow.yml:4:12  error  needs of sub-environment "db" has to be a list, such as [vpc], not text',
        ],
      },
      {
        it: 'a need that is a mapping',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db:', '    templateName: DB', '    needs: [{alias: vpc}]'],
        printed: [
          'shop.workflow.yml:4:13  error  an item of needs of sub-environment "db" has to be text, not a mapping',
        ],
      },
      {
        it: 'yes for a boolean',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db:', '    templateName: DB', '    requiresApproval: yes'],
        printed: [
          'shop.workflow.yml:4:23  error  requiresApproval of sub-environment "db" has to be true or false (without quotes; "yes" is text)',
        ],
      },
      {
        it: 'a quoted boolean',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db:', '    templateName: DB', '    requiresApproval: "true"'],
        printed: [
          'shop.workflow.yml:4:23  error  requiresApproval of sub-environment "db" has to be true or false (without quotes; "true" is text)',
        ],
      },
      {
        it: 'a number for a boolean',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db:', '    templateName: DB', '    requiresApproval: 1'],
        printed: [
          'shop.workflow.yml:4:23  error  requiresApproval of sub-environment "db" has to be true or false, not a number',
        ],
      },
      {
        it: 'disabled that is neither',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db:', '    templateName: DB', '    disabled: maybe'],
        printed: [
          'shop.workflow.yml:4:15  error  disabled of sub-environment "db" is "maybe"; it has to be true, false or a ${VARIABLE} that is one of them',
        ],
      },
      {
        it: 'a redeploy policy that does not exist',
        file: 'shop.workflow.yml',
        text: ['environments:', '  db:', '    templateName: DB', '    redeploy: allways'],
        printed: [
          'shop.workflow.yml:4:15  error  redeploy of sub-environment "db" is "allways"; it has to be always, onInputChange or never; did you mean "always"?',
        ],
      },
      {
        it: 'a name longer than fits',
        file: 'shop.workflow.yml',
        text: [
          'environments:',
          '  db:',
          '    templateName: DB',
          '    name: nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn',
        ],
        printed: [
          'shop.workflow.yml:4:11  error  name of sub-environment "db" has 201 characters; at most 200 are allowed',
        ],
      },
    ],
  ],
];

describe.each(brokenShapes)('%s', (_, files) => {
  it.each(files)('$it', ({ file, text, variables, printed }) => {
    const { definition, problems } = parseWorkflowFile(text.join('\n'), { fileName: file, variables });
    expect(definition).toBeNull();
    expect(problems.map(formatProblem)).toEqual(printed);
  });
});
