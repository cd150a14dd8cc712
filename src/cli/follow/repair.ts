/** What to do about a run that did not go well. A command that is named here does not repeat the failure. */
import type { NodeRun } from '../../model/index.ts';
import { assertNever } from '../../model/index.ts';
import { shellQuote, someOf } from '../text/format.ts';
import { oneLine, padEnd, widthOf } from '../text/width.ts';
import { refOf } from './render.ts';
import type { RunView } from '../../view/index.ts';
import { isKept } from './words.ts';

/** A command, and what it does. */
type Step = readonly [command: string, what: string];

export function renderRepair(view: RunView): string[] {
  const { status } = view.deployment;
  const steps = view.nodes.length === 0 ? retrySteps(view) : repairSteps(view);
  if (steps.length === 0) return [];
  const size = Math.max(...steps.map(([command]) => widthOf(command)));
  const title = status === 'failed' || status === 'rollbackFailed' ? 'Fix it, then:  ' : 'Next:  ';
  return [
    '',
    ...steps.map(([command, what], index) =>
      `${index === 0 ? title : ' '.repeat(title.length)}${padEnd(command, size)}   ${what}`.trimEnd(),
    ),
  ];
}

/** A run that was refused before it had nodes: the command that asks for the same again. */
function retrySteps(view: RunView): Step[] {
  const { type, request, error } = view.deployment;
  // What looks like a rename has to be decided: the hint of the error has both commands.
  if (error?.problems?.some(({ path }) => path === 'moves')) return [];
  const ref = refOf(view);
  const { partial, variables, resume, rollbackTo } = request;
  if (type === 'rollback') return [[`windlass rollback ${ref}${rollbackTo ? ` --to ${rollbackTo}` : ''}`, '']];
  if (type === 'deploy' && (resume !== undefined || (partial === undefined && variables.length > 0)))
    return [[`windlass resume ${ref} --refresh`, 'asks for the same again, with the file as corrected']];
  if (partial === undefined) return [[`windlass ${type} ${ref}`, '']];
  const node = refOf(view, partial.node);
  switch (partial.operation) {
    case 'single-node-destroy':
      return [
        [`windlass destroy ${node}`, 'when nothing needs it any more'],
        [`windlass destroy ${node} --force`, 'although others need it'],
      ];
    case 'single-node-deploy':
      return [[`windlass ${type} ${node}`, '']];
    case 'run-from-here':
      return [[`windlass ${type} ${node} --from-here`, '']];
    default:
      return assertNever(partial, 'partial run');
  }
}

function repairSteps(view: RunView): Step[] {
  const { deployment } = view;
  const ref = refOf(view);
  const main = view.nodes.filter((node) => !node.compensation && !isKept(node));
  const left = main.filter((node) => node.status !== 'succeeded').map((node) => oneLine(node.name));
  const done = main.filter((node) => node.status === 'succeeded').map((node) => oneLine(node.name));
  const runs = `runs ${someOf(left, 4)}${done.length > 0 ? '; keeps the rest' : ''}`;
  const steps = resumeSteps(view, main, runs);
  if (deployment.type === 'deploy' && view.lastGood !== null && done.length > 0)
    steps.push([`windlass rollback ${ref}`, `takes ${someOf(done, 3)} back to deployment ${view.lastGood}`]);
  return steps;
}

function resumeSteps(view: RunView, nodes: readonly NodeRun[], runs: string): Step[] {
  const { type, request, status } = view.deployment;
  const ref = refOf(view);
  const classes = new Set(
    nodes.flatMap(({ status: ended, error }) => (ended === 'failed' && error ? [error.class] : [])),
  );
  const resume: Step = [`windlass resume ${ref}`, runs];
  if (status === 'cancelled' || status === 'aborted') return [resume];
  // A run keeps what it was asked with, so new credentials have to be given to a new one.
  const given = request.variables.filter(({ kind, sensitive }) => kind === 'environment' && sensitive);
  if (classes.has('credentials') && given.length > 0) {
    const flags = given.map(({ name, alias }) => `--secret-env ${shellQuote(alias ? `${alias}/${name}` : name)}`);
    return [[`windlass deploy ${ref} ${[...new Set(flags)].join(' ')}`, 'with new credentials']];
  }
  const codeAtFault = classes.has('definition') || classes.has('tool');
  if (!codeAtFault) return [resume];
  const mayRefresh =
    type === 'deploy' && request.partial?.operation !== 'single-node-destroy' && request.restoreNodes === undefined;
  if (mayRefresh)
    return [
      [`windlass resume ${ref} --refresh`, `${runs}; with the code and file as corrected`],
      [`windlass resume ${ref}`, 'when the cause lay elsewhere: with the code as it was'],
    ];
  if (type === 'destroy')
    return [
      [`windlass resume ${ref}`, `${runs}; with the code that was deployed`],
      [`windlass deploy ${ref}`, 'when the code has to change for it: deploys it first'],
    ];
  return [resume];
}
