import type { Route } from './route.ts';

function distance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      current.push(Math.min((previous[j] ?? 0) + 1, (current[j - 1] ?? 0) + 1, (previous[j - 1] ?? 0) + cost));
    }
    previous = current;
  }
  return previous[b.length] ?? 0;
}

/** How far a path is from a pattern; a parameter fits anything. */
function score(parts: readonly string[], pattern: readonly string[]): number {
  let total = Math.abs(parts.length - pattern.length) * 4;
  for (let i = 0; i < Math.min(parts.length, pattern.length); i++) {
    const part = parts[i] ?? '';
    const wanted = pattern[i] ?? '';
    if (!wanted.startsWith(':')) total += distance(part.slice(0, 40), wanted);
  }
  return total;
}

/** The routes that come closest to a path that does not exist, as `GET /environments/{ref}`. */
export function nearRoutes(routes: readonly Pick<Route, 'method' | 'path'>[], path: string, limit = 3): string[] {
  const parts = path.split('/').filter(Boolean).slice(0, 12);
  return routes
    .map((route) => ({ route, score: score(parts, route.path.split('/').filter(Boolean)) }))
    .filter((candidate) => candidate.score <= 6)
    .sort((a, b) => a.score - b.score)
    .slice(0, limit)
    .map(({ route }) => `${route.method.toUpperCase()} ${route.path.replace(/:(\w+)/g, '{$1}')}`);
}
