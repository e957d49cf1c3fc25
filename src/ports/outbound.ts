// Ports set aside for what machines begin themselves: who has which, and who may use them.
import { Map as PersistentMap } from 'immutable';
import type { IpAddress, Port } from '../resources/address.ts';

/** Ports of a frontend's address that the connections of one member come from. */
export interface OutboundBlock {
  readonly member: string;
  readonly address: IpAddress;
  /** Inclusive. */
  readonly first: Port;
  readonly last: Port;
  /** Milliseconds since 1970, given by the caller. */
  readonly since: number;
}

/** All that one outbound rule has given out. Unchanged blocks stay the same object. */
export interface OutboundRulePorts {
  /** The pool that the blocks are for; a rule that changes its pool starts anew. */
  readonly backendPool: string;
  /** By member id, in the order of the pool. */
  readonly blocks: ReadonlyMap<string, OutboundBlock>;
}

/** By rule name. */
export type LoadBalancerOutbound = ReadonlyMap<string, OutboundRulePorts>;

export interface OutboundOwner {
  readonly loadBalancer: string;
  readonly rule: string;
  readonly member: string;
}

export interface Outbound {
  /** By load balancer name; one without blocks is absent. */
  readonly ports: PersistentMap<string, LoadBalancerOutbound>;
  /** Which rule the connections of a machine come by, by `sourceKey`: at most one. */
  readonly owners: PersistentMap<string, OutboundOwner>;
}

export const noOutbound: Outbound = { ports: PersistentMap(), owners: PersistentMap() };

/** What a load balancer has that is absent from `Outbound.ports`. */
export const noBlocks: LoadBalancerOutbound = new Map();

export function sizeOf({ first, last }: Pick<OutboundBlock, 'first' | 'last'>): number {
  return last - first + 1;
}

/** What a change does to the blocks. */
export interface OutboundChanges {
  /** Members that have ports of a rule for the first time. */
  readonly assigned: number;
  readonly released: number;
  /** Members whose ports are others than before, or more or less. */
  readonly changed: number;
}
