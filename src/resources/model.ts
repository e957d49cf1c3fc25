// What is declared, after validation: immutable, complete (every default filled in), references checked.
import type { Map as PersistentMap } from 'immutable';
import type { IpAddress, Port, RuleProtocol } from './address.ts';

/** One tenant's set of frontends, pools and rules; the unit that is put and deleted. */
export interface LoadBalancer {
  readonly name: string;
  readonly frontends: readonly Frontend[];
  readonly backendPools: readonly BackendPool[];
  readonly inboundNatRules: readonly InboundNatRule[];
  readonly loadBalancingRules: readonly LoadBalancingRule[];
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

/** `none` and `up`: gets new flows. `down`: none, TCP flows go on, UDP flows move. `drain`: none, all flows go on. */
export type AdminState = 'none' | 'up' | 'down' | 'drain';

export interface FlowOptions {
  /** `masquerade`: the member sees the gateway's address instead of the client's. */
  readonly sourceNat: 'none' | 'masquerade';
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
}

/** Spreads the flows to a frontend port over a pool. */
export interface LoadBalancingRule {
  readonly name: string;
  readonly frontend: string;
  readonly protocol: RuleProtocol;
  /** 0 together with `backendPort` 0 and protocol `all`: every port. */
  readonly frontendPort: Port | 0;
  readonly backendPort: Port | 0;
  readonly backendPool: string;
  readonly sessionPersistence: SessionPersistence;
  readonly flow: FlowOptions;
}

/** Which fields of a flow choose the member: five-tuple; both addresses; both addresses and the protocol. */
export type SessionPersistence = 'none' | 'client-ip' | 'client-ip-protocol';

/** All that a gateway has been told, by load balancer name. */
export type Configuration = PersistentMap<string, LoadBalancer>;
