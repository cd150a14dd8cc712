import type { NodeVersion, Preview, PreviewNode } from '../../model/index.ts';
import { plural } from './format.ts';
import type { Style } from './style.ts';
import { oneLine, padEnd, widthOf } from './width.ts';

const mostNodes = 40;

/** Which node goes back to what, before a rollback begins. */
export function renderRollback(preview: Preview, { colors, glyphs }: Style): string[] {
  const { basedOn, environmentName, stops } = preview;
  const changed = preview.nodes.filter(({ action }) => action !== 'keep');
  const kept = preview.nodes.length - changed.length;
  const title = stops
    ? `Rolling back ${environmentName} stops its run and takes back what it has begun`
    : `Rolling back ${environmentName} to deployment ${basedOn?.number ?? ''}`;
  const width = Math.max(0, ...changed.slice(0, mostNodes).map(({ name }) => widthOf(oneLine(name))));
  const line = (node: PreviewNode): string => {
    const goes = node.action === 'destroy';
    const glyph = goes ? colors.red(glyphs.failed) : colors.yellow(glyphs.retrying);
    return `  ${glyph} ${padEnd(oneLine(node.name), width)}   ${describe(node, glyphs.arrow)}`;
  };
  return [
    oneLine(title),
    ...changed.slice(0, mostNodes).map(line),
    ...(changed.length > mostNodes ? [`  … and ${changed.length - mostNodes} more`] : []),
    ...(changed.length === 0 ? ['  nothing has to change'] : []),
    ...(kept > 0
      ? [
          `  ${glyphs.dot} ${plural(kept, 'other')} ${kept === 1 ? 'stays' : 'stay'} as ${kept === 1 ? 'it is' : 'they are'}`,
        ]
      : []),
  ];
}

function describe({ action, from, to, resources }: PreviewNode, arrow: string): string {
  if (action === 'destroy') {
    const count = resources === null ? '' : `, ${plural(resources, 'resource')}`;
    return `destroyed: it did not exist then${count}`;
  }
  if (from === null) return `deployed again as in ${versionOf(to)}`;
  return `${versionOf(from)} ${arrow} ${versionOf(to)}`;
}

function versionOf(version: NodeVersion | null): string {
  if (version === null) return 'what it was';
  const commit = version.commit === null ? '' : ` (${shortCommit(version.commit)})`;
  return version.deployment === null ? `the code${commit}` : `deployment ${version.deployment}${commit}`;
}

/** The beginning of a commit, or of the hash of a directory. */
export function shortCommit(commit: string): string {
  return commit.replace(/^local:/, '').slice(0, 8);
}
