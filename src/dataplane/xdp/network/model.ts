// The host's network as rtnetlink tells it, as far as forwarding in the driver's receive path needs it.
import type { Family, IpAddress } from '../../../resources/address.ts';

export interface Link {
  readonly index: number;
  readonly name: string;
  /** As in `02:00:00:00:00:01`; absent where there are no MAC addresses. */
  readonly mac?: string;
  /** In bytes, without the Ethernet header. */
  readonly mtu: number;
  readonly ethernet: boolean;
  readonly loopback: boolean;
  /** What rtnetlink calls a virtual device (`veth`, `vlan`, `bridge`, `bond`, …); absent for a network card. */
  readonly kind?: string;
  /** Switched on (IFF_UP); says nothing about the cable. */
  readonly up: boolean;
  /** RFC 2863 state: 6 is up, 2 is down, 0 unknown. */
  readonly operationalState: number;
  /** Index of the bridge or bond whose port it is. */
  readonly master?: number;
  /** Index of the device that it sits on; absent where that is in another network namespace. */
  readonly parent?: number;
  /** The other end of a veth; by the number under which this network knows the namespace, absent for the same one. */
  readonly peer?: { readonly index: number; readonly namespace?: number };
  readonly vlan?: { readonly protocol: number; readonly id: number };
  /** How XDP runs here. `several` is native and generic at once. */
  readonly xdp: 'none' | 'native' | 'generic' | 'offloaded' | 'several';
  /** Id of the XDP program. */
  readonly xdpProgram?: number;
}

export interface InterfaceAddress {
  readonly link: number;
  readonly address: IpAddress;
  readonly length: number;
}

export type RouteType = 'unicast' | 'local' | 'other';

export interface Route {
  readonly family: Family;
  readonly table: number;
  readonly type: RouteType;
  readonly destination: IpAddress;
  readonly length: number;
  /** Lower is better. */
  readonly metric: number;
  /** Index of the interface; absent where there is none, or several. */
  readonly link?: number;
  /** Of the same family as the route. */
  readonly gateway?: IpAddress;
  readonly preferredSource?: IpAddress;
  /** Several next hops, or next hops that are not told. */
  readonly multipath: boolean;
  /** Goes by more than the destination: the type of service, or the source. */
  readonly selective: boolean;
  /** Encapsulation, or a gateway of the other family. */
  readonly unusual: boolean;
  /** Not used for the time being. */
  readonly dead: boolean;
  /** No carrier; whether it is used depends on a setting. */
  readonly doubtful: boolean;
}

export interface Rule {
  readonly family: Family;
  readonly priority: number;
  readonly table: number;
  /** Looks a packet up in the table whatever the packet is. */
  readonly unconditional: boolean;
}

export type NeighbourState =
  | 'incomplete'
  | 'reachable'
  | 'stale'
  | 'delay'
  | 'probe'
  | 'failed'
  | 'fixed'
  | 'none';

export interface Neighbour {
  readonly link: number;
  readonly address: IpAddress;
  /** `fixed`: permanent, or of an interface without resolution. */
  readonly state: NeighbourState;
}

/** What a driver can do (enum netdev_xdp_act). */
export interface DriverFeatures {
  /** Takes redirected frames. */
  readonly sends: boolean;
  /** Also those of more than one page. */
  readonly sendsLarge: boolean;
  /** Why it is taken not to send, where the kernel does not tell. */
  readonly doubt?: string;
}

/** By interface index. */
export type XdpFeatures = ReadonlyMap<number, DriverFeatures>;

/** One reading of everything but neighbours. */
export interface Network {
  readonly links: readonly Link[];
  readonly addresses: readonly InterfaceAddress[];
  readonly rules: readonly Rule[];
  readonly routes: readonly Route[];
  /** There are more routes than are read: the list above is a part. */
  readonly routesCut: boolean;
  readonly features: XdpFeatures;
  /** The kernel does not tell the features (before 6.3): they are deduced from drivers and peers. */
  readonly deduced: boolean;
}

export const table = { default: 253, main: 254, local: 255 } as const;
