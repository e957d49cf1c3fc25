// Which machine has which frontend port: the allocator's input and output.
import type { Map as PersistentMap } from 'immutable';
import type { Port } from '../resources/address.ts';

/** A member's first frontend port under one rule; it holds `portsPerMember` ports from there on. */
export interface PortAssignment {
  readonly member: string;
  readonly port: Port;
  /** Milliseconds since 1970, given by the caller. */
  readonly since: number;
}

/** All that one pool rule has given out. Replaced as a whole; unchanged assignments stay the same object. */
export interface RulePorts {
  /** The pool that the assignments are for; a rule that changes its pool starts anew. */
  readonly backendPool: string;
  /** By member id, in the order of the pool. */
  readonly assigned: ReadonlyMap<string, PortAssignment>;
  /** Who had a free port last (first port → member id), so that a member that returns gets it back. */
  readonly former: ReadonlyMap<Port, string>;
}

/** By rule name. */
export type LoadBalancerPorts = ReadonlyMap<string, RulePorts>;

/** By load balancer name. */
export type Ports = PersistentMap<string, LoadBalancerPorts>;
