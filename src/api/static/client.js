/** Calls of the API with the key of this tab. */
import { createParser } from './eventsource-parser.js';

const storageKey = 'windlass-key';

export function readKey() {
  const fragment = new URLSearchParams(location.hash.slice(1)).get('key');
  if (fragment) {
    sessionStorage.setItem(storageKey, fragment);
    // The key must stay neither in the address bar nor in the history.
    history.replaceState(null, '', location.pathname + location.search);
  }
  return sessionStorage.getItem(storageKey);
}

export function keepKey(key) {
  sessionStorage.setItem(storageKey, key);
}

export function forgetKey() {
  sessionStorage.removeItem(storageKey);
}

export class ApiError extends Error {
  constructor(problem, status) {
    super(problem.detail ?? `The server answered ${status}`);
    this.status = status;
    this.hint = problem.hint;
  }
}

async function request(path, { accept = 'application/json', signal, headers } = {}) {
  const response = await fetch(`/api/v1${path}`, {
    headers: { Accept: accept, Authorization: `Bearer ${readKey()}`, ...headers },
    signal,
  });
  if (!response.ok) throw new ApiError(await response.json().catch(() => ({})), response.status);
  return response;
}

export async function get(path, options) {
  return (await request(path, options)).json();
}

export async function getText(path) {
  return (await request(path, { accept: 'text/plain' })).text();
}

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Follows a stream until it ends or the signal is aborted; comes back by itself where it was cut. */
export async function follow(path, { signal, onEvent, onCut }) {
  let last;
  for (let wait = 500; !signal.aborted; wait = Math.min(wait * 2, 10_000)) {
    let ended = false;
    try {
      const headers = last === undefined ? {} : { 'Last-Event-ID': last };
      const response = await request(path, { accept: 'text/event-stream', signal, headers });
      const parser = createParser({
        onEvent({ id, event = 'message', data }) {
          if (id) last = id;
          if (event === 'end') ended = true;
          onEvent({ id, event, data: JSON.parse(data) });
        },
      });
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        wait = 500;
        parser.feed(part.value);
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ApiError && error.status < 500) throw error;
      onCut?.(error);
    }
    if (ended) return;
    await pause(wait);
  }
}
