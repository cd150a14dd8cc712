import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** `n3` → aliases it needs. */
export type Shape = readonly (readonly number[])[];

export const chain = (size: number): Shape =>
  Array.from({ length: size }, (_, index) => (index === 0 ? [] : [index - 1]));
export const fanOut = (size: number): Shape => Array.from({ length: size }, (_, index) => (index === 0 ? [] : [0]));

/** The seed's example: VPC; DB and EKS on it; three services on both. */
export const shop: Shape = [[], [0], [0], [1, 2], [1, 2], [1, 2]];

/** A repeatable random graph: each node needs up to three of the earlier ones. */
export function random(size: number, seed = 7): Shape {
  let state = seed;
  const next = (below: number): number => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return Math.floor((state / 2_147_483_648) * below);
  };
  return Array.from({ length: size }, (_, index) => {
    const count = Math.min(index, next(4));
    return [...new Set(Array.from({ length: count }, () => next(index)))];
  });
}

/** Length of the longest chain of needs, in nodes. */
export function depth(shape: Shape): number {
  const depths: number[] = [];
  shape.forEach((needs, index) => {
    depths[index] = 1 + Math.max(0, ...needs.map((need) => depths[need] ?? 0));
  });
  return Math.max(0, ...depths);
}

export type StackKind = 'noop' | 'empty' | 'twoSeconds';

const stacks: Record<Exclude<StackKind, 'noop'>, (index: number) => string> = {
  empty: (index) =>
    `resource "terraform_data" "this" {\n  input = "${index}"\n}\n\noutput "id" {\n  value = terraform_data.this.output\n}\n`,
  twoSeconds: (index) =>
    `resource "terraform_data" "this" {\n  input = "${index}"\n  provisioner "local-exec" {\n    command = "sleep 2"\n  }\n}\n\noutput "id" {\n  value = terraform_data.this.output\n}\n`,
};

/** Writes a workflow file and its stacks into a directory. */
export function writeWindlass(directory: string, shape: Shape, kind: StackKind): void {
  const type = kind === 'noop' ? 'shell' : 'opentofu';
  const lines = ['environments:'];
  shape.forEach((needs, index) => {
    const path = kind === 'noop' ? 'stacks/noop' : `stacks/n${index}`;
    lines.push(`  n${index}:`, `    vcs: { type: ${type}, path: ${path} }`);
    if (needs.length > 0) lines.push(`    needs: [${needs.map((need) => `n${need}`).join(', ')}]`);
  });
  mkdirSync(join(directory, 'stacks'), { recursive: true });
  writeFileSync(join(directory, 'windlass.workflow.yml'), `${lines.join('\n')}\n`);
  if (kind === 'noop') {
    mkdirSync(join(directory, 'stacks', 'noop'), { recursive: true });
    writeFileSync(join(directory, 'stacks', 'noop', 'README'), 'joins branches, runs nothing\n');
    return;
  }
  shape.forEach((_, index) => {
    mkdirSync(join(directory, 'stacks', `n${index}`), { recursive: true });
    writeFileSync(join(directory, 'stacks', `n${index}`, 'main.tf'), stacks[kind](index));
  });
}

/** The same stacks as a Makefile that runs init and apply by hand. */
export function writeMake(directory: string, shape: Shape, kind: Exclude<StackKind, 'noop'>, tofu: string): void {
  const lines = [`all: ${shape.map((_, index) => `n${index}`).join(' ')}`, ''];
  shape.forEach((needs, index) => {
    lines.push(`n${index}: ${needs.map((need) => `n${need}`).join(' ')}`);
    lines.push(
      `\t@cd stacks/n${index} && ${tofu} init -input=false -no-color >init.log 2>&1 && ${tofu} apply -auto-approve -input=false -no-color >apply.log 2>&1`,
      '',
    );
    mkdirSync(join(directory, 'stacks', `n${index}`), { recursive: true });
    writeFileSync(join(directory, 'stacks', `n${index}`, 'main.tf'), stacks[kind](index));
  });
  writeFileSync(
    join(directory, 'Makefile'),
    `.PHONY: all ${shape.map((_, index) => `n${index}`).join(' ')}\n${lines.join('\n')}`,
  );
}
