import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { StringDecoder } from 'node:string_decoder';

const chunkBytes = 64 * 1024;

/** Reads a growing file from its start, as text. */
export interface Tail {
  /** Bytes read so far. */
  readonly position: number;
  /** Hands on everything that is there now and answers whether there was any. */
  read(): Promise<boolean>;
  /** Reads what is left, then what an unfinished character left over. */
  finish(): Promise<void>;
  close(): Promise<void>;
}

/**
 * `handledBytes`: what is before that was handed on by an earlier reader; it is handed on again with `fresh` false.
 * Only one chunk is in memory at a time, whatever the tool prints.
 */
export async function openTail(
  path: string,
  handledBytes: number,
  onText: (text: string, fresh: boolean) => void,
): Promise<Tail> {
  const file: FileHandle = await open(path, 'r');
  const decoder = new StringDecoder('utf8');
  const buffer = Buffer.allocUnsafe(chunkBytes);
  let position = 0;

  async function read(): Promise<boolean> {
    let any = false;
    for (;;) {
      const limit = position < handledBytes ? Math.min(chunkBytes, handledBytes - position) : chunkBytes;
      const { bytesRead } = await file.read(buffer, 0, limit, position);
      if (bytesRead === 0) return any;
      const fresh = position >= handledBytes;
      position += bytesRead;
      any = true;
      const text = decoder.write(buffer.subarray(0, bytesRead));
      if (text !== '') onText(text, fresh);
    }
  }

  return {
    get position() {
      return position;
    },
    read,
    async finish() {
      await read();
      const rest = decoder.end();
      if (rest !== '') onText(rest, true);
    },
    close: () => file.close(),
  };
}
