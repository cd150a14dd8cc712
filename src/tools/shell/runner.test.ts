import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { LeftRunningError } from '../../process/index.ts';
import { makeWorkshop, variable } from '../tools.fixture.ts';
import type { Workshop } from '../tools.fixture.ts';
import { parseOutputs } from './outputs.ts';
import { setTimeLimit, until } from '../../../test/support/until.ts';

setTimeLimit(60_000);

let shop: Workshop;
beforeEach(() => {
  shop = makeWorkshop({ ladder: { interruptMs: 5000, terminateMs: 1000 } });
});
afterEach(() => shop.clean());

const runner = () => shop.runners.get('shell');

test('a stack without any script is a node that does nothing and leaves no trace', async () => {
  const run = shop.run({ type: 'shell', source: shop.source('empty', { 'readme.md': '' }) });
  await runner().prepare(run);
  expect(await runner().deploy(run)).toEqual({ outputs: [], plan: expect.objectContaining({ hasChanges: false }) });
  expect(await runner().destroy(run)).toMatchObject({ outputs: [] });
  expect((await runner().plan(run)).plan.hasChanges).toBe(false);
  expect(run.trace.stages).toEqual([]);
  expect(existsSync(run.workDirectory)).toBe(false);
});

test('scripts get variables and give outputs', async () => {
  const source = shop.source('s', {
    'deploy.sh': `echo "deploying $WINDLASS_VAR_name in $(basename "$PWD")"
echo "greeting=hello $WINDLASS_VAR_name" >>"$WINDLASS_OUTPUT"
echo '{"name": "token", "value": "t0", "sensitive": true}' >>"$WINDLASS_OUTPUT"
echo "{\\"zones\\": $WINDLASS_VAR_zones, \\"count\\": 2}" >>"$WINDLASS_OUTPUT"
cp "$WINDLASS_VARIABLES" seen.json
`,
  });
  const run = shop.run({ type: 'shell', source, variables: [variable('name', 'ada'), variable('zones', ['a', 'b'])] });
  await runner().prepare(run);
  const { outputs } = await runner().deploy(run);
  expect(outputs).toEqual([
    { name: 'count', type: 'number', value: 2, sensitive: false },
    { name: 'greeting', type: 'text', value: 'hello ada', sensitive: false },
    { name: 'token', type: 'text', value: 't0', sensitive: true },
    { name: 'zones', type: 'list', value: ['a', 'b'], sensitive: false },
  ]);
  expect(run.trace.text).toBe('deploying ada in tree\n');
  expect(run.trace.stages).toEqual(['apply!']);
  expect(JSON.parse(readFileSync(join(run.workDirectory, 'tree', 'seen.json'), 'utf8'))).toEqual({
    name: 'ada',
    zones: ['a', 'b'],
  });
  expect(existsSync(join(run.workDirectory, 'deploy-variables.json'))).toBe(false);
});

test('a script stops at the first error and at unset variables, and its interpreter is honoured', async () => {
  const failing = shop.run({
    type: 'shell',
    source: shop.source('f', { 'deploy.sh': 'echo before\nfalse\necho after\n' }),
  });
  await runner().prepare(failing);
  await expect(runner().deploy(failing)).rejects.toMatchObject({
    changedState: true,
    error: { class: 'tool', message: 'the deploy script: the tool ended with code 1: before' },
  });
  const unset = shop.run({ type: 'shell', source: shop.source('u', {}), config: { deployScript: 'echo $NOT_SET' } });
  await runner().prepare(unset);
  await expect(runner().deploy(unset)).rejects.toMatchObject({
    error: { message: expect.stringContaining('NOT_SET') },
  });
  const bash = shop.run({
    type: 'shell',
    source: shop.source('b', {}),
    config: { deployScript: '#!/usr/bin/env bash\na=(x y); echo "${a[1]}"\n' },
  });
  await runner().prepare(bash);
  await runner().deploy(bash);
  expect(bash.trace.text).toBe('y\n');
});

test('a plan script tells with its exit code; without one nothing is made up', async () => {
  const source = shop.source('p', {});
  const plan = (planScript: string | undefined) => {
    const run = shop.run({
      type: 'shell',
      source,
      config: { deployScript: 'true', destroyScript: 'true', ...(planScript ? { planScript } : {}) },
    });
    return runner()
      .prepare(run)
      .then(() => runner().plan(run));
  };
  expect(await plan('echo same; exit 0')).toMatchObject({ plan: { hasChanges: false }, text: 'same\n' });
  expect(await plan('echo differs; exit 2')).toMatchObject({ plan: { hasChanges: true }, text: 'differs\n' });
  await expect(plan('exit 1')).rejects.toMatchObject({ changedState: false });
  expect(await plan(undefined)).toMatchObject({
    plan: { hasChanges: true, counts: { add: 0 } },
    text: expect.stringContaining('cannot be known'),
  });
  const drifted = shop.run({ type: 'shell', source, config: { deployScript: 'true', driftScript: 'exit 2' } });
  await runner().prepare(drifted);
  expect(await runner().detectDrift(drifted)).toMatchObject({ drifted: true });
});

test('an aborted script is interrupted with what it runs', async () => {
  const stop = new AbortController();
  const run = shop.run({
    type: 'shell',
    source: shop.source('a', {}),
    config: { deployScript: 'echo ready\nsleep 600\n' },
    signal: stop.signal,
  });
  await runner().prepare(run);
  const deploying = runner().deploy(run);
  await until(() => run.trace.text.includes('ready'));
  stop.abort('abort');
  await expect(deploying).rejects.toMatchObject({ error: { class: 'cancelled' } });
});

test('a script that outlives its worker is adopted, and its outputs with it', async () => {
  const leave = new AbortController();
  const config = {
    deployScript: 'echo ready\nwhile [ -d . ] && [ ! -e go ]; do sleep 0.02; done\necho a=1 >>"$WINDLASS_OUTPUT"\n',
  };
  const source = shop.source('o', {});
  const run = shop.run({ type: 'shell', source, config, signal: leave.signal });
  await runner().prepare(run);
  const deploying = runner().deploy(run);
  await until(() => run.trace.text.includes('ready'));
  leave.abort('shutdown');
  await expect(deploying).rejects.toBeInstanceOf(LeftRunningError);
  const next = shop.run({ type: 'shell', source, config });
  const recovering = runner().recover(next, { stage: 'apply', changes: true, sameHost: true, workerDead: true });
  writeFileSync(join(run.workDirectory, 'tree', 'go'), '');
  expect(await recovering).toEqual({
    kind: 'finished',
    result: { outputs: [{ name: 'a', type: 'text', value: '1', sensitive: false }], plan: null },
  });
  const other = shop.run({ type: 'shell', source, config, id: 'other/1' });
  expect(
    await runner().recover(other, { stage: 'apply', changes: true, sameHost: false, workerDead: true }),
  ).toMatchObject({ kind: 'unknown' });
});

test('lines that are no outputs are refused by number, without their text', () => {
  expect(parseOutputs('# note\n\na=b=c\nempty=\n')).toEqual([
    { name: 'a', type: 'text', value: 'b=c', sensitive: false },
    { name: 'empty', type: 'text', value: '', sensitive: false },
  ]);
  for (const text of ['ok=1\nhunter2', '=x', '{"name": 3', '1bad=x', '{"bad name": 1}']) {
    let message = '';
    try {
      parseOutputs(text);
    } catch (error) {
      message = String(error);
    }
    expect(message).toMatch(/line \d+ of the output file/);
    expect(message).not.toContain('hunter2');
  }
});
