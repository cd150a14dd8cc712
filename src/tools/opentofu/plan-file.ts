import { inflateRawSync } from 'node:zlib';
import { z } from 'zod';

const stateHeadSchema = z.object({ serial: z.number().int().nonnegative(), lineage: z.string() });

const endSignature = 0x06054b50;
const entrySignature = 0x02014b50;
/** A state larger than this is not unpacked only to learn its serial. */
const largestState = 256 * 1024 * 1024;

/** Reads one file of a zip archive; null when it is not there or the bytes are no such archive. */
export function readZipEntry(archive: Buffer, name: string): Buffer | null {
  try {
    let end = archive.length - 22;
    while (end >= 0 && archive.readUInt32LE(end) !== endSignature) end--;
    if (end < 0) return null;
    const count = archive.readUInt16LE(end + 10);
    let at = archive.readUInt32LE(end + 16);
    for (let i = 0; i < count; i++) {
      if (archive.readUInt32LE(at) !== entrySignature) return null;
      const method = archive.readUInt16LE(at + 10);
      const size = archive.readUInt32LE(at + 20);
      const nameLength = archive.readUInt16LE(at + 28);
      const header = archive.readUInt32LE(at + 42);
      if (archive.toString('utf8', at + 46, at + 46 + nameLength) === name) {
        const start = header + 30 + archive.readUInt16LE(header + 26) + archive.readUInt16LE(header + 28);
        const data = archive.subarray(start, start + size);
        if (method === 0) return data;
        return method === 8 ? inflateRawSync(data, { maxOutputLength: largestState }) : null;
      }
      at += 46 + nameLength + archive.readUInt16LE(at + 30) + archive.readUInt16LE(at + 32);
    }
    return null;
  } catch {
    return null;
  }
}

/** Serial and lineage of the state a plan was made from, out of the plan file. Null when the plan is encrypted. */
export function planState(planFile: Buffer): { readonly serial: number; readonly lineage: string } | null {
  const state = readZipEntry(planFile, 'tfstate');
  if (state === null) return null;
  try {
    const head = stateHeadSchema.safeParse(JSON.parse(state.toString('utf8')));
    return head.success ? { serial: head.data.serial, lineage: head.data.lineage } : null;
  } catch {
    return null;
  }
}
