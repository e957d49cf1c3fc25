// What the gateway offers to the API: plain data in, plain data out; every refusal is a `Refusal`.
import type { Counters, Finding, PlaneReport, Refusals } from '../dataplane/dataplane.ts';
import type { LiveFlow } from '../dataplane/live-flow.ts';
import type { RingMember } from '../forwarding/table.ts';
import type { Mapping, MappingChanges, RangeUsage } from '../ports/mapping.ts';
import type { ChangeSetDraft, LoadBalancerDraft } from '../resources/draft.ts';
import type { Configuration, LoadBalancer } from '../resources/model.ts';
import type { HealthFilter, MemberHealth } from './member-health.ts';
import type { OutboundMember } from './outbound-members.ts';

export interface GatewayContract {
  /** One transaction: durable and in the kernel when it resolves; nothing has changed when it rejects. */
  apply(changes: ChangeSetDraft, options?: ChangeOptions): Promise<Applied>;
  /** The same for the whole configuration: what is not named goes. */
  replaceAll(loadBalancers: readonly LoadBalancerDraft[], options?: ChangeOptions): Promise<Applied>;
  /** The present revision and all that is declared, consistent with each other. */
  snapshot(): Snapshot;
  status(): Promise<Status>;
  /** Reads the kernel's counters for mappings of a snapshot; absent where the kernel does not run one. */
  mappingCounters(mappings: readonly Mapping[]): Promise<ReadonlyMap<Mapping, Counters>>;
  /** Counters of all load-balancing rules of a load balancer, by rule name. */
  ruleCounters(loadBalancer: LoadBalancer): Promise<ReadonlyMap<string, Counters>>;
  /** What its rules with limits have refused. */
  limitRefusals(loadBalancer: LoadBalancer): Promise<readonly LimitRefusals[]>;
  /** Counters of the members of its pools, as far as the data plane counts them. */
  memberCounters(loadBalancer: LoadBalancer): Promise<readonly MemberCounters[]>;
  /** Which ports the members of outbound rules have, and how many of them are in use now. */
  outboundPorts(filter: OutboundFilter): Promise<readonly OutboundMember[]>;
  /** Live flows that a filter selects, at most `most` of them. */
  flows(filter: FlowFilter, most: number): Promise<RuleFlows>;
  /**
   * Events after `afterRevision` (0: from now on), until `signal` aborts. Throws REVISION_UNAVAILABLE where the events
   * since then are no longer kept or the gateway was never there, READER_TOO_SLOW where the reader falls behind too far.
   */
  watch(afterRevision: number, signal: AbortSignal): AsyncIterable<GatewayEvent>;
}

export interface ChangeOptions {
  /** When not 0, the change is refused with STALE_REVISION unless this is the current revision. */
  readonly expectedRevision?: number;
  /** Run every check, return the plan, change nothing. */
  readonly validateOnly?: boolean;
  /** A repeat with the same id returns the first answer. */
  readonly requestId?: string;
  /** Let a range shrink or move although live mappings fall outside. */
  readonly allowRemap?: boolean;
}

export interface Applied {
  /** The revision that the gateway runs after the change (before it, for `validateOnly`). */
  readonly revision: number;
  readonly plan: Plan;
}

/** What a change does. */
export interface Plan extends MappingChanges {
  /** All of them; the lists hold at most 10,000 mappings together, remapped ones first. */
  readonly assignedTotal: number;
  readonly releasedTotal: number;
  readonly remappedTotal: number;
  readonly entriesAdded: number;
  readonly entriesReplaced: number;
  readonly entriesDeleted: number;
  /** Pools whose ring changes: new flows are spread anew. */
  readonly poolsRebalanced: number;
  /** Members that get, lose or change the ports of an outbound rule. */
  readonly outboundAssigned: number;
  readonly outboundReleased: number;
  readonly outboundChanged: number;
  /** Milliseconds. */
  readonly commitTime: number;
}

