function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const swap = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(swap, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

/** The names most like the wanted one, best first. */
export function nearNames(names: readonly string[], wanted: string, limit = 5): string[] {
  const lower = wanted.toLowerCase();
  return names
    .slice(0, 2_000)
    .map((name) => {
      const candidate = name.toLowerCase();
      const part = candidate.includes(lower) || lower.includes(candidate);
      return { name, score: part ? 0 : distance(candidate.slice(0, 100), lower.slice(0, 100)) };
    })
    .sort((a, b) => a.score - b.score || a.name.localeCompare(b.name))
    .slice(0, limit)
    .map(({ name }) => name);
}
