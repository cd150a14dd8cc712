/**
 * Workflows inside workflows in SQL. All nodes of a run are environments of one parent, whose queue they are in; one that
 * is a workflow is `nested`, and its nodes are those whose aliases begin with its own.
 */
import { sql } from 'kysely';
import type { RawBuilder } from 'kysely';

/** Whether the environment `node` is one of the nested workflow `group`, directly or in another one. */
export function isNodeOf(node: string, group: string): RawBuilder<boolean> {
  const of = (table: string, column: string): RawBuilder<unknown> => sql.ref(`${table}.${column}`);
  return sql`${of(node, 'parent_id')} = ${of(group, 'parent_id')} AND NOT ${of(node, 'detached')}
    AND starts_with(${of(node, 'alias')}, ${of(group, 'alias')} || '/')`;
}

/** The ids of all that an environment is made of: a query over its graph's nodes; those of a workflow in a graph are its own. */
export function nodesOf(environmentId: string): RawBuilder<string> {
  return sql`(SELECT n.id FROM environments n WHERE n.parent_id = ${environmentId} AND NOT n.detached AND NOT (n.nested AND n.archived)
    UNION ALL SELECT n.id FROM environments g JOIN environments n ON ${isNodeOf('n', 'g')}
      WHERE g.id = ${environmentId} AND g.nested AND NOT (n.nested AND n.archived))`;
}

/** The same with the environment itself. */
export function withNodesOf(environmentId: string): RawBuilder<string> {
  return sql`(SELECT ${environmentId}::text UNION ALL ${nodesOf(environmentId)})`;
}
