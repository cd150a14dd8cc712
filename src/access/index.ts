export { administratorKeyFile, provideAdministratorKey } from './administrator-key.ts';
export type { AdministratorKey } from './administrator-key.ts';
export { authenticate, createKey, listKeys } from './keys.ts';
export type { KeyRecord } from './keys.ts';
export { checkGrant, readGrant } from './grants.ts';
export type { Grant } from './grants.ts';
export {
  can,
  isAdministrator,
  requirePermission,
  systemPrincipal,
  toPrincipal,
  visibleProjects,
} from './permissions.ts';
export type { Principal, Resource } from './permissions.ts';
export { confirmKeys, followCurrentKey, recordOfKey } from './key-check.ts';
export { createSecretBox, keyIdOf } from './secret-box.ts';
export type { SecretBox } from './secret-box.ts';
export { insertAuditEntry as audit } from '../store/index.ts';
