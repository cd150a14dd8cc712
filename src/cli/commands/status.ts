import type { EnvironmentStatusReport } from '../../model/index.ts';
import type { Registry } from '../cli.ts';
import { noOptions } from '../cli.ts';
import { renderStatus } from '../status-text.ts';
import { shellQuote } from '../text/format.ts';
import { joinWithin } from '../text/width.ts';
import { printValue } from './shared.ts';

export function addStatus({ add }: Registry): void {
  add({
    usage: 'status <environment>',
    summary: 'Show how an environment is: its runs, each node, what failed and who has to decide',
    examples: [
      ['windlass status shop', 'what is deployed, what runs, what waits'],
      ['windlass status shop/eks', 'one node'],
      ['windlass status shop --json', 'for scripts'],
    ],
    options: noOptions,
    async run(call) {
      const { client } = await call.connect();
      const report = await client.environments.status({ params: { ref: call.argument(0) } });
      const { printer, io } = call;
      if (printer.format !== 'table') return printValue(call, report);
      printer.lines(renderStatus(report, { nowMs: io.now(), width: printer.width, style: printer.style }));
      const next = joinWithin(nextSteps(report), ` ${printer.style.glyphs.dot} `, printer.width - 7);
      printer.lines(['', ...next.map((line, index) => `${index === 0 ? 'Next:  ' : '       '}${line}`)]);
      return undefined;
    },
  });
}

function nextSteps({ environment, path, current, last }: EnvironmentStatusReport): string[] {
  const name = shellQuote(path);
  if (current !== null) {
    return [
      `windlass deployment watch ${current.id}`,
      current.paused ? `windlass continue ${shellQuote(current.environmentName)}` : `windlass cancel ${name}`,
    ];
  }
  if (environment.flags.lock) return [`windlass unlock ${name}`];
  if (environment.status === 'failed') return [`windlass resume ${name}`, `windlass logs ${name}`];
  if (environment.status === 'active' || environment.status === 'partlyDeployed')
    return [`windlass logs ${name}`, `windlass deploy ${name}`, `windlass destroy ${name}`];
  return [...(last ? [`windlass logs ${name}`] : []), `windlass deploy ${name}`];
}
