import type { Contract } from '../../contract/index.ts';
import type { CallOf, HandlersOf } from '../route.ts';
import type { RouteDeps } from './shared.ts';

type Decision = CallOf<Contract['approvals']['approve']>;

export function approvalsHandlers({ operations }: RouteDeps): HandlersOf<'approvals'> {
  const decide = async ({ caller, params, body }: Decision, decision: 'approve' | 'reject') => {
    const { approval, warning } = await operations.decide({ actor: caller, id: params.id, decision, ...body });
    return { ...approval, ...(warning === null ? {} : { warning }) };
  };
  return {
    list: ({ caller, query }) => operations.listApprovals({ actor: caller, ...query }),
    get: ({ caller, params }) => operations.getApproval({ actor: caller, id: params.id }),
    approve: (call) => decide(call, 'approve'),
    reject: (call) => decide(call, 'reject'),
  };
}
