import type { EffectiveVariable, Source } from '../model/index.ts';
import { WindlassError } from '../model/index.ts';
import type { GitCredentials } from './git-credentials.ts';

/** The credentials that a source names, out of the environment variables in force. Throws class `credentials` when they are not set. */
export function credentialsOf(source: Source, variables: readonly EffectiveVariable[]): GitCredentials | undefined {
  if (source.kind !== 'git' || source.credentials === undefined) return undefined;
  const value = variables.find((variable) => variable.name === source.credentials)?.value;
  if (typeof value !== 'string' || value === '') {
    throw new WindlassError(
      'invalidInput',
      `the repository ${source.repository} names the credentials "${source.credentials}", but no environment variable has that name`,
      {
        class: 'credentials',
        hint: `set it: windlass variable set ${source.credentials} --kind environment --sensitive`,
      },
    );
  }
  return value.includes('PRIVATE KEY') ? { kind: 'sshKey', privateKey: value } : { kind: 'token', token: value };
}
