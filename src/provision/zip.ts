import { createReadStream, createWriteStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { createInflateRaw } from 'node:zlib';
import { WindlassError } from '../model/index.ts';

interface ZipEntry {
  readonly name: string;
  readonly method: number;
  readonly compressedSize: number;
  readonly size: number;
  readonly headerOffset: number;
}

const endRecordSignature = 0x06054b50;
const entrySignature = 0x02014b50;
const headerSignature = 0x04034b50;
const endRecordLength = 22;
const longestComment = 0xffff;

function damaged(file: string, what: string): WindlassError {
  return new WindlassError('internal', `${file} is not a whole zip archive: ${what}`);
}

async function readAt(file: string, position: number, length: number): Promise<Buffer> {
  const handle = await open(file);
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, position);
    if (bytesRead < length) throw damaged(file, 'it ends too early');
    return buffer;
  } finally {
    await handle.close();
  }
}

async function listEntries(file: string): Promise<ZipEntry[]> {
  const handle = await open(file);
  const { size } = await handle.stat().finally(() => handle.close());
  const tailLength = Math.min(size, endRecordLength + longestComment);
  const tail = await readAt(file, size - tailLength, tailLength);
  let end = tailLength - endRecordLength;
  while (end >= 0 && tail.readUInt32LE(end) !== endRecordSignature) end--;
  if (end < 0) throw damaged(file, 'its list of files is missing');

  const count = tail.readUInt16LE(end + 10);
  const directory = await readAt(file, tail.readUInt32LE(end + 16), tail.readUInt32LE(end + 12));
  const entries: ZipEntry[] = [];
  let at = 0;
  for (let i = 0; i < count; i++) {
    if (at + 46 > directory.length || directory.readUInt32LE(at) !== entrySignature) {
      throw damaged(file, 'its list of files is damaged');
    }
    const nameLength = directory.readUInt16LE(at + 28);
    entries.push({
      name: directory.toString('utf8', at + 46, at + 46 + nameLength),
      method: directory.readUInt16LE(at + 10),
      compressedSize: directory.readUInt32LE(at + 20),
      size: directory.readUInt32LE(at + 24),
      headerOffset: directory.readUInt32LE(at + 42),
    });
    at += 46 + nameLength + directory.readUInt16LE(at + 30) + directory.readUInt16LE(at + 32);
  }
  return entries;
}

/** Writes one file of a zip archive to `destination`. No zip64, no encryption: our archives have neither. */
export async function extractFile(archive: string, name: string, destination: string): Promise<void> {
  const entry = (await listEntries(archive)).find((candidate) => candidate.name === name);
  if (!entry) throw damaged(archive, `${name} is not in it`);
  const header = await readAt(archive, entry.headerOffset, 30);
  if (header.readUInt32LE(0) !== headerSignature) throw damaged(archive, `${name} is not where it should be`);
  const start = entry.headerOffset + 30 + header.readUInt16LE(26) + header.readUInt16LE(28);
  const input = createReadStream(archive, { start, end: start + entry.compressedSize - 1 });
  const output = createWriteStream(destination, { mode: 0o755 });
  switch (entry.method) {
    case 0:
      await pipeline(input, output);
      break;
    case 8:
      await pipeline(input, createInflateRaw(), output);
      break;
    default:
      throw damaged(archive, `${name} is packed in a way that is not known here (${entry.method})`);
  }
  if (output.bytesWritten !== entry.size) throw damaged(archive, `${name} is not whole`);
}
