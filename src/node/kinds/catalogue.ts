/** Kinds of nodes for which no tool runs, by what files and schemas have to know of them. A new kind is a line here. */
import type { z } from 'zod';

export interface NodeKindDefinition {
  /** Also the type of its nodes, and the key of its block in a workflow file. */
  readonly name: string;
  /** For people: `an approval`. */
  readonly title: string;
  /** Of what its block says, which is kept as a setting of the node. Absent where the model has it. */
  readonly settings?: z.ZodType;
}

const listed: readonly NodeKindDefinition[] = [{ name: 'approval', title: 'an approval' }];

const addedDefinitions: NodeKindDefinition[] = [];
const added = new Map<string, AddedPerformer>();
let isRead = false;

/** A `PerformNode` (see kind.ts), whose type would bring the rooms of a worker into whatever reads the catalogue. */
export type AddedPerformer = (node: never) => Promise<unknown>;

/**
 * Adds a kind that is not part of Windlass, as `addTool` adds a tool: before anything else of Windlass is loaded. `load` brings
 * what does the work. Throws when it comes too late, or when there is such a kind.
 */
export async function addNodeKind(definition: NodeKindDefinition, load: () => Promise<AddedPerformer>): Promise<void> {
  const { name } = definition;
  if (isRead) throw new Error(`the kind ${name} is added too late: add it before anything else of Windlass is loaded`);
  if ([...listed, ...addedDefinitions].some((each) => each.name === name))
    throw new Error(`there is a kind of nodes named ${name} already`);
  addedDefinitions.push(definition);
  added.set(name, await load());
}

export function nodeKindDefinitions(): readonly NodeKindDefinition[] {
  isRead = true;
  return [...listed, ...addedDefinitions];
}

/** Who does the work of a kind that is not part of Windlass. */
export function addedPerformer(name: string): AddedPerformer | undefined {
  return added.get(name);
}
