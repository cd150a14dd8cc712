/** Bounds that keep a hostile or mistaken source from filling a worker. */
export interface SourceLimits {
  /** Files, links and directories of one checkout. */
  readonly maxFiles: number;
  /** Bytes of one checkout. */
  readonly maxBytes: number;
  /** Bytes of one repository's download cache. */
  readonly maxRepositoryBytes: number;
  readonly listTimeoutMs: number;
  readonly fetchTimeoutMs: number;
}

export const defaultLimits: SourceLimits = {
  maxFiles: 50_000,
  maxBytes: 1024 ** 3,
  maxRepositoryBytes: 4 * 1024 ** 3,
  listTimeoutMs: 60_000,
  fetchTimeoutMs: 600_000,
};

/** A size for people: `1.5 MiB`. */
export function sizeText(bytes: number): string {
  if (bytes < 1024) return `${bytes} bytes`;
  const units = ['KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes / 1024;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${Number(value.toFixed(1))} ${units[unit] ?? ''}`;
}
