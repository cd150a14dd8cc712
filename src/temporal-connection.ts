import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Config, Pem, TemporalTls } from './config.ts';
import { messageOf, WindlassError } from './model/index.ts';

/** How a client or a worker connects to a Temporal that runs elsewhere; the same for both SDKs. */
export interface TemporalConnectionOptions {
  readonly tls?: {
    readonly serverNameOverride?: string;
    readonly serverRootCACertificate?: Buffer;
    readonly clientCertPair?: { readonly crt: Buffer; readonly key: Buffer };
  };
  readonly apiKey?: string;
}

function unusable(variable: string, why: string, hint: string, cause?: unknown): WindlassError {
  return new WindlassError('invalidInput', `${variable}: ${why}`, { hint, cause });
}

function read({ variable, source }: Pem): Buffer {
  if (source.kind === 'text') return Buffer.from(source.text);
  try {
    return readFileSync(source.path);
  } catch (cause) {
    throw unusable(
      variable,
      `cannot read ${source.path}: ${messageOf(cause)}`,
      'make it readable for this user',
      cause,
    );
  }
}

const certificateText = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** The certificates of a PEM file, each of them read. Throws when there is none, or one is damaged. */
function certificates(pem: Pem, bytes: Buffer): X509Certificate[] {
  const texts = bytes.toString('latin1').match(certificateText) ?? [];
  if (texts.length === 0)
    throw unusable(
      pem.variable,
      'there is no certificate in it',
      'a PEM file is expected: -----BEGIN CERTIFICATE-----',
    );
  return texts.map((text) => {
    try {
      return new X509Certificate(text);
    } catch (cause) {
      throw unusable(pem.variable, `a certificate in it is damaged: ${messageOf(cause)}`, 'copy it again', cause);
    }
  });
}

function clientPair({ certificate, key }: TemporalTls): { crt: Buffer; key: Buffer } | null {
  if (certificate === null || key === null) return null;
  const crt = read(certificate);
  const [own] = certificates(certificate, crt);
  const bytes = read(key);
  let privateKey;
  try {
    privateKey = createPrivateKey(bytes);
  } catch (cause) {
    throw unusable(
      key.variable,
      'it is not a private key that can be read',
      'a PEM without a passphrase is expected',
      cause,
    );
  }
  if (own?.checkPrivateKey(privateKey) !== true)
    throw unusable(key.variable, `it is not the key of the certificate in ${certificate.variable}`, 'name the pair');
  if (Date.parse(own.validTo) < Date.now())
    throw unusable(certificate.variable, `the certificate has expired on ${own.validTo}`, 'ask for a new one');
  return { crt, key: bytes };
}

/**
 * Reads and checks what a connection to Temporal needs. Throws `invalidInput` that names the variable, so that a wrong
 * file is seen at the start and not as a server that cannot be reached.
 */
export function temporalConnectionOptions({ tls, apiKey }: Config['temporal']): TemporalConnectionOptions {
  if (tls === null) return {};
  const pair = clientPair(tls);
  const ca = tls.ca === null ? null : read(tls.ca);
  if (tls.ca !== null && ca !== null) certificates(tls.ca, ca);
  return {
    tls: {
      ...(tls.serverName === null ? {} : { serverNameOverride: tls.serverName }),
      ...(ca === null ? {} : { serverRootCACertificate: ca }),
      ...(pair === null ? {} : { clientCertPair: pair }),
    },
    ...(apiKey === null ? {} : { apiKey }),
  };
}
