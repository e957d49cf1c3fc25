// The difference between two forwarding tables: what a data plane commits as one transaction.
import type { IpAddress, Port } from '../resources/address.ts';
import type { ClientRange } from '../resources/client-range.ts';
import type { FlowLimit } from './flow-limits.ts';
import type { Endpoint, Entry, OutboundEntry, Ring } from './table.ts';

export interface Change {
  readonly added: readonly Entry[];
  readonly removed: readonly Entry[];
  /** The same endpoint with another target. */
  readonly replaced: readonly { readonly before: Entry; readonly after: Entry }[];
  readonly rings: readonly RingChange[];
  readonly limits: readonly LimitChange[];
  /** Absent: none. */
  readonly outbound?: readonly OutboundChange[];
  readonly backendsAdded: readonly IpAddress[];
  readonly backendsRemoved: readonly IpAddress[];
  readonly localAddressesAdded: readonly IpAddress[];
  readonly localAddressesRemoved: readonly IpAddress[];
  /** Established flows that end in the same commit. */
  readonly ending: readonly FlowSelector[];
}

/** A ring that appears (`before` absent), goes (`after` absent) or changes; the number is the same on both sides. */
export type RingChange =
  | { readonly before?: undefined; readonly after: Ring }
  | { readonly before: Ring; readonly after?: undefined }
  | { readonly before: Ring; readonly after: Ring };

/** An outbound entry that appears, goes or changes; machine and transport are the same on both sides. */
export type OutboundChange =
  | { readonly before?: undefined; readonly after: OutboundEntry }
  | { readonly before: OutboundEntry; readonly after?: undefined }
  | { readonly before: OutboundEntry; readonly after: OutboundEntry };

/** A limit that appears, goes or changes; the number is the same on both sides. */
export type LimitChange =
  | { readonly before?: undefined; readonly after: FlowLimit }
  | { readonly before: FlowLimit; readonly after?: undefined }
  | { readonly before: FlowLimit; readonly after: FlowLimit };

/** Which established flows end. */
export type FlowSelector =
  /** All flows through an endpoint to one backend. */
  | { readonly kind: 'nat'; readonly endpoint: Endpoint; readonly backend: IpAddress }
  /** All flows through an endpoint. */
  | { readonly kind: 'endpoint'; readonly endpoint: Endpoint }
  /** All flows, or the UDP ones only, that go to one member of a ring. */
  | {
      readonly kind: 'ring-member';
      readonly ring: number;
      /** They come to `ring` from this other one of the same pool with the very change. */
      readonly from?: number;
      readonly backend: IpAddress;
      /** Those through these endpoints; absent where all flows of the pool (`groupOf`) to that machine are meant. */
      readonly endpoints?: readonly Endpoint[];
      readonly udpOnly: boolean;
      /** Both ends of established TCP connections get an RST. */
      readonly reset?: true;
    }
  /** Flows of an outbound entry, as far as they have one of these ports (inclusive). */
  | {
      readonly kind: 'outbound';
      readonly entry: OutboundEntry;
      readonly first: Port;
      readonly last: Port;
    }
  /** Flows through any of a rule's entries whose client is in none of the ranges. */
  | {
      readonly kind: 'clients';
      readonly entries: ReadonlyMap<string, Entry>;
      readonly allowed: readonly ClientRange[];
    };

/** True when committing the change would do nothing. */
export function isEmpty(change: Change): boolean {
  return (
    change.added.length +
      change.removed.length +
      change.replaced.length +
      change.rings.length +
      change.limits.length +
      (change.outbound?.length ?? 0) +
      change.backendsAdded.length +
      change.backendsRemoved.length +
      change.localAddressesAdded.length +
      change.localAddressesRemoved.length +
      change.ending.length ===
    0
  );
}
