import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { z } from 'zod';
import { isRunning, startOf } from '../host/index.ts';

/** What has to be started; the two files must not exist. */
export interface ToolCall {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly stdout: string;
  readonly stderr: string;
}
export type StartRequest = ToolCall & { readonly id: number };

const answerSchema = z.discriminatedUnion('kind', [
  z.object({ id: z.number(), kind: z.literal('started'), pid: z.number() }),
  z.object({ id: z.number(), kind: z.literal('failed'), message: z.string() }),
  z.object({ id: z.number(), kind: z.literal('over') }),
]);
export type StarterAnswer = z.infer<typeof answerSchema>;

/** The starter ended before it said whether the tool was started; only the run directory can tell. */
export class StartUnknownError extends Error {
  constructor() {
    super('the process that starts tools has ended');
    this.name = 'StartUnknownError';
  }
}

export interface StartedTool {
  /** Fulfilled when the process is gone, also when the starter is gone before it. */
  readonly over: Promise<void>;
}

interface Waiting {
  readonly onAnswer: (answer: StarterAnswer) => void;
  readonly onLoss: () => void;
}

interface Starter {
  readonly child: ChildProcess;
  /** By the number of their request. */
  readonly waiting: Map<number, Waiting>;
  /** Requests without a first answer. */
  starting: number;
}

const program = join(__dirname, 'starter-process.cjs');
let current: Starter | null = null;
let requests = 0;

/**
 * Starts a process that outlives this one, in a session of its own and with a lower priority.
 *
 * Another, small process forks it: a fork copies the page tables of who forks, and Node waits for that. In a server of
 * 600 MB that stands still for 20 ms, and longer on a busy machine; in the small one it is 2 ms, and nobody waits.
 * Throws the reason when it cannot be started, and StartUnknownError.
 */
export async function startTool(call: ToolCall): Promise<StartedTool> {
  const starter = (current ??= openStarter());
  try {
    return await request(starter, call);
  } catch (error) {
    if (!(error instanceof NotDeliveredError)) throw error;
    // It has been killed; nothing was asked of it.
    if (current === starter) current = null;
    return request((current ??= openStarter()), call);
  }
}

class NotDeliveredError extends Error {}

function request(starter: Starter, call: ToolCall): Promise<StartedTool> {
  const { child, waiting } = starter;
  const id = requests++;
  // Who waits for the end looks at the output and stays alive by that; until there is any, this keeps the process alive.
  if (starter.starting++ === 0) child.channel?.ref();
  return new Promise<StartedTool>((resolve, reject) => {
    let pid: number | null = null;
    let end = (): void => undefined;
    const over = new Promise<void>((done) => (end = done));
    const sent = new Promise<Error | null>((done) => {
      child.send({ ...call, id } satisfies StartRequest, done);
    });
    waiting.set(id, {
      onAnswer(answer) {
        switch (answer.kind) {
          case 'started':
            pid = answer.pid;
            return resolve({ over });
          case 'failed':
            waiting.delete(id);
            return reject(new Error(answer.message));
          case 'over':
            waiting.delete(id);
            return end();
        }
      },
      onLoss() {
        if (pid !== null) return void waitForExit(pid).then(end);
        // Its end may be heard of before the failure to tell it anything, which settles the promise then.
        void sent.then((error) => error === null && reject(new StartUnknownError()));
      },
    });
    void sent.then((error) => {
      if (error === null) return;
      waiting.delete(id);
      reject(new NotDeliveredError(error.message));
    });
  }).finally(() => {
    if (--starter.starting === 0) child.channel?.unref();
  });
}

function openStarter(): Starter {
  // Without this process's environment, which may hold keys, and its flags.
  const child = fork(program, [], {
    env: {},
    execArgv: [],
    detached: true,
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
  const starter: Starter = { child, waiting: new Map(), starting: 0 };
  const onLoss = (): void => {
    if (current === starter) current = null;
    for (const { onLoss: tell } of starter.waiting.values()) tell();
    starter.waiting.clear();
  };
  child.on('message', (message) => {
    const answer = answerSchema.parse(message);
    starter.waiting.get(answer.id)?.onAnswer(answer);
  });
  child.once('exit', onLoss);
  child.once('error', onLoss);
  child.unref();
  child.channel?.unref();
  return starter;
}

async function waitForExit(pid: number): Promise<void> {
  const started = startOf(pid);
  while (started !== null && isRunning({ pid, started })) await new Promise((resolve) => setTimeout(resolve, 100));
}
