// Every error that leaves the API: its gRPC status, its reason, and what may be said to a client.
import { randomUUID } from 'node:crypto';
import { type Metadata, status } from '@grpc/grpc-js';
import { CommitFailed } from '../dataplane/dataplane.ts';
import { type Reason, Refusal, type RefusalKind } from '../resources/refusal.ts';
import { StoreFailed } from '../store/store.ts';
import { type ErrorDetails, encodeError } from '../wire/errors.ts';

/** Reasons that are the agent's own state and not the request's fault; as stable as those of a `Refusal`. */
export type FailureReason =
  /** The change could not be made durable. */
  | 'STORE_FAILED'
  /** The kernel refused the change. */
  | 'COMMIT_FAILED'
  /** A stream of requests neither went on nor ended. */
  | 'STREAM_QUIET'
  /** The agent is stopping. */
  | 'STOPPING'
  /** A fault of the agent; `metadata.id` finds it in the log. */
  | 'INTERNAL';

/** An error of the API itself, with a status that a `Refusal` of the same reason would not have. */
export class CallRejected extends Error {
  override readonly name = 'CallRejected';
  readonly code: status;
  readonly reason: Reason | FailureReason;
  readonly field: string;

  constructor(code: status, reason: Reason | FailureReason, message: string, field = '') {
    super(message);
    this.code = code;
    this.reason = reason;
    this.field = field;
  }
}

/** What a client gets for an error. */
export interface Failure {
  readonly status: { readonly code: status; readonly details: string; readonly metadata: Metadata };
  readonly details: ErrorDetails;
  /** `refused`: as designed. `failed`: an operator should know. */
  readonly severity: 'refused' | 'failed';
}

/** Turns whatever a method threw into what the client gets; nothing unexpected is shown to it. */
export function failureOf(error: unknown): Failure {
  if (error instanceof Refusal) return failure(statusOf(error.kind, error.reason), refused(error), 'refused');
  if (error instanceof CallRejected) return failure(error.code, rejected(error), 'refused');
  if (error instanceof StoreFailed) {
    const message = `the change could not be made durable, nothing was applied: ${error.message}`;
    return failure(status.UNAVAILABLE, plain('STORE_FAILED', message, { remedy: error.remedy }), 'failed');
  }
  if (error instanceof CommitFailed) {
    const message = `the kernel refused the change, nothing was applied: ${error.message}`;
    return failure(status.UNAVAILABLE, plain('COMMIT_FAILED', message), 'failed');
  }
  const id = randomUUID();
  return failure(
    status.INTERNAL,
    plain('INTERNAL', `a fault of the agent; its log says more under ${id}`, { id }),
    'failed',
  );
}

/** A message whose bytes are no message of the method. */
export function unreadable(detail: string): Refusal {
  return new Refusal([
    {
      field: '',
      reason: 'REQUEST_INVALID',
      description: `the message could not be read (${detail}); nothing was changed`,
    },
  ]);
}

/**
 * A field that this version does not carry out is UNIMPLEMENTED, as a whole method is: INVALID_ARGUMENT would say that
 * the request is wrong on every gateway.
 */
function statusOf(kind: RefusalKind, reason: Reason): status {
  switch (kind) {
    case 'invalid':
      return status.INVALID_ARGUMENT;
    case 'not-found':
      return status.NOT_FOUND;
    case 'precondition':
      return status.FAILED_PRECONDITION;
    case 'conflict':
      return status.ABORTED;
    case 'exhausted':
      return reason === 'REVISION_UNAVAILABLE' ? status.OUT_OF_RANGE : status.RESOURCE_EXHAUSTED;
    case 'unsupported':
      return status.UNIMPLEMENTED;
  }
}

function failure(code: status, details: ErrorDetails, severity: Failure['severity']): Failure {
  return { status: encodeError(code, details), details, severity };
}

function refused({ message, reason, violations }: Refusal): ErrorDetails {
  return {
    message,
    reason,
    metadata: { violations_total: String(violations.length), ...violations[0].metadata },
    violations,
  };
}

function rejected({ message, reason, field }: CallRejected): ErrorDetails {
  return {
    message,
    reason,
    metadata: {},
    violations: field === '' ? [] : [{ field, description: message, reason }],
  };
}

function plain(
  reason: FailureReason,
  message: string,
  metadata: Readonly<Record<string, string>> = {},
): ErrorDetails {
  return { message, reason, metadata, violations: [] };
}