export interface Snapshot {
  readonly revision: number;
  readonly configuration: Configuration;
  /** Mappings that a filter selects, by load balancer, then in the order of rule and port; made as they are read. */
  mappings(filter?: MappingFilter): Iterable<Mapping>;
  ranges(filter?: MappingFilter): Iterable<RangeUsage>;
  /** Of probed rules, and of others those whose drain ends; by load balancer, then in the order of rules and members. */
  memberHealth(filter?: HealthFilter): Iterable<MemberHealth>;
}

/** Each field that is set narrows the answer. */
export interface MappingFilter {
  readonly loadBalancer?: string;
  readonly rule?: string;
  readonly backendPool?: string;
  readonly member?: string;
  readonly memberAddress?: string;
  readonly frontendAddress?: string;
  readonly frontendPort?: number;
}

/** Each field that is set narrows the answer. */
export interface FlowFilter {
  readonly loadBalancer?: string;
  readonly rule?: string;
  readonly backendPool?: string;
  readonly member?: string;
  readonly memberAddress?: string;
  readonly frontendAddress?: string;
  readonly frontendPort?: number;
  readonly peerAddress?: string;
}

/** Each field that is set narrows the answer. */
export interface OutboundFilter {
  readonly loadBalancer?: string;
  readonly rule?: string;
  readonly member?: string;
  readonly memberAddress?: string;
  readonly frontendAddress?: string;
}

/** A live flow with the rule that it came by. */
export interface RuleFlow extends LiveFlow {
  readonly loadBalancer: string;
  readonly rule: string;
  /** Empty for a plain address; so is `member`. */
  readonly backendPool: string;
  readonly member: string;
}

export interface RuleFlows {
  readonly flows: readonly RuleFlow[];
  /** There are more. */
  readonly more: boolean;
}

export interface LimitRefusals {
  readonly kind: 'inbound-nat' | 'load-balancing';
  readonly rule: string;
  readonly refusals: Refusals;
}

/** What a member has got through the load-balancing rules of its pool, since it has its address. */
export interface MemberCounters {
  readonly backendPool: string;
  readonly member: Pick<RingMember, 'id' | 'address'>;
  readonly counters: Counters;
}

export interface Status {
  readonly version: string;
  readonly revision: number;
  readonly dataPlane: 'nftables' | 'xdp' | 'fake';
  readonly dataPlaneVersion: string;
  readonly dataPlaneRevision: number;
  readonly loadBalancers: number;
  readonly mappings: number;
  readonly members: number;
  readonly inboundNatRules: number;
  readonly loadBalancingRules: number;
  readonly outboundRules: number;
  /** Milliseconds since 1970. */
  readonly started: number;
  readonly warnings: readonly Finding[];
  readonly hostSettings: readonly {
    readonly name: string;
    readonly value: string;
    readonly valueBefore: string;
  }[];
  readonly hostAddresses: readonly {
    readonly address: string;
    readonly interface: string;
    readonly added: boolean;
  }[];
  readonly plane: PlaneReport;
  /** Absent where nothing is probed. */
  readonly probes?: ProbeFigures;
}

/** How many targets there are of each kind, and how probing fares. */
export interface ProbeFigures {
  readonly targets: number;
  readonly up: number;
  readonly down: number;
  readonly unknown: number;
  /** Among those that are down. */
  readonly flapping: number;
  /** Milliseconds by which probes began late, at most, in the last few seconds. */
  readonly lateness: number;
}

export type GatewayEvent = {
  readonly revision: number;
  /** Milliseconds since 1970. */
  readonly time: number;
} & (
  | { readonly kind: 'applied'; readonly plan: Plan }
  | { readonly kind: 'warning'; readonly warning: Finding }
  /** Of no revision of its own, and not kept. May be many: one for each rule and member; made as they are read. */
  | { readonly kind: 'health'; readonly members: Iterable<MemberHealth> }
  /** A member's ports have reached another level. Of no revision, and not kept. */
  | { readonly kind: 'outbound'; readonly member: OutboundMember }
);
