import {
  WorkflowNotFoundError,
  WorkflowUpdateFailedError,
  WorkflowUpdateRPCTimeoutOrCancelledError,
  isGrpcDeadlineError,
  isGrpcServiceError,
} from '@temporalio/client';
import { ApplicationFailure, NamespaceNotFoundError } from '@temporalio/common';
import { WindlassError, messageOf } from '../model/index.ts';

/** gRPC status codes that matter here; the numbers are fixed by gRPC. */
const grpc = {
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  unimplemented: 12,
  unauthenticated: 16,
} as const;

interface GrpcReason {
  readonly code: number;
  readonly details: string;
}

/** An update with start says only in its message what was refused. */
function detailsOf({ details, message }: { details: string; message: string }): string {
  return details === '' || /could not be executed/.test(details) ? message : details;
}

/** The gRPC error at the bottom of a chain of causes. */
function grpcReason(thrown: unknown): GrpcReason | undefined {
  let current = thrown;
  for (let depth = 0; depth < 8 && current instanceof Error; depth++) {
    if (isGrpcServiceError(current)) return { code: current.code, details: detailsOf(current) };
    current = current.cause;
  }
  return undefined;
}

function unavailable(message: string, hint: string, cause: unknown): WindlassError {
  return new WindlassError('unavailable', message, { hint, cause });
}

const unreachableHint =
  'Windlass connects again by itself; see /readyz, and check TEMPORAL_ADDRESS and that Temporal runs';

function fromGrpc(reason: GrpcReason, cause: unknown): WindlassError {
  switch (reason.code) {
    case grpc.deadlineExceeded:
      return unavailable(
        'Temporal or a Windlass worker did not answer in time',
        'check /readyz, and that a worker runs: windlass worker',
        cause,
      );
    case grpc.permissionDenied:
    case grpc.unauthenticated:
      return unavailable(
        `Temporal refuses Windlass: ${reason.details}`,
        'check the key or certificate that Windlass uses for Temporal',
        cause,
      );
    case grpc.resourceExhausted:
      return unavailable(`Temporal is busy: ${reason.details}`, 'try again in a few seconds', cause);
    case grpc.invalidArgument:
      if (/search attribute/i.test(reason.details)) {
        return unavailable(
          `Temporal does not know the search attributes of Windlass: ${reason.details}`,
          'register the Keyword attributes WindlassEnvironment, WindlassProject, WindlassKind and WindlassStatus (see temporal/)',
          cause,
        );
      }
      return new WindlassError('internal', `Temporal did not accept the request: ${reason.details}`, { cause });
    case grpc.notFound:
      if (/namespace/i.test(reason.details)) {
        return unavailable(`Temporal: ${reason.details}`, 'create the namespace, or set TEMPORAL_NAMESPACE', cause);
      }
      return new WindlassError('conflict', `Temporal: ${reason.details}`, { cause });
    case grpc.unimplemented:
      return unavailable(
        `This Temporal server is too old or lacks a feature: ${reason.details}`,
        'Windlass needs Temporal Server 1.28 or later',
        cause,
      );
    case grpc.failedPrecondition:
      return new WindlassError('conflict', `Temporal: ${reason.details}`, { cause });
    default:
      return unavailable(`Temporal cannot be reached: ${reason.details}`, unreachableHint, cause);
  }
}

/** What is open was begun by code that decided differently. `hint` says what can be done. */
export function otherVersion(what: string, code: 'conflict' | 'unavailable', hint: string): WindlassError {
  return new WindlassError(code, `${what} was begun by another version of Windlass, which this one cannot follow`, {
    hint,
  });
}

/** The refusal that workflow code gave on purpose, if it was one. */
function refusal(error: WorkflowUpdateFailedError, what: string): WindlassError {
  const { cause } = error;
  if (cause instanceof ApplicationFailure) {
    if (cause.type === 'AcceptedUpdateCompletedWorkflow') {
      return new WindlassError('conflict', `${what} ended while it was asked`, {
        hint: 'look at it again, then decide',
        cause: error,
      });
    }
    return new WindlassError(cause.type === 'locked' ? 'locked' : 'conflict', cause.message, { cause: error });
  }
  return new WindlassError('conflict', cause ? messageOf(cause) : error.message, { cause: error });
}

/** Makes a WindlassError of anything that the Temporal client throws. `what` names the run, such as `Deployment dep_x`. */
export function fromTemporal(thrown: unknown, what: string): WindlassError {
  if (thrown instanceof WindlassError) return thrown;
  if (thrown instanceof WorkflowUpdateFailedError) return refusal(thrown, what);
  if (thrown instanceof NamespaceNotFoundError) {
    return unavailable(
      `Temporal has no namespace "${thrown.namespace}"`,
      'create it, or set TEMPORAL_NAMESPACE',
      thrown,
    );
  }
  if (thrown instanceof WorkflowNotFoundError) {
    return new WindlassError('conflict', `${what} has already ended`, {
      hint: 'nothing is left to be done with it',
      cause: thrown,
    });
  }
  if (thrown instanceof WorkflowUpdateRPCTimeoutOrCancelledError || isGrpcDeadlineError(thrown)) {
    return fromGrpc({ code: grpc.deadlineExceeded, details: '' }, thrown);
  }
  const reason = grpcReason(thrown);
  if (reason?.code === grpc.failedPrecondition && /task in failed state/i.test(reason.details)) {
    return unavailable(
      `${what} does not answer: a step of its workflow fails again and again`,
      'the log of the Windlass worker says why; nothing is lost, and it is tried again',
      thrown,
    );
  }
  if (reason) return fromGrpc(reason, thrown);
  return unavailable(`Temporal cannot be used: ${messageOf(thrown)}`, unreachableHint, thrown);
}
