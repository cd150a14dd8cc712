import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createSecureServer } from 'node:http2';
import { connect } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer } from 'node:tls';
import type { TlsOptions } from 'node:tls';
import { Connection } from '@temporalio/client';
import { NativeConnection } from '@temporalio/worker';
import { loadConfig } from '../src/config.ts';
import { temporalConnectionOptions } from '../src/temporal-connection.ts';
import { makeAuthority } from './support/certificates.ts';
import type { TestAuthority } from './support/certificates.ts';
import { freePort, startTemporal } from './support/processes.ts';
import type { TestTemporal } from './support/processes.ts';
import { makeEnvironment, makeProject, node } from './support/project.ts';
import { toolPath } from './support/tools.ts';
import { startTestServer } from './support/windlass.ts';

let authority: TestAuthority;
let temporal: TestTemporal;
let root: string;
let proxy: Server;
let variables: Record<string, string>;
const closing: (() => void)[] = [];

const portOf = (server: { address(): AddressInfo | string | null }): number => (server.address() as AddressInfo).port;

/** What a server shows, and what it demands: a certificate of the same authority. */
function serverTls(): TlsOptions {
  const { certificate, key } = authority.issue('temporal.internal');
  return {
    cert: readFileSync(certificate),
    key: readFileSync(key),
    ca: readFileSync(authority.certificate),
    requestCert: true,
    rejectUnauthorized: true,
  };
}

beforeAll(async () => {
  authority = makeAuthority();
  root = mkdtempSync(join(tmpdir(), 'windlass-tls-'));
  const ports = { port: await freePort(), uiPort: await freePort() };
  temporal = await startTemporal(toolPath('temporal'), root, ports);
  // The development server knows no TLS, so it ends here.
  proxy = createServer({ ...serverTls(), ALPNProtocols: ['h2'] }, (socket) => {
    const inner = connect({ port: ports.port, host: '127.0.0.1', noDelay: true });
    socket.setNoDelay(true);
    for (const [from, to] of [
      [socket, inner],
      [inner, socket],
    ] as const) {
      from.on('error', () => to.destroy());
      from.on('close', () => to.destroy());
    }
    socket.pipe(inner).pipe(socket);
    closing.push(() => socket.destroy());
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  const worker = authority.issue('worker');
  variables = {
    TEMPORAL_ADDRESS: `127.0.0.1:${portOf(proxy)}`,
    TEMPORAL_TLS_SERVER_CA_CERT_PATH: authority.certificate,
    TEMPORAL_TLS_CLIENT_CERT_PATH: worker.certificate,
    TEMPORAL_TLS_CLIENT_KEY_PATH: worker.key,
    TEMPORAL_TLS_SERVER_NAME: 'temporal.internal',
  };
});
afterAll(async () => {
  for (const close of closing) close();
  proxy?.close();
  await temporal?.stop();
  authority?.remove();
  rmSync(root, { recursive: true, force: true });
});

it('deploys through a Temporal that demands a client certificate', async () => {
  const server = await startTestServer(variables);
  const project = makeProject('tls');
  try {
    project.stack('a');
    project.workflow({ environments: { a: node('a') } });
    const { id } = await makeEnvironment(server, project);
    expect((await server.run(id)).status).toBe('succeeded');
    expect(project.lines('a')).toEqual(['apply']);
  } finally {
    await server.stop();
    project.remove();
  }
});

it('is refused without the certificate, with that of another authority, and under another name', async () => {
  const stranger = makeAuthority();
  const { certificate, key } = stranger.issue('worker');
  const without: Record<string, string> = { ...variables };
  delete without['TEMPORAL_TLS_CLIENT_CERT_PATH'];
  delete without['TEMPORAL_TLS_CLIENT_KEY_PATH'];
  const tries = [
    without,
    { ...variables, TEMPORAL_TLS_CLIENT_CERT_PATH: certificate, TEMPORAL_TLS_CLIENT_KEY_PATH: key },
    { ...variables, TEMPORAL_TLS_SERVER_CA_CERT_PATH: stranger.certificate },
    { ...variables, TEMPORAL_TLS_SERVER_NAME: 'other.internal' },
  ];
  for (const wrong of tries) {
    const { temporal: config } = loadConfig(wrong);
    const options = { address: config.address ?? '', ...temporalConnectionOptions(config) };
    await expect(Connection.connect({ ...options, connectTimeout: 2000 })).rejects.toThrow();
    await expect(NativeConnection.connect(options)).rejects.toThrow();
  }
  stranger.remove();
});

it('sends the API key, by client and worker', async () => {
  const seen: (string | undefined)[] = [];
  const server = createSecureServer(serverTls(), (request, response) => {
    seen.push(request.headers.authorization);
    response.writeHead(200, { 'content-type': 'application/grpc', 'grpc-status': '7', 'grpc-message': 'no' }).end();
  });
  server.on('session', (session) => closing.push(() => session.destroy()));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = `127.0.0.1:${portOf(server)}`;
  const { temporal: config } = loadConfig({ ...variables, TEMPORAL_ADDRESS: address, TEMPORAL_API_KEY: 'sesame' });
  const options = { address, ...temporalConnectionOptions(config) };
  await expect(Connection.connect({ ...options, connectTimeout: 2000 })).rejects.toThrow();
  const byClient = seen.splice(0);
  await expect(NativeConnection.connect(options)).rejects.toThrow();
  expect(byClient).toContain('Bearer sesame');
  expect(seen).toContain('Bearer sesame');
  server.close();
});
