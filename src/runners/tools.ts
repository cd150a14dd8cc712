/** Programs that runners start. */
export type ToolName = 'tofu' | 'terraform';

/** Finds the programs that runners start. */
export interface ToolLocator {
  /**
   * Absolute path of an executable of this tool.
   * @param version Wanted version, as in a template's `version`; any when absent.
   * Throws a WindlassError `toolMissing` that says how to get it.
   */
  find(tool: ToolName, version?: string): Promise<string>;
}
