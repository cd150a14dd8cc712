import { WindlassError } from '../model/index.ts';
import type { NodeType, TemplateType } from '../model/index.ts';
import { createOpenTofuRunner } from './opentofu/runner.ts';
import type { RunnerOptions } from './options.ts';
import type { StackRunner } from './runner.ts';
import { createShellRunner } from './shell/runner.ts';

export interface RunnerRegistry {
  /** The runner of a type. Throws a WindlassError of class `definition` that lists the supported types. */
  get(type: NodeType): StackRunner;
  supported(): TemplateType[];
}

/** Types that this version can run; what asks for another is refused before anything runs. */
export const runnableTypes: readonly TemplateType[] = ['opentofu', 'terraform', 'shell'];

export function createRunners(options: RunnerOptions): RunnerRegistry {
  const runners = new Map<NodeType, StackRunner>();
  const all = [createOpenTofuRunner(options), createShellRunner(options)];
  for (const runner of all) {
    for (const type of runner.types) runners.set(type, runner);
  }
  const supported = (): TemplateType[] => all.flatMap(({ types }) => types);
  return {
    get(type) {
      const runner = runners.get(type);
      if (runner) return runner;
      throw new WindlassError(
        'invalidDefinition',
        `templates of type "${type}" cannot be run by this version of Windlass`,
        {
          class: 'definition',
          hint: `It runs ${supported().join(', ')}.`,
        },
      );
    },
    supported,
  };
}
