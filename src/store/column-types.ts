import { types } from 'pg';

const int8 = 20;
const numeric = 1700;

/** Turns a column's text into a value, alike on PostgreSQL and PGlite. Counters and sums stay far below 2^53. */
export function columnParser(oid: number): (text: string) => unknown {
  return oid === int8 || oid === numeric ? Number : types.getTypeParser(oid, 'text');
}
