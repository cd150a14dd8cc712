import { appendFileSync } from 'node:fs';
import type { PerformNode } from '../../src/node/index.ts';
import { noteSettings } from './definition.ts';

/** Writes a line for a deploy and for a destroy; there is nothing to plan or to check. */
export const performNote: PerformNode = async ({ input, begin, records }) => {
  const { file, says } = noteSettings.parse(begin.snapshot?.config['note']);
  switch (input.action) {
    case 'deploy':
      appendFileSync(file, `${says}\n`);
      await records.end({
        status: 'succeeded',
        changedOutputs: true,
        environment: { status: 'active', snapshot: begin.snapshot, inputHash: null },
      });
      return { status: 'succeeded', changedOutputs: true, ran: true };
    case 'destroy':
      appendFileSync(file, `no longer: ${says}\n`);
      await records.end({ status: 'succeeded', environment: { status: 'inactive', inputHash: null } });
      return { status: 'succeeded', changedOutputs: false, ran: true };
    case 'plan':
    case 'drift':
    case 'keep':
      await records.end({ status: 'succeeded', ran: false });
      return { status: 'succeeded', changedOutputs: false, ran: false };
  }
};
