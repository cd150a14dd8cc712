import type { IsolationWay } from './isolation/index.ts';

/**
 * The shell around a tool. It holds no pipe to the worker, so both go on when the worker dies, and it writes down
 * who it is, who the tool is, and the tool's exit code. Arguments: run directory, token, the tool's user, then the
 * tool's.
 *
 * - Traps keep it alive through signals meant for the whole group; a child gets the defaults back.
 * - On Linux the shell's own `read` of /proc/self/stat costs no process and survives `exec`.
 * - A tool that died of a signal or was told to stop may leave children (provider plugins, what a provisioner has
 *   started) behind: they are ended with it.
 */
const ending = `
echo "$code" >"$directory/exit"
if [ "$code" -gt 128 ] || [ -e "$directory/stopped" ]; then kill -s TERM 0; fi
`;

const linuxStart = `
directory=$1; user=$3; shift 3
trap : INT TERM HUP
read -r line </proc/self/stat && echo "$line" >"$directory/wrapper"`;

const tool = '( read -r line </proc/self/stat && echo "$line" >"$directory/tool"; exec "$@"';

const linuxWrapper = `${linuxStart}
${tool} )
code=$?
${ending}`;

/**
 * bwrap writes to \`sandbox\` which process is the first of the tool's namespace. Should bwrap alone be killed, that one
 * goes on: it is ended before the end is written down. A number that was given to another process since is told by the
 * namespace, which is the shell's own then.
 */
const bubblewrapWrapper = `${linuxStart}
${tool} 3>"$directory/sandbox" 4<"$directory/environment" )
code=$?
if [ "$code" -gt 128 ]; then
  while read -r key value; do
    if [ "$key" = '"child-pid":' ]; then first=\${value%,}; fi
  done <"$directory/sandbox"
  if [ -n "\${first:-}" ] && [ -e "/proc/$first/ns/pid" ] && ! [ "/proc/$first/ns/pid" -ef /proc/self/ns/pid ]; then
    kill -s KILL "$first"
  fi
fi
${ending}`;

/** What the tool's user still runs is ended, before others touch what it could write. */
const userWrapper = `${linuxStart}
${tool} )
code=$?
setpriv --reuid "$user" --regid "$user" --clear-groups --no-new-privs -- /bin/sh -c 'kill -s KILL -1' 2>/dev/null
${ending}`;

const portableWrapper = `
directory=$1; shift 3
trap : INT TERM HUP
ps -o pid=,lstart= -p $$ >"$directory/wrapper"
sh -c 'directory=$1; shift; ps -o pid=,lstart= -p $$ >"$directory/tool"; exec "$@"' sh "$directory" "$@"
code=$?
${ending}`;

function scriptFor(way: IsolationWay): string {
  if (process.platform !== 'linux') return portableWrapper;
  switch (way) {
    case 'bubblewrap':
      return bubblewrapWrapper;
    case 'user':
      return userWrapper;
    case 'off':
      return linuxWrapper;
  }
}

export interface WrapperOptions {
  readonly directory: string;
  readonly token: string;
  readonly way: IsolationWay;
  readonly user: number | null;
  readonly argv: readonly string[];
}

export function wrapperArguments({ directory, token, way, user, argv }: WrapperOptions): string[] {
  return ['-c', scriptFor(way), 'windlass-run', directory, token, String(user ?? ''), ...argv];
}
