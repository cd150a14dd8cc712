export { authenticate, createKey, listKeys, revokeKey } from './keys.ts';
export type { KeyRecord } from './keys.ts';
export { Masker } from './masker.ts';
export type { MaskStream } from './masker.ts';
export { allows, checkGrant, permissions, requirePermission, systemPrincipal } from './permissions.ts';
export type { Permission, Principal } from './permissions.ts';
export { createSecretBox } from './secret-box.ts';
export type { SecretBox } from './secret-box.ts';
export { insertAuditEntry as audit } from '../store/index.ts';
