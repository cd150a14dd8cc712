import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Random } from './random.ts';

export interface ChaosNode {
  readonly alias: string;
  readonly needs: readonly string[];
  /** Addresses of the resources that exist when it is deployed. */
  readonly resources: readonly string[];
  readonly sleepSeconds: number;
  /** Alias whose output it reads. */
  readonly reads: string | null;
  /** Its plans wait for a decision. */
  readonly approval: boolean;
}

export interface ChaosGraph {
  readonly directory: string;
  readonly proofFile: string;
  readonly nodes: readonly ChaosNode[];
}

/**
 * One resource that was begun, finished or taken away, as its own provisioner wrote it; `overlap` when another
 * provisioner of the same resource was still at work.
 */
export interface ProofLine {
  readonly what: 'begin' | 'end' | 'gone' | 'overlap';
  readonly alias: string;
  readonly deploymentId: string;
  readonly address: string;
  readonly value: string;
}

/** Three to seven stacks, each with needs among the earlier ones. No other run has the same aliases. */
export function drawGraph(random: Random, directory: string, run: number): ChaosGraph {
  const count = random.whole(3, 7);
  const asks = random.chance(0.3);
  const nodes: ChaosNode[] = [];
  for (let index = 0; index < count; index++) {
    const needs = nodes.filter(() => random.chance(0.35)).map(({ alias }) => alias);
    const reads = needs.length > 0 && random.chance(0.4) ? random.pick(needs) : null;
    nodes.push({
      alias: `n${index}r${run}`,
      needs,
      resources: random.chance(0.3) ? ['terraform_data.this', 'terraform_data.second'] : ['terraform_data.this'],
      sleepSeconds: random.whole(0, 10) / 10,
      reads,
      approval: asks && random.chance(0.3),
    });
  }
  return { directory, proofFile: join(directory, '..', 'proof'), nodes };
}

function resourceText(proofFile: string, address: string, node: ChaosNode): string {
  const name = address.replace('terraform_data.', '');
  const say = (what: string, value: string): string =>
    `echo ${what} ${node.alias} $WINDLASS_DEPLOYMENT_ID ${address} ${value} >> ${proofFile}`;
  const value = '${var.value}';
  // The system frees this lock when the process and its children are gone, however they end.
  const alone = (then: string): string =>
    `exec 9>${proofFile}.${node.alias}.${name}; flock -n 9 || ${say('overlap', '-')}; ${then}`;
  return `resource "terraform_data" "${name}" {
  input            = var.value
  triggers_replace = [var.value]
${name === 'second' ? '  depends_on = [terraform_data.this]\n' : ''}
  provisioner "local-exec" {
    command = "${alone(say('begin', value))}; sleep \${var.pause}; test '\${var.fail}' != yes || { echo 'fails on purpose' >&2; exit 3; }; ${say('end', value)}"
  }
  provisioner "local-exec" {
    when    = destroy
    command = "${alone(say('gone', '${self.input}'))}"
  }
}
`;
}

/** Writes the workflow and its stacks. */
export function writeGraph(graph: ChaosGraph): void {
  const environments: Record<string, unknown> = {};
  for (const node of graph.nodes) {
    const stack = join(graph.directory, 'stacks', node.alias);
    mkdirSync(stack, { recursive: true });
    const variables = [
      'variable "value" {\n  default = "none"\n}',
      'variable "fail" {\n  default = "no"\n}',
      `variable "pause" {\n  default = "${node.sleepSeconds}"\n}`,
      ...(node.reads === null ? [] : ['variable "upstream" {\n  type = string\n}']),
    ];
    const output = 'output "value" {\n  value = terraform_data.this.output\n}\n';
    const resources = node.resources.map((address) => resourceText(graph.proofFile, address, node));
    writeFileSync(join(stack, 'main.tf'), [...variables, ...resources, output].join('\n'));
    environments[node.alias] = {
      vcs: { type: 'opentofu', path: `stacks/${node.alias}` },
      ...(node.approval ? { requiresApproval: true } : {}),
      ...(node.needs.length > 0 ? { needs: node.needs } : {}),
      ...(node.reads === null ? {} : { inputs: { upstream: `\${environments.${node.reads}.outputs.value}` } }),
    };
  }
  writeFileSync(join(graph.directory, 'windlass.workflow.yml'), `${JSON.stringify({ environments }, null, 2)}\n`);
  appendFileSync(graph.proofFile, '');
}

export function readProof(graph: ChaosGraph): ProofLine[] {
  if (!existsSync(graph.proofFile)) return [];
  const lines = readFileSync(graph.proofFile, 'utf8').split('\n').filter(Boolean);
  return lines.map((line) => {
    const [what = '', alias = '', deploymentId = '', address = '', value = ''] = line.split(' ');
    return { what: what as ProofLine['what'], alias, deploymentId, address, value };
  });
}
