/** Environment variables that decide which programs run and with which options, instead of telling a stack something. */

const exact = new Set([
  ...['PATH', 'HOME', 'SHELL', 'IFS', 'ENV', 'BASH_ENV', 'BASHOPTS', 'SHELLOPTS', 'PS4', 'PROMPT_COMMAND', 'CDPATH'],
  ...['EDITOR', 'VISUAL', 'PAGER', 'SSH_ASKPASS', 'TMPDIR', 'GCONV_PATH', 'GLIBC_TUNABLES', 'HOSTALIASES', 'LOCPATH'],
  ...['PERL5OPT', 'PERL5LIB', 'PERLLIB', 'RUBYOPT', 'RUBYLIB'],
  ...['NODE_OPTIONS', 'NODE_PATH', 'NODE_REPL_EXTERNAL_MODULE'],
  ...['JAVA_TOOL_OPTIONS', '_JAVA_OPTIONS', 'JDK_JAVA_OPTIONS'],
  ...['GIT_SSH', 'GIT_SSH_COMMAND', 'GIT_ASKPASS', 'GIT_EXEC_PATH', 'GIT_PROXY_COMMAND', 'GIT_EXTERNAL_DIFF'],
  ...['GIT_EDITOR', 'GIT_SEQUENCE_EDITOR', 'GIT_PAGER', 'GIT_TEMPLATE_DIR', 'GIT_DIR', 'GIT_WORK_TREE'],
  ...['TERRAFORM_CONFIG', 'TF_CLI_CONFIG_FILE', 'TF_REATTACH_PROVIDERS', 'TF_ENCRYPTION', 'TF_APPEND_USER_AGENT'],
]);

const beginnings = ['LD_', 'DYLD_', 'PYTHON', 'BASH_FUNC_', 'GIT_CONFIG', 'TF_CLI_ARGS', 'TF_LOG', 'TF_PLUGIN'];

/**
 * Whether a variable of this name steers tools. It takes `project.manage` to set one: with `TF_CLI_ARGS` a run may be made to
 * skip a refresh or destroy something, `TF_LOG` shows secrets, `PATH` and `LD_PRELOAD` run other programs.
 */
export function steersTools(name: string): boolean {
  return exact.has(name) || beginnings.some((beginning) => name.startsWith(beginning));
}
