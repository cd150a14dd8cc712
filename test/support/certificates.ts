import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface CertificateFiles {
  readonly certificate: string;
  readonly key: string;
}

/** An authority for one test, in a temporary directory. */
export interface TestAuthority {
  readonly directory: string;
  readonly certificate: string;
  /** A certificate for a name, good for a day, or for as many days as said; a negative number is one that has expired. */
  issue(name: string, options?: { readonly days?: number }): CertificateFiles;
  remove(): void;
}

export function makeAuthority(): TestAuthority {
  const directory = mkdtempSync(join(tmpdir(), 'windlass-ca-'));
  const openssl = (...args: string[]): void => {
    execFileSync('openssl', args, { cwd: directory, stdio: 'pipe' });
  };
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  openssl(
    'req',
    '-x509',
    ...newKey,
    '-keyout',
    'ca.key',
    '-out',
    'ca.pem',
    '-days',
    '2',
    '-subj',
    '/CN=test authority',
  );
  const inside = (name: string): string => join(directory, name);
  return {
    directory,
    certificate: inside('ca.pem'),
    issue(name, { days = 1 } = {}) {
      writeFileSync(inside(`${name}.ext`), `subjectAltName=DNS:${name}\n`);
      openssl('req', ...newKey, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`);
      // prettier-ignore
      openssl('x509', '-req', '-in', `${name}.csr`, '-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial',
        '-out', `${name}.pem`, '-days', String(days), '-extfile', `${name}.ext`);
      return { certificate: inside(`${name}.pem`), key: inside(`${name}.key`) };
    },
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}
