// Which frontend port is which machine: the answer to the product's main question.
import type { IpAddress, Port, RuleProtocol } from '../resources/address.ts';

/** One frontend port of an inbound NAT rule and the machine behind it. */
export interface Mapping {
  readonly loadBalancer: string;
  readonly rule: string;
  readonly frontendAddress: IpAddress;
  readonly protocol: RuleProtocol;
  /** 0: every port. */
  readonly frontendPort: Port | 0;
  /** Name of the pool; empty for a plain address. */
  readonly backendPool: string;
  /** Member id; empty for a plain address. */
  readonly member: string;
  readonly backendAddress: IpAddress;
  readonly backendPort: Port | 0;
  readonly masquerade: boolean;
  /** Milliseconds since 1970 when this member (or address) got this port. */
  readonly since: number;
}

/** What a change does to the mappings. */
export interface MappingChanges {
  readonly assigned: readonly Mapping[];
  readonly released: readonly Mapping[];
  /** The same rule and machine with another frontend port or another backend address or port. */
  readonly remapped: readonly { readonly before: Mapping; readonly after: Mapping }[];
}

/** How full a pool rule's range is; in machines, except for ports. */
export interface RangeUsage {
  readonly loadBalancer: string;
  readonly rule: string;
  readonly backendPool: string;
  readonly rangeStart: Port;
  readonly rangeEnd: Port;
  readonly portsPerMember: number;
  readonly capacity: number;
  readonly used: number;
  readonly free: number;
  /** First port that the next new machine gets; 0 when the range is full. */
  readonly nextPort: Port | 0;
}
