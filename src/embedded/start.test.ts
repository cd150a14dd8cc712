import { existsSync, mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { toolPath } from '../../test/support/tools.ts';
import { loadConfig } from '../config.ts';
import type { Config } from '../config.ts';
import { WindlassError } from '../model/index.ts';
import { findRunning, lockInstance } from './instance-lock.ts';
import { identify } from '../host/index.ts';
import { startEmbedded } from './start.ts';
import type { AppParts, EmbeddedServer } from './start.ts';

const cleanUp: (() => Promise<void> | void)[] = [];
const cacheDirectory = mkdtempSync(join(tmpdir(), 'windlass-cache-'));

function config(extra: Record<string, string> = {}): Config {
  return loadConfig({
    WINDLASS_DATA: mkdtempSync(join(tmpdir(), 'windlass-start-')),
    WINDLASS_CACHE: cacheDirectory,
    WINDLASS_TOFU: toolPath('tofu'),
    WINDLASS_TEMPORAL: toolPath('temporal'),
    WINDLASS_PORT: '0',
    ...extra,
  });
}

async function listen(port = 0): Promise<{ server: Server; port: number }> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  cleanUp.push(() => void server.close());
  return { server, port: (server.address() as AddressInfo).port };
}

/** The smallest application there can be: it takes the port it was given. */
async function startApp(chosen: Config): Promise<{ url: string; stop(): Promise<void> }> {
  const { server } = await listen(chosen.http.port);
  return { url: chosen.http.publicUrl, stop: () => new Promise((resolve) => server.close(() => resolve())) };
}

async function start(chosen: Config, app: (config: Config, parts: AppParts) => ReturnType<typeof startApp> = startApp) {
  const server: EmbeddedServer = await startEmbedded({ config: chosen, startApp: app });
  cleanUp.push(() => server.stop());
  return server;
}

async function failureOf(work: Promise<unknown>): Promise<WindlassError> {
  try {
    await work;
  } catch (error) {
    if (error instanceof WindlassError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

afterEach(async () => {
  for (const step of cleanUp.splice(0).reverse()) await step();
});

jest.setTimeout(120_000);

it('starts everything, writes down where it is for its owner alone, and takes all of it down again', async () => {
  const chosen = config();
  let parts: AppParts | undefined;
  const server = await start(chosen, (started, given) => {
    parts = given;
    return startApp(started);
  });
  expect(parts?.temporalAddress).toBe(server.temporalAddress);
  expect(await parts?.tools.find('tofu')).toBe(toolPath('tofu'));
  expect(findRunning(chosen.dataDirectory)).toMatchObject({
    pid: process.pid,
    url: server.url,
    temporalUrl: server.temporalUrl,
  });
  expect(statSync(join(chosen.dataDirectory, 'server.json')).mode & 0o777).toBe(0o600);
  expect(statSync(chosen.dataDirectory).mode & 0o077).toBe(0);
  const record = JSON.parse(readFileSync(join(chosen.dataDirectory, 'temporal', 'process.json'), 'utf8')) as {
    pid: number;
  };

  await Promise.all([server.stop(), server.stop()]);
  expect(findRunning(chosen.dataDirectory)).toBeNull();
  expect(identify(record.pid)).toBeNull();
  expect(existsSync(join(chosen.dataDirectory, 'instance.lock'))).toBe(false);
});

it('tells a second start on the same data where the first one is', async () => {
  const chosen = config();
  const first = await start(chosen);
  const error = await failureOf(startEmbedded({ config: chosen, startApp }));
  expect(error.code).toBe('conflict');
  expect(error.message).toBe(
    `Windlass already runs on ${chosen.dataDirectory} (process ${process.pid}) at ${first.url}`,
  );
  expect(error.hint).toContain('WINDLASS_DATA');
});

it('stops what it had started when the application does not come up', async () => {
  const chosen = config();
  await expect(
    startEmbedded({ config: chosen, startApp: () => Promise.reject(new Error('broken app')) }),
  ).rejects.toThrow('broken app');
  const record = JSON.parse(readFileSync(join(chosen.dataDirectory, 'temporal', 'process.json'), 'utf8')) as {
    pid: number;
  };
  expect(identify(record.pid)).toBeNull();
  lockInstance(chosen.dataDirectory).release();
});

describe('a busy port', () => {
  it('that was asked for by name is an error', async () => {
    const { port } = await listen();
    const error = await failureOf(startEmbedded({ config: config({ WINDLASS_PORT: String(port) }), startApp }));
    expect(error.message).toBe(`port ${port} on 127.0.0.1 is used by another program`);
    expect(error.hint).toContain('WINDLASS_PORT');
  });

  it('that is only the default is replaced, and the addresses with it', async () => {
    const { port } = await listen();
    const usual = config({ TEMPORAL_ADDRESS: '127.0.0.1:1' });
    const onBusyPort = {
      ...usual,
      http: { ...usual.http, port, publicUrl: `http://127.0.0.1:${port}`, portIsFixed: false },
    };
    const seen: Config[] = [];
    const server = await start({ ...onBusyPort, stateUrl: onBusyPort.http.publicUrl }, (started) => {
      seen.push(started);
      return startApp(started);
    });
    expect(server.url).not.toBe(`http://127.0.0.1:${port}`);
    expect(seen[0]?.stateUrl).toBe(server.url);
  });
});

it('uses the Temporal that TEMPORAL_ADDRESS names instead of starting one', async () => {
  const chosen = config({ TEMPORAL_ADDRESS: '127.0.0.1:1', WINDLASS_TEMPORAL_UI_URL: 'http://127.0.0.1:2/' });
  const server = await start(chosen);
  expect(server).toMatchObject({ temporalAddress: '127.0.0.1:1', temporalUrl: 'http://127.0.0.1:2' });
  expect(existsSync(join(chosen.dataDirectory, 'temporal'))).toBe(false);
});

it('says so when the data directory cannot be used', async () => {
  const file = join(mkdtempSync(join(tmpdir(), 'windlass-start-')), 'file');
  writeFileSync(file, '');
  const error = await failureOf(startEmbedded({ config: config({ WINDLASS_DATA: join(file, 'data') }), startApp }));
  expect(error.message).toContain(`cannot use the data directory ${join(file, 'data')}`);
});

it('does not take the record of a killed server for a running one', () => {
  const { dataDirectory } = config();
  const record = {
    pid: 1,
    startTime: 'never',
    where: 'nowhere',
    url: 'http://127.0.0.1:1',
    temporalUrl: null,
    startedAt: new Date().toISOString(),
  };
  writeFileSync(join(dataDirectory, 'server.json'), JSON.stringify(record));
  expect(findRunning(dataDirectory)).toBeNull();
  writeFileSync(join(dataDirectory, 'server.json'), '{"half":');
  expect(findRunning(dataDirectory)).toBeNull();
});
