export { createToolLocator } from './locator.ts';
export type { LocatedTool, ToolLocator } from './locator.ts';
export { reportWhile, reporter } from './progress.ts';
export type { OnToolProgress, ToolPhase, ToolProgress } from './progress.ts';
export { findProviderMirror, findTestServer } from './test-tools.ts';
