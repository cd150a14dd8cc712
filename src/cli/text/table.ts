import { oneLine, padEnd, padStart, truncate, widthOf, wrap } from './width.ts';

export interface Column<T> {
  readonly title: string;
  readonly value: (item: T) => string | number | null | undefined;
  readonly align?: 'left' | 'right';
  /** Never cut: ids and names that people copy. */
  readonly keep?: boolean;
  /** Laid over the finished cell; may add colour codes only. */
  readonly paint?: (text: string, item: T) => string;
}

const gap = '  ';

/**
 * Aligned columns under upper-case titles. What does not fit into `width` is cut from the widest columns that may be
 * cut; when that is not enough, lines get longer than the terminal rather than an id unreadable.
 */
export function renderTable<T>(items: readonly T[], columns: readonly Column<T>[], width: number): string[] {
  const cells = items.map((item) => columns.map((column) => cellText(column.value(item))));
  const widths = columns.map((column, index) =>
    Math.max(widthOf(column.title), ...cells.map((row) => widthOf(row[index] ?? ''))),
  );
  shrink(widths, columns, width);
  const line = (texts: readonly string[], paint?: (text: string, index: number) => string): string =>
    texts
      .map((text, index) => {
        const size = widths[index] ?? 0;
        const cut = columns[index]?.keep ? text : truncate(text, size);
        const padded = columns[index]?.align === 'right' ? padStart(cut, size) : padEnd(cut, size);
        // Padding stays outside of the colour, and the last column has none.
        const shown = index === texts.length - 1 && columns[index]?.align !== 'right' ? cut : padded;
        return paint ? paint(shown, index) : shown;
      })
      .join(gap)
      .trimEnd();
  return [
    line(columns.map((column) => column.title.toUpperCase())),
    ...items.map((item, row) => line(cells[row] ?? [], (text, index) => columns[index]?.paint?.(text, item) ?? text)),
  ];
}

function cellText(value: string | number | null | undefined): string {
  if (value === null || value === undefined || value === '') return '-';
  return oneLine(String(value));
}

function shrink<T>(widths: number[], columns: readonly Column<T>[], width: number): void {
  const least = 6;
  let excess = widths.reduce((sum, size) => sum + size, 0) + gap.length * (widths.length - 1) - width;
  while (excess > 0) {
    let widest = -1;
    columns.forEach((column, index) => {
      const size = widths[index] ?? 0;
      if (!column.keep && size > least && size > (widths[widest] ?? 0)) widest = index;
    });
    if (widest < 0) return;
    widths[widest] = (widths[widest] ?? 0) - 1;
    excess--;
  }
}

/**
 * Two columns without titles: `name  value`. Null values are left out; what is longer than `width` goes on below itself.
 */
export function renderFields(
  fields: readonly (readonly [string, string | number | null | undefined])[],
  width = Infinity,
): string[] {
  const shown = fields.filter(([, value]) => value !== null && value !== undefined && value !== '');
  const size = Math.max(0, ...shown.map(([name]) => widthOf(name)));
  return shown.flatMap(([name, value]) => {
    const text = oneLine(String(value));
    const lines = width === Infinity ? [text] : wrap(text, Math.max(20, width - size - gap.length));
    return lines.map((line, index) => `${padEnd(index === 0 ? name : '', size)}${gap}${line}`);
  });
}
