import type { FileHandle } from 'node:fs/promises';
import { open, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

const pageBytes = 8192;
const pagesAtOnce = 128;
const pagesOfSegment = 131_072;
/** Of a page's header: its checksum, and where its free space ends (0 in a page that was never used). */
const checksumAt = 8;
const upperAt = 14;

const lanes = 32;
const prime = 16_777_619;
/** Start values of the lanes, as in PostgreSQL's checksum_impl.h. */
const bases = Int32Array.of(
  ...[0x5b1f36e9, 0xb8525960, 0x02ab50aa, 0x1de66d2a, 0x79ff467a, 0x9bb9f8a3, 0x217e7cd2, 0x83e13d2c],
  ...[0xf8d4474f, 0xe39eb970, 0x42c6ae16, 0x993216fa, 0x7b093b5d, 0x98daff3c, 0xf718902a, 0x0b1c9cdb],
  ...[0xe58f764b, 0x187636bc, 0x5d7b3bb1, 0xe73de7de, 0x92bec979, 0xcca6c0b2, 0x304a0979, 0x85aa43d4],
  ...[0x783125bb, 0x6ca8eaa2, 0xe407eac6, 0x4b5cfc3e, 0x9fbf8c76, 0x15ca20be, 0xf2ca9fd3, 0x959bd756],
);

/** The checksum that PostgreSQL keeps in a page: FNV-1a in 32 lanes. The page's own one counts as zero. */
export function pageChecksum(page: Int32Array, block: number): number {
  const sums = bases.slice();
  for (let at = 0; at < page.length; at += lanes) {
    for (let lane = 0; lane < lanes; lane++) {
      let word = page[at + lane] ?? 0;
      // The lower half of the third word is the checksum itself.
      if (at === 0 && lane === 2) word &= ~0xffff;
      const mixed = (sums[lane] ?? 0) ^ word;
      sums[lane] = Math.imul(mixed, prime) ^ (mixed >>> 17);
    }
  }
  let result = 0;
  for (let lane = 0; lane < lanes; lane++) {
    let sum = sums[lane] ?? 0;
    for (let round = 0; round < 2; round++) sum = Math.imul(sum, prime) ^ (sum >>> 17);
    result ^= sum;
  }
  return (((result ^ block) >>> 0) % 65_535) + 1;
}

/** A file of the database with pages whose checksum does not fit their content. */
export interface DamagedFile {
  /** Under the cluster's directory. */
  readonly file: string;
  /** Number of the file's relation, by which its name is found. */
  readonly fileNode: number;
  readonly blocks: readonly number[];
}

const mostBlocks = 20;

/** Pages without a checksum: a cluster that keeps none has nothing else. */
interface Counts {
  with: number;
  without: number;
}

async function checkFile(handle: FileHandle, firstBlock: number, counts: Counts): Promise<number[]> {
  const buffer = Buffer.alloc(pageBytes * pagesAtOnce);
  const damaged: number[] = [];
  for (let block = firstBlock; ; block += pagesAtOnce) {
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, (block - firstBlock) * pageBytes);
    // What a crash has left behind the last whole page is not read by the database either.
    for (let at = 0; at + pageBytes <= bytesRead; at += pageBytes) {
      const stored = buffer.readUInt16LE(at + checksumAt);
      const words = new Int32Array(buffer.buffer, buffer.byteOffset + at, pageBytes / 4);
      if (buffer.readUInt16LE(at + upperAt) === 0 && words.every((word) => word === 0)) continue;
      if (stored === 0) counts.without++;
      else counts.with++;
      const number = block + at / pageBytes;
      if (stored !== pageChecksum(words, number) && damaged.length < mostBlocks) damaged.push(number);
    }
    if (bytesRead < buffer.length) return damaged;
  }
}

/**
 * Reads every page of a cluster that nobody has open and compares its checksum: about half a second a gigabyte when the
 * files are in memory. Answers the files that are damaged; none for a cluster that keeps no checksums.
 */
export async function findDamagedFiles(cluster: string): Promise<DamagedFile[]> {
  const counts: Counts = { with: 0, without: 0 };
  const damaged: DamagedFile[] = [];
  const databases = await readdir(join(cluster, 'base')).catch(() => []);
  for (const directory of ['global', ...databases.map((name) => join('base', name))]) {
    for (const name of await readdir(join(cluster, directory)).catch(() => [])) {
      const parts = /^(\d+)(?:_[a-z]+)?(?:\.(\d+))?$/.exec(name);
      if (!parts) continue;
      const file = join(directory, name);
      const handle = await open(join(cluster, file), 'r');
      try {
        const blocks = await checkFile(handle, Number(parts[2] ?? 0) * pagesOfSegment, counts);
        if (blocks.length > 0) damaged.push({ file, fileNode: Number(parts[1]), blocks });
      } finally {
        await handle.close();
      }
    }
  }
  return counts.with === 0 ? [] : damaged;
}

const stateAt = 16;
const shutDown = 1;

/** Whether a cluster was closed in good order. Otherwise its files become whole only when the write-ahead log is replayed. */
export async function wasClosed(cluster: string): Promise<boolean> {
  const control = await readFile(join(cluster, 'global', 'pg_control')).catch(() => null);
  return control !== null && control.length > stateAt + 4 && control.readUInt32LE(stateAt) === shutDown;
}
