/**
 * The shell around a tool. It holds no pipe to the worker, so both go on when the worker dies, and it writes down
 * who it is, who the tool is, and the tool's exit code. Arguments: run directory, token, then the tool's.
 *
 * - Traps keep it alive through signals meant for the whole group; a child gets the defaults back.
 * - On Linux the shell's own `read` of /proc/self/stat costs no process and survives `exec`.
 * - A tool that died of a signal or was told to stop may leave children (provider plugins, what a provisioner has
 *   started) behind: they are ended with it.
 */
const ending = `
code=$?
echo "$code" >"$directory/exit"
if [ "$code" -gt 128 ] || [ -e "$directory/stopped" ]; then kill -s TERM 0; fi
`;

const linuxWrapper = `
directory=$1; shift 2
trap : INT TERM HUP
read -r line </proc/self/stat && echo "$line" >"$directory/wrapper"
( read -r line </proc/self/stat && echo "$line" >"$directory/tool"; exec "$@" )
${ending}`;

const portableWrapper = `
directory=$1; shift 2
trap : INT TERM HUP
ps -o pid=,lstart= -p $$ >"$directory/wrapper"
sh -c 'directory=$1; shift; ps -o pid=,lstart= -p $$ >"$directory/tool"; exec "$@"' sh "$directory" "$@"
${ending}`;

export function wrapperArguments(directory: string, token: string, argv: readonly string[]): string[] {
  const script = process.platform === 'linux' ? linuxWrapper : portableWrapper;
  return ['-c', script, 'windlass-run', directory, token, ...argv];
}
