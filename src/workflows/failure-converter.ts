import { DefaultFailureConverter } from '@temporalio/common';

/**
 * The same as of the process around the sandbox: it says so by a line before the bundle, since nothing else of its settings
 * gets in here.
 */
export const failureConverter = new DefaultFailureConverter({
  encodeCommonAttributes: 'windlassSealsFailures' in globalThis,
});
