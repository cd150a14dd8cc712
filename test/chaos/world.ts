import type { CheckContext } from './checks.ts';
import { readProof } from './graph.ts';
import { nameOf, nodesOf } from './records.ts';
import type { Records } from './records.ts';

/** A resource is made once in a run, unless its tool was killed or the record says that it was tried again. */
export function checkAppliedOnce({ graph, kills, finalId }: CheckContext, records: Records): string[] {
  const found: string[] = [];
  const begun = new Map<string, number>();
  const proof = readProof(graph);
  for (const line of proof) {
    if (line.what === 'overlap')
      found.push(`two tools worked on ${line.alias} ${line.address} at once, one for ${line.deploymentId}`);
    if (line.what !== 'begin') continue;
    const key = [line.deploymentId, line.alias, line.address, line.value].join(' ');
    begun.set(key, (begun.get(key) ?? 0) + 1);
  }
  for (const [key, times] of begun) {
    const [deploymentId = '', alias = '', address = '', value = ''] = key.split(' ');
    const killed = kills.flatMap(({ tools }) => tools).filter((tool) => tool === `${deploymentId}/${alias}`).length;
    const own = nodesOf(records, deploymentId).filter((node) => node.alias === alias);
    // Each try may make it once, and each word of a person to try again starts its tries anew.
    const tries = own.reduce((most, node) => Math.max(most, node.try), 1);
    const retried = retriesOf(records, deploymentId, alias);
    const allowed = deploymentId === finalId ? 1 : tries + retried + killed;
    if (times > allowed)
      found.push(
        `${deploymentId} made ${alias} ${address} (${value}) ${times} times, with ${tries} tries, ${retried} retries and ${killed} kills`,
      );
  }
  for (const { deploymentId, alias, what } of proof) {
    const deployment = records.deployments.find(({ id }) => id === deploymentId);
    if (deployment === undefined) {
      found.push(`${alias} was changed by ${deploymentId}, of which there is no record`);
      continue;
    }
    if (deployment.type === 'plan') found.push(`${nameOf(deployment)} is a plan, and ${alias} says ${what}`);
    const began = nodesOf(records, deploymentId).some((node) => node.alias === alias && node.began_change);
    if (!began) found.push(`${nameOf(deployment)}: ${alias} says ${what}, and its record says that nothing began`);
  }
  return [...new Set(found)];
}

function retriesOf(records: Records, deploymentId: string, alias: string): number {
  return records.retries.filter((retry) => retry.deploymentId === deploymentId && retry.alias === alias).length;
}

const wasKilled = ({ kills }: CheckContext, alias: string): boolean =>
  kills.some(({ tools }) => tools.some((tool) => tool.endsWith(`/${alias}`)));

interface State {
  readonly resources: readonly {
    readonly type: string;
    readonly name: string;
    readonly instances: readonly { readonly status?: string; readonly attributes: Record<string, unknown> }[];
  }[];
}

interface Child {
  readonly id: string;
  readonly alias: string;
  readonly status: string;
  readonly state_unverified: { readonly reason: string } | null;
  readonly values: readonly { readonly name: string; readonly value: unknown }[] | null;
}

async function readState({ client }: CheckContext, environmentId: string): Promise<State> {
  const versions = await client.request<{ items: { id: number }[] }>(
    'GET',
    `/environments/${environmentId}/state/versions?limit=1`,
  );
  const newest = versions.items[0];
  if (newest === undefined) return { resources: [] };
  return client.request<State>('GET', `/environments/${environmentId}/state/versions/${newest.id}/download`);
}

/**
 * What the records call deployed is in the state, whole and with the values it was deployed with, and what they call gone
 * is not. With `value`, everything has to be deployed with it; with null, gone.
 */
export async function checkStates(context: CheckContext, value?: string | null): Promise<string[]> {
  const { graph, database, environment } = context;
  const found: string[] = [];
  const { rows } = await database.query<Child>(
    `SELECT id, alias, status, state_unverified, deployed_snapshot->'resolved' AS values FROM environments WHERE parent_id = $1 ORDER BY alias`,
    [environment.id],
  );
  if (value !== undefined) {
    const whole = await database.query<{ status: string }>('SELECT status FROM environments WHERE id = $1', [
      environment.id,
    ]);
    const status = whole.rows[0]?.status ?? 'gone';
    const right = value === null ? ['inactive', 'neverDeployed'] : ['active'];
    if (!right.includes(status)) found.push(`the environment is ${status}, not ${right.join(' or ')}`);
    for (const child of rows)
      if (!right.includes(child.status)) found.push(`${child.alias} is ${child.status}, not ${right.join(' or ')}`);
    if (value !== null && rows.length !== graph.nodes.length)
      found.push(`there are ${rows.length} sub-environments for ${graph.nodes.length} nodes`);
  }
  for (const child of rows) {
    const node = graph.nodes.find(({ alias }) => alias === child.alias);
    if (node === undefined) continue;
    // A tool that was killed leaves the mark until its node has succeeded.
    const marked = value === undefined && child.status === 'failed' && wasKilled(context, child.alias);
    if (child.state_unverified !== null && !marked)
      found.push(`${child.alias} is unverified: ${child.state_unverified.reason}`);
    const active = child.status === 'active';
    if (!active && child.status !== 'inactive' && child.status !== 'neverDeployed') continue;
    const recorded = child.values?.find(({ name }) => name === 'value')?.value;
    const wanted = value ?? String(recorded);
    const state = await readState(context, child.id);
    const real = state.resources.filter(({ instances }) => instances.length > 0);
    const addresses = real.map(({ type, name }) => `${type}.${name}`).sort();
    const expected = active ? [...node.resources].sort() : [];
    if (addresses.join() !== expected.join())
      found.push(
        `${child.alias} is ${child.status}, and its state has [${addresses.join()}], not [${expected.join()}]`,
      );
    for (const { name, instances } of real)
      for (const instance of instances) {
        const text = JSON.stringify(instance.attributes['input']);
        if (instance.status === 'tainted' || !text.includes(`"${wanted}"`))
          found.push(`${child.alias} ${name} is ${instance.status ?? 'whole'} with ${text}, not ${wanted}`);
      }
  }
  return found;
}

/** No write of a state was lost or came from a stranger: within a lineage its number only grows, one text to a number. */
export async function checkStateHistory({ database, environment }: CheckContext): Promise<string[]> {
  const { rows } = await database.query<{ alias: string; serial: string; lineage: string; md5: string }>(
    `SELECT e.alias, v.serial, v.lineage, v.md5 FROM state_versions v JOIN environments e ON e.id = v.environment_id
     WHERE e.parent_id = $1 ORDER BY e.alias, v.id`,
    [environment.id],
  );
  const found: string[] = [];
  const last = new Map<string, (typeof rows)[number]>();
  for (const row of rows) {
    const before = last.get(row.alias);
    last.set(row.alias, row);
    if (before === undefined) continue;
    if (before.lineage !== row.lineage) found.push(`the state of ${row.alias} changed its lineage`);
    const grown = Number(row.serial) - Number(before.serial);
    if (grown < 0 || (grown === 0 && before.md5 !== row.md5))
      found.push(`the state of ${row.alias} went from serial ${before.serial} to ${row.serial}`);
  }
  return found;
}
