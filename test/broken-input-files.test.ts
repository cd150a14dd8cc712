import { bomb, testBrokenInput, told } from './support/broken-shop.ts';
import type { Row } from './support/broken-shop.ts';

const files: readonly Row[] = [
  {
    it: 'an empty file',
    does: () => told.file(''),
    shows: [
      'windlass.workflow.yml:1:1: the file is empty; begin with "environments: {vpc: {templateName: VPC}}", or make a file with windlass init',
    ],
  },
  {
    it: 'a bracket that is never closed',
    does: () => told.file('environments:\n  db: {templateName: DB\n'),
    shows: ['windlass.workflow.yml:3:1: a "{" before here is not closed with "}"'],
  },
  {
    it: 'a key that stands twice',
    does: () => told.file('environments:\n  db: {templateName: A}\n  db: {templateName: B}\n'),
    shows: ['windlass.workflow.yml:3:3: "db" is already set in line 2; a key may stand once'],
  },
  {
    it: 'a YAML bomb',
    does: () => told.file(bomb),
    shows: [
      'windlass.workflow.yml:6:8: the aliases of the file stand for more than 100000 values; write fewer of them',
    ],
  },
  {
    it: 'a key with a typing error',
    does: () => told.file('environments:\n  db: {templateName: DB, need: [vpc]}\n'),
    shows: ['windlass.workflow.yml:2:26: unknown key "need" in sub-environment "db"; did you mean "needs"?'],
  },
  {
    it: 'a cycle',
    does: () => told.file('environments:\n  a: {templateName: T, needs: [b]}\n  b: {templateName: T, needs: [a]}\n'),
    shows: ['windlass.workflow.yml:3:32: cycle: a → b → a'],
  },
  {
    it: 'a need that is not there',
    does: () => told.file('environments:\n  vpc: {templateName: T}\n  db: {templateName: T, needs: [vcp]}\n'),
    shows: ['windlass.workflow.yml:3:33: unknown sub-environment "vcp" in needs; did you mean "vpc"?'],
  },
  {
    it: 'an output of a node that is not there',
    does: () =>
      told.file('environments:\n  db:\n    templateName: T\n    variables: {id: "${environments.vpc.outputs.id}"}\n'),
    shows: [
      'windlass.workflow.yml:4:21: variable "id" of sub-environment "db" reads an output of another sub-environment; move it to inputs',
    ],
  },
  {
    it: 'a duration that is none',
    does: () => told.file('environments:\n  db: {templateName: T, ttl: soon}\n'),
    shows: [
      'windlass.workflow.yml:2:30: ttl of sub-environment "db": "soon" is not a duration: write whole numbers with a unit, such as 30s, 10m, 2h or 1d',
    ],
  },
  {
    it: 'a cron that never fires',
    does: () => told.file('settings: {schedule: {deploy: "61 * * * *"}}\nenvironments:\n  db: {templateName: T}\n'),
    shows: [
      'windlass.workflow.yml:1:31: schedule.deploy: "61 * * * *" is not a cron expression: "61" is no minute (0-59)',
    ],
  },
  {
    it: 'a template that the project lacks',
    does: () => told.file('environments:\n  db: {templateName: shpo}\n', { project: 'default' }),
    shows: [
      'windlass.workflow.yml:2:22: sub-environment "db" uses the template "shpo", which does not exist; did you mean "shop"?',
    ],
  },
  {
    it: 'a path outside of the repository',
    does: () => told.file('environments:\n  db: {vcs: {type: opentofu, path: ../../etc}}\n'),
    shows: ['windlass.workflow.yml:2:36: vcs of sub-environment "db": the path "../../etc" leads out of its source'],
  },
];

testBrokenInput('a workflow file', files);
