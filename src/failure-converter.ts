import { DefaultFailureConverter } from '@temporalio/common';

/** Puts the message and the stack of a failure into a payload, which the codec seals. Loaded by path by Temporal's SDK. */
export const failureConverter = new DefaultFailureConverter({ encodeCommonAttributes: true });
