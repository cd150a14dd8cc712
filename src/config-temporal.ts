import { z } from 'zod';
import type { Problem } from './model/index.ts';

/** A PEM, and the variable that named it, for messages. */
export interface Pem {
  readonly variable: string;
  readonly source: { readonly kind: 'file'; readonly path: string } | { readonly kind: 'text'; readonly text: string };
}

/** TLS to Temporal. Certificate and key are there together or not at all. */
export interface TemporalTls {
  /** The system's authorities when null. */
  readonly ca: Pem | null;
  readonly certificate: Pem | null;
  readonly key: Pem | null;
  /** Name the server's certificate is checked against, when it is not that of the address. */
  readonly serverName: string | null;
}

const text = z.string();

/** As the `temporal` command and Temporal's SDKs name them, so that one environment serves all. */
export const temporalTlsVariables = {
  TEMPORAL_TLS: z
    .string()
    .regex(/^(true|false|1|0)$/i, 'expected true or false')
    .transform((value) => /^(true|1)$/i.test(value))
    .optional(),
  TEMPORAL_TLS_SERVER_CA_CERT_PATH: text.optional(),
  TEMPORAL_TLS_SERVER_CA_CERT_DATA: text.optional(),
  TEMPORAL_TLS_CLIENT_CERT_PATH: text.optional(),
  TEMPORAL_TLS_CLIENT_CERT_DATA: text.optional(),
  TEMPORAL_TLS_CLIENT_KEY_PATH: text.optional(),
  TEMPORAL_TLS_CLIENT_KEY_DATA: text.optional(),
  TEMPORAL_TLS_SERVER_NAME: z
    .string()
    .regex(/^[A-Za-z0-9.-]{1,253}$/, 'expected a host name')
    .optional(),
  TEMPORAL_API_KEY: z
    .string()
    .regex(/^[\x21-\x7e]+$/, 'expected a key without spaces')
    .optional(),
};
type Values = z.infer<z.ZodObject<typeof temporalTlsVariables>>;
type PemName = 'SERVER_CA_CERT' | 'CLIENT_CERT' | 'CLIENT_KEY';

/** What the variables mean together. TLS is on when anything of it is set, or an API key, which must not go in the clear. */
export function temporalTlsOf(values: Values): { readonly tls: TemporalTls | null; readonly problems: Problem[] } {
  const problems: Problem[] = [];
  const pem = (name: PemName): Pem | null => {
    const file = `TEMPORAL_TLS_${name}_PATH` as const;
    const data = `TEMPORAL_TLS_${name}_DATA` as const;
    const path = values[file];
    const inline = values[data];
    if (path !== undefined && inline !== undefined)
      problems.push({ path: data, message: `is set beside ${file}; keep one` });
    if (path !== undefined) return { variable: file, source: { kind: 'file', path } };
    return inline === undefined
      ? null
      : { variable: data, source: { kind: 'text', text: inline.replaceAll('\\n', '\n') } };
  };
  const tls: TemporalTls = {
    ca: pem('SERVER_CA_CERT'),
    certificate: pem('CLIENT_CERT'),
    key: pem('CLIENT_KEY'),
    serverName: values.TEMPORAL_TLS_SERVER_NAME ?? null,
  };
  const parts = Object.values(tls).some((part) => part !== null);
  if (tls.certificate !== null && tls.key === null)
    problems.push({
      path: 'TEMPORAL_TLS_CLIENT_KEY_PATH',
      message: `missing: ${tls.certificate.variable} needs its key`,
    });
  if (tls.key !== null && tls.certificate === null)
    problems.push({
      path: 'TEMPORAL_TLS_CLIENT_CERT_PATH',
      message: `missing: ${tls.key.variable} needs its certificate`,
    });
  if (values.TEMPORAL_TLS === false && (parts || values.TEMPORAL_API_KEY !== undefined))
    problems.push({
      path: 'TEMPORAL_TLS',
      message: `is false, but ${parts ? 'a certificate or name for TLS' : 'TEMPORAL_API_KEY'} is set; keep one`,
    });
  const on = values.TEMPORAL_TLS ?? (parts || values.TEMPORAL_API_KEY !== undefined);
  return { tls: on ? tls : null, problems };
}
