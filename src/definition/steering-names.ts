import { isToolVariable } from '../tools/catalogue.ts';

/** Environment variables that decide which programs run and with which options, instead of telling a stack something. */

const exact = new Set([
  ...['PATH', 'HOME', 'SHELL', 'IFS', 'ENV', 'BASH_ENV', 'BASHOPTS', 'SHELLOPTS', 'PS4', 'PROMPT_COMMAND', 'CDPATH'],
  ...['EDITOR', 'VISUAL', 'PAGER', 'SSH_ASKPASS', 'TMPDIR', 'GCONV_PATH', 'GLIBC_TUNABLES', 'HOSTALIASES', 'LOCPATH'],
  ...['PERL5OPT', 'PERL5LIB', 'PERLLIB', 'RUBYOPT', 'RUBYLIB'],
  ...['NODE_OPTIONS', 'NODE_PATH', 'NODE_REPL_EXTERNAL_MODULE'],
  ...['JAVA_TOOL_OPTIONS', '_JAVA_OPTIONS', 'JDK_JAVA_OPTIONS'],
  ...['GIT_SSH', 'GIT_SSH_COMMAND', 'GIT_ASKPASS', 'GIT_EXEC_PATH', 'GIT_PROXY_COMMAND', 'GIT_EXTERNAL_DIFF'],
  ...['GIT_EDITOR', 'GIT_SEQUENCE_EDITOR', 'GIT_PAGER', 'GIT_TEMPLATE_DIR', 'GIT_DIR', 'GIT_WORK_TREE'],
]);

const beginnings = ['LD_', 'DYLD_', 'PYTHON', 'BASH_FUNC_', 'GIT_CONFIG'];

/**
 * Whether a variable of this name steers tools. It takes `project.manage` to set one: options for a tool may make a run skip a
 * refresh or destroy something, and `PATH` and `LD_PRELOAD` run other programs.
 */
export function steersTools(name: string): boolean {
  return (
    exact.has(name) || beginnings.some((beginning) => name.startsWith(beginning)) || isToolVariable('steering', name)
  );
}
