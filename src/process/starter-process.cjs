// @ts-check
// The program of the process that starts tools: see starter.ts. It needs nothing but Node, so that it stays small.
'use strict';
const { spawn } = require('node:child_process');
const { closeSync, openSync } = require('node:fs');
const { setPriority } = require('node:os');

/** Lets the API, the database and the workflows go first while tools make the machine busy. */
const toolPriority = 5;

/** @param {number | undefined} pid */
function yieldToOthers(pid) {
  try {
    if (pid !== undefined) setPriority(pid, toolPriority);
  } catch {
    // It is over already, or has a lower one.
  }
}

/** @param {import('./starter.ts').StarterAnswer} message */
function answer(message) {
  if (process.connected) process.send?.(message);
}

/** @param {import('./starter.ts').StartRequest} request */
function start({ id, command, args, cwd, env, stdout, stderr }) {
  /** @type {number[]} */
  const files = [];
  /** @param {unknown} error */
  const fail = (error) =>
    answer({ id, kind: 'failed', message: error instanceof Error ? error.message : String(error) });
  try {
    for (const path of [stdout, stderr]) files.push(openSync(path, 'ax', 0o600));
    const child = spawn(command, args, { cwd, env, detached: true, stdio: ['ignore', ...files] });
    child.once('error', fail);
    child.once('spawn', () => answer({ id, kind: 'started', pid: child.pid ?? 0 }));
    child.once('exit', () => answer({ id, kind: 'over' }));
    yieldToOthers(child.pid);
  } catch (error) {
    fail(error);
  } finally {
    files.forEach((file) => closeSync(file));
  }
}

process.on('message', (message) => start(/** @type {import('./starter.ts').StartRequest} */ (message)));
// It ends with whoever it starts tools for, and only then; the tools go on.
process.on('disconnect', () => process.exit(0));
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => undefined);
