import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';

/**
 * Runs "$@" until it ends or standard input closes, which it does when the process that started this dies, however it
 * dies. Then the program gets ten seconds to end by itself. Its number goes to descriptor 3.
 */
const guard = `
exec 4<&0 </dev/null
"$@" 3>&- 4<&- &
program=$!
echo "$program" >&3
exec 3>&-
(
  cat <&4 >/dev/null
  kill -TERM "$program"
  i=0
  while [ "$i" -lt 100 ]; do
    kill -0 "$program" || exit 0
    sleep 0.1
    i=$((i + 1))
  done
  kill -KILL "$program"
) 2>/dev/null &
watcher=$!
exec 4<&-
wait "$program"
code=$?
kill "$watcher" 2>/dev/null
exit "$code"
`;

export interface GuardedProcess {
  /** The program itself, not the shell around it. */
  readonly pid: number;
  /** Fulfilled with the exit code when the program has ended; above 128 it was a signal. */
  readonly ended: Promise<number>;
  /** Asks it to end, kills it after ten seconds, and waits until it is over. */
  stop(): Promise<void>;
}

export interface GuardedCall {
  readonly command: string;
  readonly args: readonly string[];
  readonly environment: NodeJS.ProcessEnv;
  /** Open descriptor that takes everything the program prints. */
  readonly logDescriptor: number;
}

/**
 * Starts a program that never outlives this process, and that a Ctrl-C on the terminal does not reach: it leads a
 * session of its own, so that it ends only after what depends on it.
 */
export async function startGuarded(call: GuardedCall): Promise<GuardedProcess> {
  const { command, args, environment, logDescriptor } = call;
  const shell = spawn('/bin/sh', ['-c', guard, 'windlass-guard', command, ...args], {
    detached: true,
    env: environment,
    stdio: ['pipe', logDescriptor, logDescriptor, 'pipe'],
  });
  const group = shell.pid;
  const ended = new Promise<number>((resolve) => {
    shell.once('error', () => resolve(127));
    shell.once('exit', (code) => {
      shell.stdin?.destroy();
      // When the shell alone was killed, the program would go on without its guard.
      if (code === null && group !== undefined) killGroup(group);
      resolve(code ?? 137);
    });
  });
  shell.stdin?.on('error', () => undefined);

  const announced = shell.stdio[3] as Readable;
  let text = '';
  announced.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  await Promise.race([once(announced, 'end'), ended]);
  announced.destroy();
  const pid = Number.parseInt(text, 10);
  if (!Number.isInteger(pid)) throw new Error(`could not start ${command}`);

  return {
    pid,
    ended,
    async stop() {
      shell.stdin?.end();
      await ended;
      if (group !== undefined) killGroup(group);
    },
  };
}

function killGroup(group: number): void {
  try {
    process.kill(-group, 'SIGKILL');
  } catch {
    // Nobody is left in it.
  }
}
