// Errors with details: google.rpc.Status in the trailer `grpc-status-details-bin`, written by the agent, read by clients.
import { Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { google } from './generated/proto.js';

/** `google.rpc.ErrorInfo.domain` of every error that Penstock gives a reason for. */
const errorDomain = 'penstock';

const detailsKey = 'grpc-status-details-bin';
const errorInfoType = 'type.googleapis.com/google.rpc.ErrorInfo';
const badRequestType = 'type.googleapis.com/google.rpc.BadRequest';

/**
 * Bytes of the encoded details. Clients on gRPC's C core (Python, Ruby, C++) drop a response whose metadata exceeds
 * 8 KiB in all, and the details travel as base64, which adds a third.
 */
const detailsLimit = 5_400;
/** Bytes of the status message as it travels (percent-encoded), for the same reason. */
const messageLimit = 480;
/** Bytes that one text in the details may take, so that a single one never crowds out all others. */
const textLimit = 1_000;
/** Entries and bytes of ErrorInfo.metadata. */
const metadataEntries = 16;
const metadataTextLimit = 100;

/** One offending field of a request. */
export interface FieldViolation {
  /** Its path, such as `put_members[0].members[3].address`; empty where no field can be named. */
  readonly field: string;
  readonly description: string;
  /** Upper snake case, from the catalogue of reasons. */
  readonly reason: string;
}

/** What a failed call says besides its status code. */
export interface ErrorDetails {
  readonly message: string;
  /** Upper snake case, stable; the first violation's. */
  readonly reason: string;
  /** Figures and names for programs. `violations_total` counts the offending fields, listed or not. */
  readonly metadata: Readonly<Record<string, string>>;
  /** As many as fit; when there are more, the last entry says how many. */
  readonly violations: readonly FieldViolation[];
}

/** A call that failed, as a client sees it. Without a `reason` the error is gRPC's own, such as UNAVAILABLE. */
export class CallFailed extends Error {
  override readonly name = 'CallFailed';
  readonly code: status;
  readonly reason: string | undefined;
  readonly metadata: Readonly<Record<string, string>>;
  readonly violations: readonly FieldViolation[];

  constructor(code: status, message: string, details?: ErrorDetails, cause?: unknown) {
    super(message, { cause });
    this.code = code;
    this.reason = details?.reason;
    this.metadata = details?.metadata ?? {};
    this.violations = details?.violations ?? [];
  }

  /** The status code's name, such as `FAILED_PRECONDITION`. */
  get codeName(): string {
    return status[this.code];
  }
}

/** Reads what grpc-js gives for a failed call. */
export function callFailed(error: ServiceError): CallFailed {
  const details = decodeDetails(error.metadata);
  return new CallFailed(error.code, details?.message || error.details, details, error);
}

/** True for what grpc-js rejects and emits; anything else is a fault of the program. */
export function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && 'code' in error && 'details' in error && 'metadata' in error;
}

/** The status and trailer of a failed call, within the size that every client takes. */
export function encodeError(
  code: status,
  details: ErrorDetails,
): { readonly code: status; readonly details: string; readonly metadata: Metadata } {
  const metadata = new Metadata();
  metadata.set(detailsKey, encodeDetails(code, details));
  return { code, details: shortenMessage(details.message), metadata };
}

/** The details in a trailer, where they are Penstock's; `undefined` where there are none or they cannot be read. */
export function decodeDetails(metadata: Metadata): ErrorDetails | undefined {
  const [bytes] = metadata.get(detailsKey);
  if (!(bytes instanceof Uint8Array)) return undefined;
  try {
    const { message, details } = google.rpc.Status.decode(bytes);
    const info = details.find((any) => any.type_url === errorInfoType)?.value;
    const bad = details.find((any) => any.type_url === badRequestType)?.value;
    if (info === undefined) return undefined;
    const { reason, domain, metadata: figures } = google.rpc.ErrorInfo.decode(info);
    if (domain !== errorDomain) return undefined;
    const violations = bad === undefined ? [] : google.rpc.BadRequest.decode(bad).fieldViolations;
    return {
      message,
      reason,
      metadata: { ...figures },
      violations: violations.map(({ field, description, reason }) => ({ field, description, reason })),
    };
  } catch {
    return undefined;
  }
}

function encodeDetails(code: status, details: ErrorDetails): Buffer {
  const message = shorten(details.message, textLimit);
  const info = google.rpc.ErrorInfo.encode({
    reason: details.reason,
    domain: errorDomain,
    metadata: boundedMetadata(details.metadata),
  }).finish();
  const encodeWith = (fieldViolations: readonly FieldViolation[]): Uint8Array =>
    google.rpc.Status.encode({
      code,
      message,
      details: [
        { type_url: errorInfoType, value: info },
        ...(fieldViolations.length === 0
          ? []
          : [
              {
                type_url: badRequestType,
                value: google.rpc.BadRequest.encode({ fieldViolations: [...fieldViolations] }).finish(),
              },
            ]),
      ],
    }).finish();
  // A margin for the lengths of the enclosing messages.
  const room = detailsLimit - encodeWith([]).length - badRequestType.length - 32;
  return Buffer.from(encodeWith(fitting(details.violations, room)));
}

/** As many violations as fit into `room` bytes; when some do not, a last entry that counts them. */
function fitting(violations: readonly FieldViolation[], room: number): readonly FieldViolation[] {
  const short = violations.map(({ field, description, reason }) => ({
    field: shorten(field, textLimit),
    description: shorten(description, textLimit),
    reason,
  }));
  const sizes = short.map(sizeOf);
  if (sizes.reduce((sum, size) => sum + size, 0) <= room) return short;
  const forRest = sizeOf(rest(violations.length, violations[0]?.reason ?? ''));
  let used = forRest;
  let count = 0;
  for (const size of sizes) {
    if (used + size > room) break;
    used += size;
    count += 1;
  }
  return [...short.slice(0, count), rest(violations.length - count, short[count]?.reason ?? '')];
}

function rest(count: number, reason: string): FieldViolation {
  return { field: '', description: `and ${count} more`, reason };
}

/** Bytes of a violation within BadRequest, with its tag and length. */
function sizeOf(violation: FieldViolation): number {
  return google.rpc.BadRequest.FieldViolation.encode(violation).finish().length + 4;
}

function boundedMetadata(metadata: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(metadata)
      .slice(0, metadataEntries)
      .map(([key, value]) => [key, shorten(value, metadataTextLimit)]),
  );
}

/** Cuts at a character's border to at most `limit` bytes of UTF-8. */
function shorten(text: string, limit: number): string {
  const whole = text.toWellFormed();
  return cut(whole, limit, (part) => Buffer.byteLength(part));
}

/** The same by percent-encoded length; also makes the text one that can be encoded at all. */
function shortenMessage(text: string): string {
  return cut(text.toWellFormed(), messageLimit, (part) => encodeURI(part).length);
}

function cut(text: string, limit: number, sizeOf: (part: string) => number): string {
  // No character is shorter than one byte, so the rest is not worth measuring.
  const head = text.length > limit ? text.slice(0, limit).toWellFormed() : text;
  if (head.length === text.length && sizeOf(text) <= limit) return text;
  let kept = '';
  let used = 4; // The ellipsis is 3 bytes, 9 when percent-encoded.
  for (const character of head) {
    const size = sizeOf(character);
    if (used + size > limit - 8) break;
    kept += character;
    used += size;
  }
  return `${kept}…`;
}
