import { randomUUID } from 'node:crypto';
import { constants, lstatSync, readFileSync, readdirSync, readlinkSync, realpathSync } from 'node:fs';
import { chmod, copyFile, lstat, mkdir, readlink, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import { z } from 'zod';
import { WindlassError } from '../model/index.ts';
import { isCompletedByTool, isToolCache, isToolState } from './catalogue.ts';
import { ensureDirectories } from '../process/index.ts';

/** What the last call copied, so that the next one knows what is its own and what the tool made. */
const manifestSchema = z.object({
  source: z.string(),
  path: z.string(),
  /** Copied files and links of the stack's directory: size and time of the copy. */
  files: z.record(z.string(), z.tuple([z.number(), z.number()])),
  /** What lies beside the stack is linked. */
  linked: z.boolean().optional(),
});
type Manifest = z.infer<typeof manifestSchema>;

export interface WorkTreeOptions {
  readonly sourceDirectory: string;
  readonly path: string;
  readonly workDirectory: string;
}

export interface WorkTreeNeeds {
  /** As it is in the source, with everything beside the stack: for commands that may change and look for anything. */
  readonly pristine?: boolean;
  /** With everything beside the stack: for a script that is not among its files and may look for anything. */
  readonly beside?: boolean;
}

/** Never copied: version control, what a tool keeps for itself, and states, which a checkout must not replace. */
const isNeverCopied = (name: string): boolean => name === '.git' || isToolCache(name) || isToolState(name);

function outside(what: string): WindlassError {
  return new WindlassError('invalidDefinition', `${what} leads out of the source`, {
    class: 'definition',
    hint: 'Keep everything a stack needs inside its repository or directory.',
  });
}

function isInside(root: string, path: string): boolean {
  return path === root || path.startsWith(root + sep);
}

/** Real path of the stack in the source, relative to its root, after following links. */
function stackPath({ sourceDirectory, path }: WorkTreeOptions): { readonly root: string; readonly inside: string } {
  const root = realpathSync(sourceDirectory);
  if (!isInside(root, resolve(root, path))) throw outside(`path "${path}"`);
  let real: string;
  try {
    real = realpathSync(resolve(root, path));
    readdirSync(real);
  } catch (cause) {
    throw new WindlassError('invalidDefinition', `the source has no directory "${path}"`, {
      class: 'definition',
      cause,
      hint: 'Correct the path of the template, or push the directory to the revision it uses.',
    });
  }
  if (!isInside(root, real)) throw outside(`path "${path}"`);
  return { root, inside: relative(root, real) };
}

function readManifest(workDirectory: string): Manifest | null {
  try {
    return manifestSchema.parse(JSON.parse(readFileSync(join(workDirectory, 'tree.json'), 'utf8')));
  } catch {
    return null;
  }
}

function isUnmodified(directory: string, files: Manifest['files']): boolean {
  return Object.entries(files).every(([file, [size, time]]) => {
    if (isCompletedByTool(file)) return true;
    try {
      const stat = lstatSync(join(directory, file));
      return stat.size === size && stat.mtimeMs === time;
    } catch {
      return false;
    }
  });
}

/** Everything to copy below a directory of the source. */
function listFiles(root: string, start: string): { readonly file: string; readonly link: string | null }[] {
  const found: { file: string; link: string | null }[] = [];
  const walk = (directory: string): void => {
    for (const entry of readdirSync(directory, { withFileTypes: true })) {
      if (isNeverCopied(entry.name)) continue;
      const path = join(directory, entry.name);
      const file = relative(start, path);
      if (entry.isDirectory()) walk(path);
      else if (entry.isFile()) found.push({ file, link: null });
      else if (entry.isSymbolicLink()) {
        const target = readlinkSync(path);
        let real: string;
        try {
          real = realpathSync(path);
        } catch {
          continue;
        }
        if (!isInside(root, real)) throw outside(`the link "${relative(root, path)}"`);
        // Links to the outside of the stack's directory are made absolute: they mean the source, not the copy.
        found.push({
          file,
          link: isInside(start, resolve(directory, target)) && !target.startsWith(sep) ? target : real,
        });
      }
    }
  };
  walk(start);
  return found;
}

async function replaceLink(link: string, target: string): Promise<void> {
  const current = await readlink(link).catch(() => null);
  if (current === target) return;
  await rm(link, { recursive: true, force: true });
  await symlink(target, link);
}

/** Makes the siblings on the way from the root to the stack visible as links into the source, or takes old links away. */
async function linkSiblings(
  { tree, root, parts }: { readonly tree: string; readonly root: string; readonly parts: readonly string[] },
  linked: boolean,
): Promise<void> {
  let made = tree;
  let original = root;
  for (const part of parts) {
    await mkdir(made, { recursive: true });
    const beside = linked ? readdirSync(original) : [];
    const wanted = new Set(beside.filter((name) => name !== part && name !== '.git'));
    for (const name of readdirSync(made)) {
      if (name !== part && !wanted.has(name)) await rm(join(made, name), { recursive: true, force: true });
    }
    for (const name of wanted) await replaceLink(join(made, name), join(original, name));
    made = join(made, part);
    original = join(original, part);
  }
}

/** Whether no link stands on the way to a directory: the tool may have put one there, and what is copied would go elsewhere. */
function isOwn(root: string, directory: string): boolean {
  try {
    return realpathSync(directory) === join(realpathSync(dirname(root)), basename(root), relative(root, directory));
  } catch {
    return false;
  }
}

const largestScan = 1024 * 1024;

/**
 * Whether a file may name something beside its stack. Beside a stack there may be hundreds of others, and a link to each
 * of them costs more than the stack itself, so they are made only when something can look for them.
 */
function mayReachOut(file: string): boolean {
  return lstatSync(file).size > largestScan || /\.\.|dirname/.test(readFileSync(file, 'latin1'));
}

export function stackDirectory(options: WorkTreeOptions): string {
  return join(options.workDirectory, 'tree', stackPath(options).inside);
}

/**
 * Copies the stack's directory into the private tree, with links for what lies beside it, and removes what an earlier
 * commit left there. What the tool made there stays. Does nothing when it is all there already: a source never changes.
 */
export async function buildWorkTree(
  options: WorkTreeOptions,
  { pristine = false, beside = pristine }: WorkTreeNeeds = {},
): Promise<string> {
  const { workDirectory } = options;
  const { root, inside } = stackPath(options);
  const tree = join(workDirectory, 'tree');
  const stack = join(tree, inside);
  const last = readManifest(workDirectory);
  const fits = last?.source === root && last.path === inside && (last.linked === true || !beside);
  if (!pristine && fits && isOwn(tree, stack) && isUnmodified(stack, last.files)) return stack;
  await mkdir(workDirectory, { recursive: true, mode: 0o700 });
  if (last?.path !== inside || !isOwn(tree, stack)) await rm(tree, { recursive: true, force: true });
  const list = listFiles(root, join(root, inside));
  const linked = beside || list.some(({ file, link }) => link === null && mayReachOut(join(root, inside, file)));
  await linkSiblings({ tree, root, parts: inside === '' ? [] : inside.split(sep) }, linked);
  await mkdir(stack, { recursive: true });
  const files: Manifest['files'] = {};
  const wanted = new Set(list.map((entry) => entry.file));
  for (const file of Object.keys(last?.files ?? {})) {
    if (wanted.has(file) || !isOwn(stack, dirname(join(stack, file)))) continue;
    await rm(join(stack, file), { recursive: true, force: true });
  }
  for (const { file, link } of list) {
    const target = join(stack, file);
    await ensureDirectories(stack, file.split(sep).slice(0, -1));
    await rm(target, { recursive: true, force: true });
    if (link === null) {
      await copyFile(join(root, inside, file), target, constants.COPYFILE_FICLONE);
      const { mode } = await lstat(target);
      if ((mode & 0o200) === 0) await chmod(target, (mode & 0o777) | 0o200);
    } else await symlink(link, target);
    const { size, mtimeMs } = await lstat(target);
    files[file] = [size, mtimeMs];
  }
  await writeManifest(workDirectory, { source: root, path: inside, files, linked });
  return stack;
}

async function writeManifest(workDirectory: string, manifest: Manifest): Promise<void> {
  const draft = join(workDirectory, `tree.json.${randomUUID()}`);
  await writeFile(draft, JSON.stringify(manifest), { mode: 0o600 });
  await rename(draft, join(workDirectory, 'tree.json'));
}

/**
 * Takes what commands have changed in a pristine tree as it is: the next build leaves it alone, and the next pristine
 * one takes it back. Call it after the commands with what `filesIn` answered before them.
 */
export async function acceptChanges(options: WorkTreeOptions, before: ReadonlySet<string>): Promise<void> {
  const last = readManifest(options.workDirectory);
  if (last === null) return;
  const stack = stackDirectory(options);
  const files: Manifest['files'] = {};
  for (const file of filesIn(options)) {
    if (last.files[file] === undefined && before.has(file)) continue;
    const { size, mtimeMs } = await lstat(join(stack, file));
    files[file] = [size, mtimeMs];
  }
  await writeManifest(options.workDirectory, { ...last, files });
}

/** Files and links of the stack in its work tree, apart from what a tool keeps there. */
export function filesIn(options: WorkTreeOptions): Set<string> {
  const stack = stackDirectory(options);
  const found = new Set<string>();
  const walk = (directory: string): void => {
    for (const entry of readdirSync(directory, { withFileTypes: true })) {
      if (isNeverCopied(entry.name)) continue;
      const path = join(directory, entry.name);
      if (entry.isDirectory()) walk(path);
      else found.add(relative(stack, path));
    }
  };
  walk(stack);
  return found;
}
