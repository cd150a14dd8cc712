import { z } from 'zod';
import { topologicalOrder } from '../../definition/index.ts';
import { environmentStatusWord, mayHaveResources } from '../../model/index.ts';
import type { Environment } from '../../model/index.ts';
import type { Registry } from '../cli.ts';
import { usageError } from '../exit.ts';
import { plural, shellQuote, someOf } from '../text/format.ts';
import { directoryFlags, directoryOptions, findOrMakePlace } from './deploy-directory.ts';
import { addPlanShow } from './plan-show.ts';
import type { Session } from '../session.ts';
import { oneLine } from '../text/width.ts';
import {
  commonRunFlags,
  commonRunOptions,
  followFlags,
  followOptions,
  moveFlags,
  moveOptions,
  readApprovalChoice,
  readMoves,
  startRun,
  variableFlags,
  variableOptions,
} from './runs.ts';
import { canAsk, confirm, createSecretReader, findPlace } from './shared.ts';
import type { NodePlace } from './shared.ts';
import { readVariables } from './variables-input.ts';

const destroyOptions = z.object({ ...commonRunOptions, ...followOptions, yes: z.boolean().default(false) });

export function addDestroy({ add }: Registry): void {
  add({
    usage: 'destroy <environment>',
    summary: 'Destroy what an environment, or one node of it, has deployed',
    description:
      'Destroys in reverse order: a node goes when everything that needs it is gone. Names what it will destroy and asks first.',
    examples: [
      ['windlass destroy shop', 'everything, after a typed yes'],
      ['windlass destroy shop --yes', 'without asking, for scripts'],
      ['windlass destroy shop/billing --yes', 'one node; refused while others need it'],
      ['windlass destroy shop/eks --force --yes', 'one node although others need it'],
    ],
    flags: [
      { flags: '-y, --yes', description: 'do not ask' },
      ...commonRunFlags.filter(({ flags }) => !flags.startsWith('--revision')),
      ...followFlags,
    ],
    options: destroyOptions,
    async run(call) {
      const { options, printer, io } = call;
      const approval = readApprovalChoice(options);
      const session = await call.connect();
      const place = await findPlace(session.client, call.argument(0));
      const destroyed = await listNodesToDestroy(session, place);
      const whole = place.alias === null ? place.root.name : `${place.root.name}/${place.alias}`;
      if (!options.yes) {
        if (!canAsk(io)) {
          throw usageError(
            `destroying "${whole}" takes down ${destroyed.length > 0 ? someOf(destroyed, 10) : 'everything in it'}`,
            `to go on: windlass destroy ${shellQuote(whole)} --yes`,
          );
        }
        printer.remark(
          `Destroying ${printer.errorStyle.colors.bold(oneLine(whole))} takes down ${plural(destroyed.length, 'deployed stack')}:`,
        );
        for (const name of destroyed.slice(0, 40)) printer.remark(`  ${name}`);
        if (destroyed.length > 40) printer.remark(`  … and ${destroyed.length - 40} more`);
        await confirm(io, printer, 'Their resources cannot be brought back.');
      } else if (printer.format === 'table' && destroyed.length > 0) {
        printer.remark(`Destroying ${someOf(destroyed, 10)}`);
      }
      return startRun(call, session, place.root, {
        type: 'destroy',
        force: options.force,
        ...(place.alias === null
          ? {}
          : { partial: { operation: 'single-node-destroy', node: place.alias, force: options.force } }),
        ...(options.comment ? { comment: options.comment } : {}),
        ...(approval === undefined ? {} : { requiresApproval: approval }),
        ...(options.onFailure ? { onFailure: options.onFailure } : {}),
      });
    },
  });
}

/** Names of what is deployed and would go, what depends on others first. */
async function listNodesToDestroy(session: Session, { root, environment, alias }: NodePlace): Promise<string[]> {
  const whole = alias === null ? root : environment;
  if (whole.type !== 'workflow') return [describe(environment)];
  const graph = await session.client.environments.graph({ params: { ref: whole.id } });
  const nodes = graph.nodes.filter(({ type }) => type !== 'workflow');
  const { order } = topologicalOrder(nodes);
  const place = new Map((order ?? []).map((name, index) => [name, index]));
  return nodes
    .toSorted((a, b) => (place.get(a.alias) ?? 0) - (place.get(b.alias) ?? 0))
    .filter((node) => mayHaveResources(node.status))
    .toReversed()
    .map((node) => `${oneLine(node.name)} (${environmentStatusWord(node.status)})`);
}

function describe(environment: Environment): string {
  return `${oneLine(environment.name)} (${environmentStatusWord(environment.status)})`;
}

const planOptions = z.object({
  ...commonRunOptions,
  ...variableOptions,
  ...followOptions,
  ...directoryOptions,
  ...moveOptions,
});

export function addPlan({ add }: Registry): void {
  const plan = add({
    usage: 'plan <environment>',
    summary: 'See what a deploy would change, without changing anything',
    description:
      'Plans all that a deploy would do: first what it would destroy or let go because the file no longer lists it, then every node, or one. What depends on outputs that do not exist yet is said to be unknown. Never holds up other runs. A directory (or a workflow file) becomes a template and an environment of its name first; nothing in it is deployed.',
    examples: [
      ['windlass plan shop', 'the whole graph'],
      ['windlass plan shop/eks', 'one node'],
      ['windlass plan ./my-stack', 'a directory with a workflow file or one stack'],
      ['windlass plan show shop', 'read the whole plan'],
      ['windlass plan show shop/eks', 'of one node'],
    ],
    flags: [
      ...commonRunFlags.filter(({ flags }) => /--revision|--comment/.test(flags)),
      ...variableFlags,
      ...moveFlags,
      ...directoryFlags,
      ...followFlags,
    ],
    options: planOptions,
    async run(call) {
      const { options } = call;
      const session = await call.connect();
      const place = await findOrMakePlace(call, session, call.argument(0));
      const variables = await readVariables(options, place.alias ?? undefined, createSecretReader(call.io));
      return startRun(call, session, place.root, {
        type: 'plan',
        variables,
        replaceRenamed: options.replaceRenamed,
        ...readMoves(options.moved),
        ...(place.alias === null
          ? {}
          : { partial: { operation: 'single-node-deploy', node: place.alias, trickleDown: 'none' } }),
        ...(options.revision ? { revision: options.revision } : {}),
        ...(options.comment ? { comment: options.comment } : {}),
      });
    },
  });
  addPlanShow(add, plan);
}
