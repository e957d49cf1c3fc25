// What is declared, after validation: immutable, complete (every default filled in), references checked.
import type { Map as PersistentMap } from 'immutable';
import type { IpAddress, Port, RuleProtocol } from './address.ts';
import type { ClientRange } from './client-range.ts';

/** One tenant's set of frontends, pools and rules; the unit that is put and deleted. */
export interface LoadBalancer {
  readonly name: string;
  readonly frontends: readonly Frontend[];
  readonly backendPools: readonly BackendPool[];
  readonly probes: readonly Probe[];
  readonly inboundNatRules: readonly InboundNatRule[];
  readonly loadBalancingRules: readonly LoadBalancingRule[];
  readonly outboundRules: readonly OutboundRule[];
}

export interface Frontend {
  readonly name: string;
  readonly address: IpAddress;
  /** `local`: the agent puts the address on the host. `external`: routing brings the packets. */
  readonly addressOwnership: 'local' | 'external';
}

export interface BackendPool {
  readonly name: string;
  /** In the order of the request; ports are assigned in this order. Ids and addresses are unique in a pool. */
  readonly members: readonly Member[];
}

export interface Member {
  /** Stable identity; frontend ports follow it. */
  readonly id: string;
  readonly address: IpAddress;
  /** Share of new flows relative to the others, 1 to 1000. */
  readonly weight: number;
  readonly adminState: AdminState;
  /** Wished first frontend port, by inbound NAT rule name. */
  readonly pins: Readonly<Record<string, Port>>;
}

/** `none`: gets new flows as probed. `up`: gets new flows. `down`: none, TCP flows go on, UDP flows move. `drain`: none, all flows go on. */
export type AdminState = 'none' | 'up' | 'down' | 'drain';

/** How to find out whether a machine is well; what for is said by the rules that name it. */
export interface Probe {
  readonly name: string;
  /** `tcp`: connects. `http` and `https`: GET of `path`, which must be answered with status 200. */
  readonly protocol: ProbeProtocol;
  readonly port: Port;
  /** Begins with `/`; empty for `tcp`. */
  readonly path: string;
  /** Milliseconds from the begin of one to the begin of the next. */
  readonly interval: number;
  /** Milliseconds until a probe without an answer has failed; at most `interval`. */
  readonly timeout: number;
  /** Consecutive answers that change the verdict, both ways; at least 1. */
  readonly threshold: number;
  /** `https`: the certificate must be valid, for the machine's address, by an authority that the host trusts. */
  readonly verifyCertificate: boolean;
}

export type ProbeProtocol = 'tcp' | 'http' | 'https';

export interface FlowOptions {
  /** `masquerade`: the member sees the gateway's address instead of the client's. */
  readonly sourceNat: 'none' | 'masquerade';
  /** Whole seconds without a packet after which a flow is over. Absent: what is usual, see `idleOf`. */
  readonly idleTimeout?: number;
  /** Then both ends of an established TCP connection get an RST. */
  readonly tcpReset?: true;
  /** The destination address stays the frontend's; the member holds it, and answers the client past the gateway. */
  readonly floating?: Floating;
}

/** How a packet whose destination stays gets to the member: `neighbour` by its MAC address, `ipip` within another packet. */
export type Floating = 'neighbour' | 'ipip';

/** Who may begin flows through a rule, and how many over all its ports; at least one of the three. */
export interface FlowLimits {
  /** As declared, of the frontend's family; they may overlap. Empty: everybody. */
  readonly allowedClients: readonly ClientRange[];
  readonly newFlows?: NewFlowLimit;
  readonly concurrentFlows?: number;
}

export interface NewFlowLimit {
  readonly perSecond: number;
  /** How many may come at once after a pause. */
  readonly burst: number;
}

/** Forwards a frontend port to one machine, or a range of ports to the machines of a pool. */
export type InboundNatRule = SingleTargetRule | PoolRule;

export interface SingleTargetRule {
  readonly kind: 'single';
  readonly name: string;
  readonly frontend: string;
  readonly protocol: RuleProtocol;
  /** 0 together with `backendPort` 0 and protocol `all`: every port. */
  readonly frontendPort: Port | 0;
  readonly backendPort: Port | 0;
  readonly target: SingleTarget;
  readonly flow: FlowOptions;
  readonly whenUnhealthy: WhenUnhealthy;
  readonly limits?: FlowLimits;
}

/** `none`: the port is set aside and nothing is forwarded. */
export type SingleTarget =
  | { readonly kind: 'none' }
  | { readonly kind: 'address'; readonly address: IpAddress }
  | { readonly kind: 'member'; readonly backendPool: string; readonly id: string };

export interface PoolRule {
  readonly kind: 'pool';
  readonly name: string;
  readonly frontend: string;
  readonly protocol: RuleProtocol;
  readonly backendPool: string;
  /** Inclusive. */
  readonly rangeStart: Port;
  readonly rangeEnd: Port;
  readonly portsPerMember: number;
  /** The first backend port of each member. */
  readonly backendPort: Port;
  readonly flow: FlowOptions;
  readonly whenUnhealthy: WhenUnhealthy;
  readonly limits?: FlowLimits;
}

/** `refuse`: nothing leads to a machine that all probes of its pool find down. Its admin state does not count. */
export type WhenUnhealthy = 'forward' | 'refuse';

/** Spreads the flows to a frontend port over a pool. */
export interface LoadBalancingRule {
  readonly name: string;
  readonly frontend: string;
  readonly protocol: RuleProtocol;
  /** 0 together with `backendPort` 0 and protocol `all`: every port. */
  readonly frontendPort: Port | 0;
  readonly backendPort: Port | 0;
  readonly backendPool: string;
  /** Empty: no probe, every member is well. */
  readonly probe: string;
  readonly sessionPersistence: SessionPersistence;
  readonly noHealthyBackends: NoHealthyBackends;
  readonly flow: FlowOptions;
  /** Milliseconds that the flows of a member may go on from when it began to drain. Absent: until they end by themselves. */
  readonly drainPeriod?: number;
  readonly limits?: FlowLimits;
}

/** Which fields of a flow choose the member: five-tuple; both addresses; both addresses and the protocol. */
export type SessionPersistence = 'none' | 'client-ip' | 'client-ip-protocol';

/** Where the probe finds no member up: `down`: nobody gets new flows. `up`: all whom the probe decides about get them. */
export type NoHealthyBackends = 'down' | 'up';

/** Lets the machines of a pool reach out from a frontend's address, each with ports of its own. */
export interface OutboundRule {
  readonly name: string;
  /** At least one, each once; all of one address family. */
  readonly frontends: readonly string[];
  readonly protocol: RuleProtocol;
  readonly backendPool: string;
  /** A multiple of 8, at most 64,000; 0: as many as suits the pool's size. */
  readonly portsPerMember: number;
}

/** All that a gateway has been told, by load balancer name. */
export type Configuration = PersistentMap<string, LoadBalancer>;
