import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeConfig, loadConfig, withPort } from './config.ts';
import { addEncryptionKey, openEncryptionKeys } from './key-file.ts';
import { WindlassError } from './model/index.ts';

const key = '00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff';
const server = {
  WINDLASS_DATABASE_URL: 'postgres://windlass:hunter2@db:5432/windlass',
  TEMPORAL_ADDRESS: 'temporal:7233',
  WINDLASS_ENCRYPTION_KEY: key,
};

function failure(run: () => unknown): WindlassError {
  try {
    run();
  } catch (error) {
    if (error instanceof WindlassError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

function temporaryDirectory(): string {
  return mkdtempSync(join(tmpdir(), 'windlass-config-'));
}

describe('defaults', () => {
  it('needs no variable at all and binds to loopback', () => {
    const config = loadConfig({ XDG_DATA_HOME: '/d', XDG_CACHE_HOME: '/c' });
    expect(config).toMatchObject({
      mode: 'embedded',
      dataDirectory: '/d/windlass',
      cacheDirectory: '/c/windlass',
      http: { host: '127.0.0.1', port: 8080, publicUrl: 'http://127.0.0.1:8080', portIsFixed: false },
      database: { kind: 'pglite', directory: '/d/windlass/database' },
      temporal: { address: null, namespace: 'default', uiUrl: null },
      stateUrl: 'http://127.0.0.1:8080',
    });
    expect(config.run.slots).toBeGreaterThanOrEqual(4);
    expect(config.run.slots).toBeLessThanOrEqual(64);
  });

  it('counts an empty variable as absent', () => {
    expect(loadConfig({ WINDLASS_PORT: '', TEMPORAL_ADDRESS: ' ' }).temporal.address).toBeNull();
  });

  it('leaves a DATABASE_URL of another program alone when embedded, and uses it on a server', () => {
    const url = 'postgres://me@localhost/my-own-app';
    expect(loadConfig({ DATABASE_URL: url }).database.kind).toBe('pglite');
    const { WINDLASS_DATABASE_URL: _ours, ...rest } = server;
    expect(loadConfig({ ...rest, DATABASE_URL: url }, { mode: 'server' }).database).toEqual({ kind: 'postgres', url });
  });

  it('reaches a server that listens everywhere through loopback', () => {
    expect(loadConfig({ WINDLASS_HOST: '0.0.0.0', WINDLASS_PORT: '9000' }).stateUrl).toBe('http://127.0.0.1:9000');
    expect(loadConfig({ WINDLASS_HOST: '::1' }).http.publicUrl).toBe('http://[::1]:8080');
  });
});

describe('what the command line says', () => {
  it('wins over the environment', () => {
    const config = loadConfig(
      { WINDLASS_PORT: '9000', WINDLASS_DATA: '/from/env' },
      { port: 9001, dataDirectory: '/flag' },
    );
    expect(config.http).toMatchObject({ port: 9001, portIsFixed: true });
    expect(config.dataDirectory).toBe('/flag');
  });
});

describe('bad variables', () => {
  it('are all reported at once, with what is expected and without their values', () => {
    const error = failure(() =>
      loadConfig({
        WINDLASS_PORT: '99999',
        WINDLASS_PUBLIC_URL: 'ftp://secret-host',
        WINDLASS_ENCRYPTION_KEY: 'too-short-a-secret',
        WINDLASS_LOG_LEVEL: 'loud',
        WINDLASS_RUN_SLOTS: '-1',
        TEMPORAL_ADDRESS: 'nowhere',
        WINDLASS_DATABASE_URL: 'mysql://root:hunter2@db',
      }),
    );
    expect(error.problems?.map((problem) => problem.path).sort()).toEqual([
      'TEMPORAL_ADDRESS',
      'WINDLASS_DATABASE_URL',
      'WINDLASS_ENCRYPTION_KEY',
      'WINDLASS_LOG_LEVEL',
      'WINDLASS_PORT',
      'WINDLASS_PUBLIC_URL',
      'WINDLASS_RUN_SLOTS',
    ]);
    expect(error.message).toContain('WINDLASS_PORT: expected a whole number from 0 to 65535');
    expect(error.message).not.toMatch(/hunter2|too-short|secret-host/);
  });

  it('include what server and worker cannot do without, but not what is there and wrong', () => {
    const missing = failure(() => loadConfig({}, { mode: 'worker' }));
    expect(missing.problems?.map((problem) => problem.path)).toEqual([
      'WINDLASS_DATABASE_URL',
      'TEMPORAL_ADDRESS',
      'WINDLASS_ENCRYPTION_KEY',
    ]);
    const wrong = failure(() => loadConfig({ ...server, WINDLASS_ENCRYPTION_KEY: 'x' }, { mode: 'server' }));
    expect(wrong.problems).toHaveLength(1);
    expect(wrong.message).toContain('32 bytes');
  });
});

describe('the description for logs', () => {
  it('holds neither the key nor the password', () => {
    const url = `${server.WINDLASS_DATABASE_URL}?sslpassword=hunter3`;
    const text = JSON.stringify(
      describeConfig(loadConfig({ ...server, WINDLASS_DATABASE_URL: url }, { mode: 'server' })),
    );
    expect(text).toContain('@db:5432');
    expect(text).not.toMatch(/hunter|001122|\[0,17,34/);
  });
});

describe('another port', () => {
  it('moves the addresses that were made from the old one, and only those', () => {
    const moved = withPort(loadConfig({}), 8085);
    expect(moved.http).toMatchObject({ port: 8085, publicUrl: 'http://127.0.0.1:8085' });
    expect(moved.stateUrl).toBe('http://127.0.0.1:8085');
    const named = withPort(
      loadConfig({ WINDLASS_PUBLIC_URL: 'https://w.example', WINDLASS_STATE_URL: 'http://10.0.0.1' }),
      1,
    );
    expect([named.http.publicUrl, named.stateUrl]).toEqual(['https://w.example', 'http://10.0.0.1']);
  });
});

describe('the encryption key', () => {
  it('may be hexadecimal, base64 or base64url', () => {
    const bytes = Buffer.alloc(32, 0xfb);
    for (const text of [bytes.toString('hex'), bytes.toString('base64'), bytes.toString('base64url')]) {
      expect(
        openEncryptionKeys(loadConfig({ WINDLASS_ENCRYPTION_KEY: text })).keys.map((key) => Buffer.from(key)),
      ).toEqual([bytes]);
    }
  });

  it('is made once, for its owner alone', () => {
    const config = loadConfig({ WINDLASS_DATA: join(temporaryDirectory(), 'data') });
    const first = openEncryptionKeys(config);
    expect(first.keys.map((key) => key.length)).toEqual([32]);
    expect(first.origin).toBe(join(config.dataDirectory, 'encryption.key'));
    expect(openEncryptionKeys(config)).toEqual(first);
    const file = join(config.dataDirectory, 'encryption.key');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    chmodSync(file, 0o644);
    expect(failure(() => openEncryptionKeys(config)).hint).toContain('chmod 600');
  });

  it('may be several, newest first, and a new one is put before them', () => {
    const [a, b] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
    const several = loadConfig({ WINDLASS_ENCRYPTION_KEY: `${a.toString('hex')}, ${b.toString('base64')}` });
    expect(openEncryptionKeys(several).keys.map((key) => Buffer.from(key))).toEqual([a, b]);
    expect(addEncryptionKey(several)).toBeNull();
    const config = loadConfig({ WINDLASS_DATA: join(temporaryDirectory(), 'data') });
    const [old] = openEncryptionKeys(config).keys;
    const made = addEncryptionKey(config);
    expect(openEncryptionKeys(config).keys).toEqual([made, old]);
  });

  it('is not replaced while data that needs the lost one is there', () => {
    const config = loadConfig({ WINDLASS_DATA: temporaryDirectory() });
    mkdirSync(join(config.dataDirectory, 'database'));
    writeFileSync(join(config.dataDirectory, 'database', 'PG_VERSION'), '17');
    expect(failure(() => openEncryptionKeys(config)).message).toContain('is gone');
    expect(existsSync(join(config.dataDirectory, 'encryption.key'))).toBe(false);
  });

  it('is refused when its file is damaged, without saying what is in it', () => {
    const file = join(temporaryDirectory(), 'key');
    writeFileSync(file, 'half-a-secret');
    const error = failure(() => openEncryptionKeys(loadConfig({ WINDLASS_ENCRYPTION_KEY_FILE: file })));
    expect(error.message).toContain(file);
    expect(`${error.message}${error.hint}`).not.toContain('half-a-secret');
    expect(readFileSync(file, 'utf8')).toBe('half-a-secret');
  });
});
