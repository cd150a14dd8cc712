import { z } from 'zod';
import { trickleDowns } from '../../model/index.ts';
import type { PartialRun } from '../../model/index.ts';
import { exampleOfTools } from '../../tools/catalogue.ts';
import type { Registry } from '../cli.ts';
import { usageError } from '../exit.ts';
import { shellQuote } from '../text/format.ts';
import { directoryFlags, directoryOptions, findOrMakePlace } from './deploy-directory.ts';
import {
  commonRunFlags,
  commonRunOptions,
  envelopeFlags,
  envelopeOptions,
  followFlags,
  followOptions,
  moveFlags,
  moveOptions,
  readApprovalChoice,
  readEnvelope,
  readMoves,
  startRun,
  variableFlags,
  variableOptions,
} from './runs.ts';
import { yesFlag } from './options.ts';
import { createSecretReader } from './shared.ts';
import type { NodePlace } from './shared.ts';
import { readVariables } from './variables-input.ts';

const deployOptions = z.object({
  ...commonRunOptions,
  ...variableOptions,
  ...envelopeOptions,
  ...followOptions,
  fromHere: z.boolean().default(false),
  trickleDown: z.enum(trickleDowns).optional(),
  yes: z.boolean().default(false),
  ...moveOptions,
  ...directoryOptions,
});

export function addDeploy({ add }: Registry): void {
  add({
    usage: 'deploy <environment>',
    summary: 'Deploy an environment, one node of it, or a directory',
    description:
      'Deploys an environment and follows the run. `shop/eks` is one node of `shop`. A directory (or a workflow file) becomes a template and an environment of its name first.',
    examples: [
      ['windlass deploy shop', 'the whole environment'],
      ['windlass deploy shop/eks', 'one node, and what depends on outputs that change'],
      ['windlass deploy shop/eks --from-here', 'one node and everything that depends on it'],
      ["windlass deploy shop/eks --var 'nodes:=3'", 'with a variable changed for this run'],
      ['windlass deploy ./my-stack', 'a directory with a workflow file or one stack'],
      [
        `windlass deploy shop --max-changes 10 --types ${exampleOfTools().resource}`,
        'plans within these bounds need no approval',
      ],
      ['windlass deploy shop --yes', 'also when it destroys something, for scripts'],
      ['windlass deploy shop --detach --json', 'ask for it and go; prints the deployment'],
    ],
    flags: [
      { flags: '--from-here', description: 'of a node: run it and everything downstream' },
      {
        flags: '--trickle-down <which>',
        description: 'of a node: which dependents run afterwards',
        choices: trickleDowns,
      },
      ...commonRunFlags,
      ...variableFlags,
      ...envelopeFlags,
      yesFlag,
      ...moveFlags,
      ...directoryFlags,
      ...followFlags,
    ],
    options: deployOptions,
    async run(call) {
      const { options, io } = call;
      const approval = readApprovalChoice(options);
      const moves = readMoves(options.moved);
      const session = await call.connect();
      const place = await findOrMakePlace(call, session, call.argument(0));
      const variables = await readVariables(options, place.alias ?? undefined, createSecretReader(io));
      const envelope = readEnvelope(options);
      const partial = partialOf(place, options);
      return startRun(
        call,
        session,
        place.root,
        {
          type: 'deploy',
          variables,
          force: options.force,
          replaceRenamed: options.replaceRenamed,
          ...(partial ? { partial } : {}),
          ...(options.revision ? { revision: options.revision } : {}),
          ...(options.comment ? { comment: options.comment } : {}),
          ...(approval === undefined ? {} : { requiresApproval: approval }),
          ...(options.onFailure ? { onFailure: options.onFailure } : {}),
          ...(envelope ? { envelope } : {}),
          ...moves,
        },
        {
          yes: options.yes,
          what: `deploying "${place.root.name}"`,
          command: `windlass deploy ${shellQuote(call.argument(0))}`,
        },
      );
    },
  });
}

function partialOf(
  place: NodePlace,
  options: { readonly fromHere: boolean; readonly trickleDown?: 'none' | 'changed-outputs' | 'all' | undefined },
): PartialRun | undefined {
  const { alias, environment } = place;
  if (options.fromHere && options.trickleDown)
    throw usageError('--from-here runs everything downstream: --trickle-down has no meaning with it');
  if (alias === null) {
    const flag = options.fromHere ? '--from-here' : options.trickleDown ? '--trickle-down' : undefined;
    if (flag)
      throw usageError(
        `${flag} is for one node: "${environment.name}" is a whole environment`,
        `name the node: windlass deploy ${shellQuote(`${environment.name}/NODE`)} ${flag}`,
      );
    return undefined;
  }
  if (options.fromHere) return { operation: 'run-from-here', node: alias };
  return { operation: 'single-node-deploy', node: alias, trickleDown: options.trickleDown ?? 'changed-outputs' };
}
