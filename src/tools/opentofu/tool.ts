import type { Tool } from '../tool.ts';
import { opentofu } from './definition.ts';
import { programRecipes } from './provision.ts';
import { createOpenTofuRunner } from './runner.ts';
import { programOf } from './programs.ts';
import { readStackFacts } from './stack-facts.ts';

export const opentofuTool: Tool = {
  definition: opentofu,
  createRunner: createOpenTofuRunner,
  recipes: programRecipes,
  declaredVariables(type, directory) {
    const facts = readStackFacts(directory, programOf(type), '');
    return facts.hasFiles ? facts.variables : null;
  },
};
