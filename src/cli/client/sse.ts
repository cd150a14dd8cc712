/** One message of a server-sent event stream. */
export interface SseMessage {
  readonly id: string | undefined;
  /** `message` when the stream does not name one. */
  readonly event: string;
  readonly data: string;
}

/** A message larger than this is not from a Windlass server. */
const largestMessage = 64 * 1024 * 1024;

/** Takes a stream apart as it comes in: pieces may end anywhere, lines in any of the three ways. */
export function createSseParser(onMessage: (message: SseMessage) => void): (piece: string) => void {
  let rest = '';
  let id: string | undefined;
  let event = '';
  let data: string[] = [];
  let size = 0;

  function takeLine(line: string): void {
    if (line === '') {
      if (data.length > 0) onMessage({ id, event: event || 'message', data: data.join('\n') });
      event = '';
      data = [];
      size = 0;
      return;
    }
    if (line.startsWith(':')) return;
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'event') event = value;
    else if (field === 'id' && !value.includes('\0')) id = value;
    else if (field === 'data') {
      size += value.length;
      if (size > largestMessage) throw new Error('a message of the stream is too large');
      data.push(value);
    }
  }

  return (piece) => {
    rest += piece;
    let start = 0;
    for (;;) {
      const end = rest.slice(start).search(/[\r\n]/);
      if (end < 0) break;
      const at = start + end;
      // A carriage return at the very end may be the first half of a pair.
      if (rest[at] === '\r' && at === rest.length - 1) break;
      takeLine(rest.slice(start, at));
      start = rest[at] === '\r' && rest[at + 1] === '\n' ? at + 2 : at + 1;
    }
    rest = rest.slice(start);
    if (rest.length > largestMessage) throw new Error('a line of the stream is too long');
  };
}

/** Messages of a response's body, until it ends or the signal ends it. */
export async function* readMessages(body: ReadableStream<Uint8Array>, signal: AbortSignal): AsyncGenerator<SseMessage> {
  const decoder = new TextDecoder();
  let waiting: SseMessage[] = [];
  const parse = createSseParser((message) => waiting.push(message));
  const reader = body.getReader();
  // The signal that the request was made with does not reach a body that is read for minutes: Node forgets it then.
  const stop = (): void => void reader.cancel().catch(() => undefined);
  signal.addEventListener('abort', stop);
  try {
    while (!signal.aborted) {
      const { done, value } = await reader.read();
      if (done) return;
      parse(decoder.decode(value, { stream: true }));
      const ready = waiting;
      waiting = [];
      yield* ready;
    }
  } finally {
    signal.removeEventListener('abort', stop);
    await reader.cancel().catch(() => undefined);
  }
}
