// The forwarding table: flat, immutable, and all that a data plane ever sees. See ../../CONTRIBUTING.md, "The forwarding table".
import type { Map as PersistentMap } from 'immutable';
import type { LoadBalancerPorts } from '../ports/assignment.ts';
import type { Family, IpAddress, Port, Transport } from '../resources/address.ts';
import type { Floating, LoadBalancer, Member } from '../resources/model.ts';
import type { PoolDrains } from './draining.ts';
import type { FlowLimit, LimitNumbers } from './flow-limits.ts';
import type { PoolHealth } from './health.ts';
import type { Idle } from './idle.ts';

/** Where a client knocks. Port 0 means every port that no more specific endpoint of the address claims. */
export interface Endpoint {
  readonly address: IpAddress;
  readonly transport: Transport;
  readonly port: Port | 0;
}

/** One to one: always the same machine. Port 0 leaves the port as it is. */
export interface NatTarget {
  readonly kind: 'nat';
  readonly address: IpAddress;
  readonly port: Port | 0;
  readonly masquerade: boolean;
  /** Absent: as long as the data plane keeps flows to one machine. */
  readonly idle?: Idle;
  /** `FlowLimit.number` of a limit of the same table. Absent: whoever comes, however many. */
  readonly limit?: number;
}

/** Spread over a ring. Port 0 leaves the port as it is. */
export interface BalancedTarget {
  readonly kind: 'balanced';
  /** `Ring.number` of a ring of the same table. */
  readonly ring: number;
  readonly affinity: Affinity;
  readonly port: Port | 0;
  readonly masquerade: boolean;
  /** Absent: `usualIdleTimeout` for TCP, in silence. */
  readonly idle?: Idle;
  /** As of NAT. */
  readonly limit?: number;
  /** The destination address stays, and no answers come by. The ring is then one with `floating`. */
  readonly floating?: Floating;
}

/** The fields that are hashed to a slot of the ring. */
export type Affinity = 'five-tuple' | 'client-ip' | 'client-ip-protocol';

export type Target = NatTarget | BalancedTarget;

/** One line of the table. Entries are compared by identity: what did not change stays the same object. */
export interface Entry {
  readonly endpoint: Endpoint;
  readonly target: Target;
}

/** Slots of a ring; each a prime, so that every member's permutation visits all slots (Maglev, NSDI 2016, section 3.4). */
export type RingSize = 1021 | 16381 | 65537;

/** A consistent-hashing table of one pool, shared by all entries that agree on who is eligible and who keeps flows. */
export interface Ring {
  /** 1 to 2^24 - 1, see ring-numbers.ts. The kernel keeps its group beside each flow, so it stays for the life of the ring. */
  readonly number: number;
  readonly family: Family;
  readonly size: RingSize;
  /** Every member that may hold flows, whether or not it gets new ones; sorted by member id. */
  readonly members: readonly RingMember[];
  /** Only entries whose destination address stays lead to it. */
  readonly floating?: true;
  /** Index into `members` for each slot; empty when no member is eligible: then new flows are dropped. */
  readonly slots: Uint16Array;
}

export interface RingMember {
  readonly id: string;
  readonly address: IpAddress;
  readonly weight: number;
  /** Gets new flows. */
  readonly eligible: boolean;
  /** Keeps its UDP flows although it gets no new ones. */
  readonly keepsUdp: boolean;
  /** Its drain period has passed: it keeps no flows at all. */
  readonly drained?: true;
}

/** What a machine begins itself leaves from these ports of a frontend's address. Compared by identity, as entries are. */
export interface OutboundEntry {
  readonly machine: IpAddress;
  readonly transport: Transport;
  readonly address: IpAddress;
  /** Inclusive. */
  readonly first: Port;
  readonly last: Port;
}

/** What one load balancer compiles to. */
export interface CompiledLoadBalancer {
  /** By rule name prefixed with its kind (`nat/NAME`, `lb/NAME`); inside by `endpointKey`. */
  readonly rules: ReadonlyMap<string, CompiledRule>;
  /** By `ringName`: only pools that a load-balancing rule uses, one ring for all its rules that agree, see there. */
  readonly rings: ReadonlyMap<string, Ring>;
  /** By name of the rule, as in `rules`. */
  readonly limits: ReadonlyMap<string, FlowLimit>;
  /** By `sourceKey`: no two load balancers have the same. Absent: none. */
  readonly outbound?: ReadonlyMap<string, OutboundEntry>;
  /** Frontend addresses that the host itself shall hold. */
  readonly localAddresses: ReadonlySet<IpAddress>;
  /** What it was compiled from, so that the next compilation can tell what changed; absent: compile all of it. */
  readonly source?: CompiledFrom;
}

export interface CompiledFrom {
  readonly loadBalancer: LoadBalancer;
  readonly ports: LoadBalancerPorts;
  /** By pool name. */
  readonly populations: ReadonlyMap<string, Population>;
  /** What the rings of probed rules stand on, by `ringName`. */
  readonly health: ReadonlyMap<string, PoolHealth>;
  /** By pool name. */
  readonly refused: ReadonlyMap<string, Refused>;
  /** By pool name; only pools of which somebody drains. */
  readonly drains: ReadonlyMap<string, PoolDrains>;
}

/** Who would have which slot of a pool's ring if all members were eligible. */
export interface Population {
  /** Sorted by id. */
  readonly members: readonly Member[];
  readonly slots: Uint16Array;
}

/** Machines that refusing inbound NAT rules do not lead to, and what says so. */
export interface Refused {
  readonly health: readonly PoolHealth[];
  readonly machines: ReadonlySet<IpAddress>;
}

export interface CompiledRule {
  readonly entries: ReadonlyMap<string, Entry>;
}

export interface ForwardingTable {
  readonly loadBalancers: PersistentMap<string, CompiledLoadBalancer>;
  /**
   * Addresses of all machines that entries lead to (they may need hairpin treatment), and how many entries and places in
   * rings lead to each; at least 1.
   */
  readonly backends: PersistentMap<IpAddress, number>;
  /** How many load balancers want each address on the host. */
  readonly localAddresses: PersistentMap<IpAddress, number>;
  /** `Ring.number` of each ring, by `LOAD_BALANCER/RING` with its `ringName`; to be kept over restarts. */
  readonly ringNumbers: PersistentMap<string, number>;
  /** `FlowLimit.number` of each limit; to be kept over restarts. */
  readonly limitNumbers: LimitNumbers;
}

/** The key of an endpoint: `203.0.113.1/tcp/500`. */
export function endpointKey(endpoint: Endpoint): string {
  return `${endpoint.address}/${endpoint.transport}/${endpoint.port}`;
}
