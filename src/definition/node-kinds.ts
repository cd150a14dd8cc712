/** The blocks by which a workflow file says that a node is of a kind that needs no tool. */
import type { InlineTemplate } from '../model/index.ts';
import { nodeKindDefinitions } from '../node/kinds/catalogue.ts';
import type { NodeKindDefinition } from '../node/kinds/catalogue.ts';
import type { Piece } from './schema.ts';
import { addIssue, piece } from './schema.ts';
import { gate } from './workflow-approval.ts';
import { jsonOf } from './workflow-variables.ts';

/** Blocks with pieces of their own; the others are what the schema of their kind says. */
const pieces: Readonly<Record<string, Piece<unknown>>> = { approval: gate };

const kinds = nodeKindDefinitions();

export const kindKeys: readonly string[] = kinds.map(({ name }) => name);

/** Pieces for the keys of all kinds. */
export const kindBlocks: Readonly<Record<string, Piece<unknown>>> = Object.fromEntries(
  kinds.map((kind) => [kind.name, (pieces[kind.name] ?? plainBlock(kind)).optional() as Piece<unknown>]),
);

export function kindOfKey(key: string): NodeKindDefinition | undefined {
  return kinds.find(({ name }) => name === key);
}

/** The template of a node with such a block: it has no code, so its place is the file that asks for it. */
export function templateOfKind(fields: Readonly<Record<string, unknown>>): InlineTemplate | undefined {
  const kind = kinds.find(({ name }) => fields[name] !== undefined);
  if (kind === undefined) return undefined;
  return { type: kind.name, source: { kind: 'own', path: '.' }, config: { [kind.name]: fields[kind.name] } };
}

function plainBlock({ settings }: NodeKindDefinition): Piece<unknown> {
  return piece(({ node }, issues) => {
    const read = settings?.safeParse(jsonOf(node, issues, (text) => text));
    for (const { message, path } of read?.error?.issues ?? []) {
      const where = path.length === 0 ? '' : `${path.join('.')} in `;
      addIssue(issues, (name) => `${where}${name}: ${message}`, { path: path.map(String), whole: true });
    }
    return read?.data;
  });
}
