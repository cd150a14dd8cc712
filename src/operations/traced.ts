import { inSpan } from '../tracing/index.ts';

/** The same operations, each inside a span of its name. */
export function traced<T extends Record<string, (...args: never[]) => Promise<unknown>>>(operations: T): T {
  const entries = Object.entries(operations).map(([name, operation]) => [
    name,
    (...args: never[]) => inSpan(name, {}, () => operation(...args)),
  ]);
  return Object.fromEntries(entries) as T;
}
