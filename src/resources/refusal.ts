// Why a change is refused: one catalogue of stable reasons, and the error that carries all offenders.

/** How a client should take a refusal; maps one to one onto a gRPC status code. */
export type RefusalKind = 'invalid' | 'not-found' | 'precondition' | 'conflict' | 'exhausted' | 'unsupported';

/** Every reason that Penstock gives, with its kind. Names are part of the API: they never change meaning. */
export const reasons = {
  /** A required field is empty. */
  FIELD_REQUIRED: 'invalid',
  /** 1 to 80 characters; begins with a letter or digit; ends with a letter, digit or `_`; in between also `.`, `-`. */
  NAME_INVALID: 'invalid',
  /** Two of a kind have one name, or one thing stands twice in a change. */
  NAME_DUPLICATE: 'invalid',
  /** Not an IPv4 or IPv6 address that a machine can have. */
  ADDRESS_INVALID: 'invalid',
  /** Two members of a pool, or two frontends of a load balancer, have one address. */
  ADDRESS_DUPLICATE: 'invalid',
  /** A number outside the range that the description names. */
  VALUE_OUT_OF_RANGE: 'invalid',
  /** Not a prefix of IPv4 or IPv6 addresses with its host bits zero. */
  CLIENT_RANGE_INVALID: 'invalid',
  /** A probe's path that cannot stand in a request. */
  PATH_INVALID: 'invalid',
  /** An enum value that this version does not know. */
  ENUM_UNKNOWN: 'invalid',
  /** Fields that exclude each other, or a combination that has no meaning. */
  FIELDS_CONFLICT: 'invalid',
  /** A frontend and the members behind it are not of one address family. */
  FAMILY_MISMATCH: 'invalid',
  /** A rule names a frontend, pool, probe or member that the load balancer does not have. */
  REFERENCE_UNKNOWN: 'invalid',
  /** More of something than a gateway carries. */
  LIMIT_EXCEEDED: 'invalid',
  /** The message itself could not be read. */
  REQUEST_INVALID: 'invalid',
  /** Part of the API, and not yet of this gateway. */
  FEATURE_UNSUPPORTED: 'unsupported',
  /** The load balancer, pool or member that a change starts from does not exist. */
  NOT_FOUND: 'not-found',
  /** Two rules claim one (address, protocol, port). */
  FRONTEND_PORT_OVERLAP: 'precondition',
  /** What is to be deleted is still named by a rule. */
  STILL_REFERENCED: 'precondition',
  /** A pool needs more ports than the rule sets aside. */
  PORT_RANGE_EXHAUSTED: 'precondition',
  /** A range shrinks or moves away under live mappings. `allow_remap` lets it. */
  PORT_RANGE_IN_USE: 'precondition',
  /** A pin lies outside the rule's range, or not at the first of a member's ports. */
  PIN_INVALID: 'precondition',
  /** A pinned port is another member's, or the member already has another port. */
  PIN_TAKEN: 'precondition',
  /** An outbound rule sets aside more ports than its frontends have free. */
  OUTBOUND_PORTS_EXHAUSTED: 'precondition',
  /** Members would lose ports that an outbound rule has given them. `allow_remap` lets them. */
  OUTBOUND_PORTS_IN_USE: 'precondition',
  /** Two outbound rules claim the connections of one machine. */
  OUTBOUND_OVERLAP: 'precondition',
  /** `expected_revision` is not the current one. */
  STALE_REVISION: 'conflict',
  /** Events after the revision asked for are no longer kept, or it is yet to come. */
  REVISION_UNAVAILABLE: 'exhausted',
  /** The reader of a stream is too slow. */
  READER_TOO_SLOW: 'exhausted',
} as const satisfies Record<string, RefusalKind>;

export type Reason = keyof typeof reasons;

/** One offending field. `field` is the path in the request, such as `put_members[0].members[3].address`. */
export interface Violation {
  readonly field: string;
  readonly reason: Reason;
  /** Names the value and the remedy. */
  readonly description: string;
  /** Figures and names for programs, such as `needed` and `available`. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/** A change that is refused as a whole; nothing of it has been applied. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  /** At least one; within one stage of checking, in the order of the request. */
  readonly violations: readonly [Violation, ...Violation[]];

  constructor(violations: readonly [Violation, ...Violation[]]) {
    const [first, ...rest] = violations;
    super(
      `${first.field === '' ? '' : `${first.field}: `}${first.description}${rest.length > 0 ? ` (and ${rest.length} more)` : ''}`,
    );
    this.violations = violations;
  }

  get reason(): Reason {
    return this.violations[0].reason;
  }

  get kind(): RefusalKind {
    return reasons[this.reason];
  }
}

/** Throws a Refusal unless there are no violations. */
export function refuseIfAny(violations: readonly Violation[]): void {
  const [first, ...rest] = violations;
  if (first !== undefined) throw new Refusal([first, ...rest]);
}

/** What the work gives. Where it is refused, the reasons for which the next would be are told with its own. */
export function refusedWith<T>(next: () => unknown, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof Refusal) refuseIfAny([...error.violations, ...violationsOf(next)]);
    throw error;
  }
}

function violationsOf(work: () => unknown): readonly Violation[] {
  try {
    work();
    return [];
  } catch (error) {
    if (error instanceof Refusal) return error.violations;
    throw error;
  }
}
