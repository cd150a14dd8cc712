import type { Deployment, ErrorClass, NodeRun } from '../../model/index.ts';
import { makeDeployment, makeNode } from '../testing/records.test-support.ts';
import { renderRepair } from './repair.ts';
import { createView } from '../../view/index.ts';

const failedWith = (errorClass: ErrorClass, changes: Partial<Deployment> = {}, node: Partial<NodeRun> = {}): string[] =>
  renderRepair(
    createView({
      deployment: makeDeployment({ status: 'failed', ...changes }),
      nodes: [
        makeNode('vpc', { status: 'succeeded' }),
        makeNode('db', { index: 1, status: 'failed', error: { class: errorClass, message: 'no' }, ...node }),
      ],
    }),
  ).flatMap((line) => /windlass .*?(?= {3}|$)/.exec(line)?.[0].trim() ?? []);

test.each(['provider', 'quota', 'timeout', 'lock', 'credentials'] as const)(
  'class %s: what lies outside of the code is mended there, and the same code goes on',
  (errorClass) => {
    expect(failedWith(errorClass)).toEqual(['windlass resume shop']);
  },
);

test.each(['definition', 'tool'] as const)('class %s: the code as it is then comes first', (errorClass) => {
  expect(failedWith(errorClass)).toEqual(['windlass resume shop --refresh', 'windlass resume shop']);
});

test('a destroy reads no file: code that has to change is deployed first', () => {
  expect(failedWith('tool', { type: 'destroy' }, { action: 'destroy' })).toEqual([
    'windlass resume shop',
    'windlass deploy shop',
  ]);
});

test('credentials that were given to the run have to be given again, since a resume keeps the old ones', () => {
  const request = {
    type: 'deploy' as const,
    replaceRenamed: false,
    force: false,
    variables: [{ name: 'AWS_SESSION_TOKEN', kind: 'environment' as const, type: 'text' as const, sensitive: true }],
  } as unknown as Deployment['request'];
  expect(failedWith('credentials', { request })).toEqual(['windlass deploy shop --secret-env AWS_SESSION_TOKEN']);
});

test('what looks like a rename is decided with the commands of the error, not by the same command again', () => {
  const problems = [{ path: 'moves', message: '"b" is gone and "bee" is new' }];
  const error = { class: 'definition' as const, message: '"b" is gone and "bee" is new', problems };
  const view = createView({ deployment: makeDeployment({ status: 'failed', error }), nodes: [] });
  expect(renderRepair(view)).toEqual([]);
});
