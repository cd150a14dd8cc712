import type { Tool } from '../tool.ts';
import { shell } from './definition.ts';
import { createShellRunner } from './runner.ts';

export const shellTool: Tool = { definition: shell, createRunner: createShellRunner };
