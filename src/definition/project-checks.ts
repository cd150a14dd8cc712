import type { NodeType, Problem, TemplateType, WorkflowDefinition } from '../model/index.ts';
import { needsTool } from '../model/index.ts';
import { formatDuration } from './duration.ts';
import { positionOf } from './positions.ts';
import { makeProblemList } from './problems.ts';
import { listed, nearest, quote } from './text.ts';

export interface TemplateName {
  readonly id: string;
  readonly name: string;
  readonly type: TemplateType;
}

/** What a definition needs of the project it runs in: its templates exist, are meant clearly, and can be run. */
export function checkAgainstProject(
  definition: WorkflowDefinition,
  options: {
    readonly templateNames: readonly TemplateName[];
    readonly fileName: string;
    /** Types that this version has a runner for. */
    readonly runnable: readonly TemplateType[];
    /** No environment, and no node, lives longer after a deploy. */
    readonly maximumTtlHours?: number | undefined;
  },
): Problem[] {
  const { maximumTtlHours } = options;
  const problems = makeProblemList(options.fileName);
  const byName = new Map<string, TemplateName[]>();
  for (const template of options.templateNames) {
    const list = byName.get(template.name);
    if (list === undefined) byName.set(template.name, [template]);
    else list.push(template);
  }
  const names = [...byName.keys()];
  const hints = new Map<string, string>();
  for (const node of definition.nodes) {
    const { templateName, inline } = node;
    const of = `sub-environment ${quote(node.alias)}`;
    // What is disabled is left as it is.
    const cannotRun = (type: NodeType): boolean =>
      !node.disabled && needsTool(type) && !options.runnable.includes(type);
    const runs = `it runs ${listed(options.runnable, 'and')}`;
    if (inline !== undefined && cannotRun(inline.type)) {
      problems.add(
        positionOf(node, 'vcs.type'),
        `${of} has the type ${inline.type}, which this version of Windlass cannot run; ${runs}`,
      );
    }
    const { ttlSeconds } = node;
    if (ttlSeconds !== undefined && maximumTtlHours !== undefined && ttlSeconds > maximumTtlHours * 3600) {
      problems.add(
        positionOf(node, 'ttl'),
        `${of} has a ttl of ${formatDuration(ttlSeconds)}, which is longer than the maximum of ${formatDuration(maximumTtlHours * 3600)}; give a shorter one, or have the maximum raised (windlass project update --maximum-ttl)`,
      );
    }
    if (templateName === undefined || templateName.includes('${')) continue;
    const position = positionOf(node, 'templateName');
    const found = byName.get(templateName) ?? [];
    const [template] = found;
    if (template === undefined) {
      const hint = hints.get(templateName) ?? candidates(templateName, names);
      hints.set(templateName, hint);
      problems.add(position, `${of} uses the template ${quote(templateName)}, which does not exist; ${hint}`);
    } else if (found.length > 1) {
      problems.add(
        position,
        `${of} uses the template ${quote(templateName)}, and ${found.length} have that name: ${listed(
          found.map((one) => one.id),
          'and',
        )}; rename all but one`,
      );
    } else if (cannotRun(template.type)) {
      problems.add(
        position,
        `${of} uses the template ${quote(templateName)} of the type ${template.type}, which this version of Windlass cannot run; ${runs}`,
      );
    }
  }
  return problems.sorted();
}

function candidates(name: string, known: readonly string[]): string {
  if (known.length === 0) return 'the project has no templates yet; make one with windlass template create';
  const near = nearest(name, known, 3);
  if (near.length > 0) return `did you mean ${listed(near.map((one) => quote(one)))}?`;
  return `the project has ${listed(
    known
      .slice(0, 5)
      .map((one) => quote(one))
      .concat(known.length > 5 ? [`${known.length - 5} more`] : []),
    'and',
  )}`;
}
