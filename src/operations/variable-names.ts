import type { VariableInput } from '../model/index.ts';

/** Set by Windlass for every tool, so that a variable of this name would not reach it or would break the run. */
const reservedNames =
  /^(WINDLASS_.*|TF_HTTP_.*|TF_DATA_DIR|TF_WORKSPACE|TF_INPUT|TF_IN_AUTOMATION|TF_CLI_CONFIG_FILE|TF_PLUGIN_CACHE_DIR|TF_LOG_PATH)$/;

/** Why a variable cannot have this name, kind and type, as a sentence without its name; null when it can. */
export function variableNameProblem({
  name,
  kind,
  type,
}: Pick<VariableInput, 'name' | 'kind' | 'type'>): string | null {
  if (kind !== 'environment') return null;
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name))
    return 'cannot be an environment variable: its name may hold letters, digits and _ only';
  if (reservedNames.test(name)) return 'cannot be an environment variable: Windlass sets it itself';
  if (type === 'list' || type === 'map')
    return `cannot be an environment variable: a process environment holds no ${type}s; use text, or a tool variable`;
  return null;
}
