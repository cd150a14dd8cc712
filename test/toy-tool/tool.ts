import type { Tool } from '../../src/tools/index.ts';
import { toy } from './definition.ts';
import { createToyRunner } from './runner.ts';

export const toyTool: Tool = { definition: toy, createRunner: createToyRunner };
