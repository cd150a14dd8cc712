import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeAuthority } from '../test/support/certificates.ts';
import type { CertificateFiles, TestAuthority } from '../test/support/certificates.ts';
import { describeConfig, loadConfig } from './config.ts';
import { WindlassError } from './model/index.ts';
import { temporalConnectionOptions } from './temporal-connection.ts';

let authority: TestAuthority;
let client: CertificateFiles;
beforeAll(() => {
  authority = makeAuthority();
  client = authority.issue('worker');
});
afterAll(() => authority.remove());

const connect = (variables: Record<string, string>) => temporalConnectionOptions(loadConfig(variables).temporal);
const failure = (variables: Record<string, string>): string => {
  try {
    connect(variables);
  } catch (error) {
    if (error instanceof WindlassError) return error.message;
    throw error;
  }
  throw new Error('nothing was thrown');
};
const pair = () => ({ TEMPORAL_TLS_CLIENT_CERT_PATH: client.certificate, TEMPORAL_TLS_CLIENT_KEY_PATH: client.key });

it('is without TLS when nothing of it is set, and with it when anything is', () => {
  expect(connect({})).toEqual({});
  expect(connect({ TEMPORAL_TLS: 'false' })).toEqual({});
  expect(connect({ TEMPORAL_TLS: 'true' })).toEqual({ tls: {} });
  expect(connect({ TEMPORAL_API_KEY: 'secret' })).toEqual({ tls: {}, apiKey: 'secret' });
  expect(connect({ TEMPORAL_TLS_SERVER_NAME: 'temporal' })).toEqual({ tls: { serverNameOverride: 'temporal' } });
});

it('reads the files, or takes the text', () => {
  const crt = readFileSync(client.certificate);
  const key = readFileSync(client.key);
  const ca = readFileSync(authority.certificate);
  const wanted = { tls: { serverRootCACertificate: ca, clientCertPair: { crt, key } } };
  expect(connect({ ...pair(), TEMPORAL_TLS_SERVER_CA_CERT_PATH: authority.certificate })).toEqual(wanted);
  expect(
    connect({
      TEMPORAL_TLS_SERVER_CA_CERT_DATA: ca.toString(),
      TEMPORAL_TLS_CLIENT_CERT_DATA: crt.toString(),
      TEMPORAL_TLS_CLIENT_KEY_DATA: key.toString().replaceAll('\n', '\\n'),
    }).tls?.clientCertPair?.key.toString(),
  ).toBe(key.toString().trim() + '\n');
});

it('names the variable that is wrong', () => {
  const other = authority.issue('other');
  const expired = authority.issue('expired', { days: -1 });
  const noPem = join(authority.directory, 'no.pem');
  writeFileSync(noPem, 'hello');
  const cases: [Record<string, string>, RegExp][] = [
    [{ TEMPORAL_TLS: 'yes' }, /TEMPORAL_TLS: expected true or false/],
    [{ TEMPORAL_TLS: 'false', TEMPORAL_API_KEY: 'k' }, /TEMPORAL_TLS: is false, but TEMPORAL_API_KEY is set/],
    [{ TEMPORAL_TLS_CLIENT_CERT_PATH: client.certificate }, /TEMPORAL_TLS_CLIENT_KEY_PATH: missing/],
    [{ TEMPORAL_TLS_CLIENT_KEY_PATH: client.key }, /TEMPORAL_TLS_CLIENT_CERT_PATH: missing/],
    [{ ...pair(), TEMPORAL_TLS_CLIENT_KEY_DATA: 'x' }, /TEMPORAL_TLS_CLIENT_KEY_DATA: is set beside/],
    [{ ...pair(), TEMPORAL_TLS_CLIENT_KEY_PATH: other.key }, /TEMPORAL_TLS_CLIENT_KEY_PATH: it is not the key of/],
    [{ ...pair(), TEMPORAL_TLS_CLIENT_KEY_PATH: noPem }, /TEMPORAL_TLS_CLIENT_KEY_PATH: it is not a private key/],
    [{ TEMPORAL_TLS_SERVER_CA_CERT_PATH: noPem }, /TEMPORAL_TLS_SERVER_CA_CERT_PATH: there is no certificate/],
    [{ TEMPORAL_TLS_SERVER_CA_CERT_PATH: '/no/such' }, /TEMPORAL_TLS_SERVER_CA_CERT_PATH: cannot read \/no\/such/],
    [
      { TEMPORAL_TLS_CLIENT_CERT_PATH: expired.certificate, TEMPORAL_TLS_CLIENT_KEY_PATH: expired.key },
      /TEMPORAL_TLS_CLIENT_CERT_PATH: the certificate has expired/,
    ],
  ];
  for (const [variables, message] of cases) expect(failure(variables)).toMatch(message);
});

it('is not logged with its key', () => {
  chmodSync(client.key, 0o600);
  const logged = JSON.stringify(
    describeConfig(
      loadConfig({ ...pair(), TEMPORAL_API_KEY: 'sesame', TEMPORAL_TLS_SERVER_CA_CERT_DATA: 'secret text' }),
    ),
  );
  expect(logged).not.toMatch(/sesame|secret text/);
  expect(logged).toContain('TEMPORAL_TLS_CLIENT_KEY_PATH');
});
