import type { AccountVariable } from './definition.ts';

/** Accounts of the clouds, as their own libraries know them; the first that is set counts. */
export const cloudAccounts: readonly AccountVariable[] = [
  { name: 'AWS_PROFILE', shown: true },
  { name: 'AWS_ACCESS_KEY_ID', shown: false },
  { name: 'ARM_SUBSCRIPTION_ID', shown: true },
  { name: 'GOOGLE_PROJECT', shown: true },
  { name: 'GOOGLE_CLOUD_PROJECT', shown: true },
  { name: 'DIGITALOCEAN_TOKEN', shown: false },
];
