/** All tools, by what can be said of them without running them. A new tool is its folder and a line here. */
import { ansible } from './ansible/definition.ts';
import { cloudformation } from './cloudformation/definition.ts';
import { includesName } from './definition.ts';
import type { ToolDefinition } from './definition.ts';
import { helm } from './helm/definition.ts';
import { kubernetes } from './kubernetes/definition.ts';
import { opentofu } from './opentofu/definition.ts';
import { pulumi } from './pulumi/definition.ts';
import { shell } from './shell/definition.ts';
import { terragrunt } from './terragrunt/definition.ts';

export { flowSteps, plainTool } from './definition.ts';
export type { FileKey, FlowStep, ToolDefinition } from './definition.ts';

const listed: readonly ToolDefinition[] = [
  opentofu,
  terragrunt,
  pulumi,
  kubernetes,
  cloudformation,
  helm,
  ansible,
  shell,
];

const addedDefinitions: ToolDefinition[] = [];
const added: AddedTool[] = [];
let isRead = false;

/** A `Tool` (see tool.ts), whose type would bring all rooms below tools into whatever reads the catalogue. */
export interface AddedTool {
  readonly definition: ToolDefinition;
}

/**
 * Adds a tool that is not part of Windlass. A program of one's own does so first, and loads the rest of Windlass afterwards with
 * `import()`: the schemas of files, templates and the API are made from the catalogue. `load` brings the rest of the tool, which
 * stands on those schemas. Throws when they have been made already, or when the tool takes the place of another one.
 */
export async function addTool(definition: ToolDefinition, load: () => Promise<AddedTool>): Promise<void> {
  const { name, types } = definition;
  if (isRead) throw new Error(`the tool ${name} is added too late: add it before anything else of Windlass is loaded`);
  const taken = [...listed, ...addedDefinitions].flatMap((each) => [each.name, ...each.types]);
  const double = [name, ...types].find((word) => taken.includes(word));
  if (double !== undefined) throw new Error(`there is a tool or type named ${double} already`);
  addedDefinitions.push(definition);
  added.push(await load());
}

/** Tools that are not part of Windlass, with their runners. */
export function addedTools(): readonly AddedTool[] {
  return added;
}

/** In the order in which people see them. */
export function toolDefinitions(): readonly ToolDefinition[] {
  isRead = true;
  return [...listed, ...addedDefinitions];
}

/** Undefined for a type that no tool serves. */
export function toolOfType(type: string): ToolDefinition | undefined {
  return toolDefinitions().find(({ types }) => types.includes(type));
}

/** Whether some tool has such a name among its environment variables. */
export function isToolVariable(sort: keyof ToolDefinition['environment'], name: string): boolean {
  return toolDefinitions().some(({ environment }) => includesName(environment[sort], name));
}

/** Directories that tools keep for themselves beside code. */
export function isToolCache(name: string): boolean {
  return toolDefinitions().some(({ leavings }) => leavings.caches.includes(name));
}

/** Whether a file or directory of this name holds states. */
export function isToolState(name: string): boolean {
  return toolDefinitions().some(({ leavings: { states } }) => {
    return states.names.includes(name) || states.endings.some((ending) => name.endsWith(ending));
  });
}

/** Whether a tool completes such a file of a stack, so that a change of it is nobody else's. */
export function isCompletedByTool(file: string): boolean {
  return toolDefinitions().some(({ completes }) => completes.includes(file));
}

/** Environment variables of Windlass that name programs and files of tools. */
export function toolPathVariables(): string[] {
  return toolDefinitions().flatMap(({ programs, files }) => [...programs.map(({ variable }) => variable), ...files]);
}

/** Programs that a machine which runs Windlass by itself gets before anything is asked of it. */
export function programsAtStart(): string[] {
  return toolDefinitions().flatMap(({ programs }) => programs.filter(({ atStart }) => atStart).map(({ name }) => name));
}

/** What a tool is like, for examples on the command line. */
export function exampleOfTools(): { readonly type: string; readonly resource: string } {
  const [first] = toolDefinitions();
  return { type: first?.types[0] ?? '', resource: first?.exampleResource ?? '' };
}
