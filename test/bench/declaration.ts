// The configurations that benches load: pools with one inbound NAT rule each, at addresses that follow from numbers.

import type { Message } from '../../src/wire/client.ts';
import { penstock } from '../../src/wire/generated/proto.js';

const { Protocol, AddressOwnership } = penstock.v1;

export interface PoolPlan {
  /** Of its rule's frontend address; each pool has its own. */
  readonly number: number;
  readonly members: number;
  /** Also spread flows to port 443 over the pool. Default false. */
  readonly balanced?: boolean;
  /** Default UDP, which one packet is enough to open a flow of. */
  readonly protocol?: 'tcp' | 'udp';
}

/** The first frontend port of every pool. */
export const firstPort = 10_000;
/** Where members that are added later have their place. */
export const spare = 200;

export const backendPort = 5300;

/** From 203.0.113.0/24, then from 198.18.0.0/15, which no lab has anything at. */
export function frontendAddress(pool: number): string {
  return pool < 250 ? `203.0.113.${pool + 1}` : `198.18.${pool >> 8}.${pool & 0xff}`;
}

/** From 10.64.0.0/10: each machine of each pool has an address of its own. */
export function memberAddress(pool: number, member: number): string {
  const number = pool * 8192 + member;
  if (number >= 2 ** 22) throw new RangeError(`no address for member ${member} of pool ${pool}`);
  return `10.${64 + (number >> 16)}.${(number >> 8) & 0xff}.${number & 0xff}`;
}

export function member(pool: number, number: number): Message<'Member'> {
  return { id: `m${number}`, address: memberAddress(pool, number) };
}

export function poolName(pool: number): string {
  return `pool-${pool}`;
}

export function loadBalancer(name: string, pools: readonly PoolPlan[]): Message<'LoadBalancer'> {
  return {
    name,
    frontends: pools.map(({ number }) => ({
      name: `front-${number}`,
      address: frontendAddress(number),
      addressOwnership: AddressOwnership.ADDRESS_OWNERSHIP_EXTERNAL,
    })),
    backendPools: pools.map(({ number, members }) => ({
      name: poolName(number),
      members: Array.from({ length: members }, (_, index) => member(number, index)),
    })),
    inboundNatRules: pools.map(({ number, members, protocol = 'udp' }) => ({
      name: `nat-${number}`,
      frontend: `front-${number}`,
      protocol: protocol === 'udp' ? Protocol.PROTOCOL_UDP : Protocol.PROTOCOL_TCP,
      backendPort,
      pool: {
        backendPool: poolName(number),
        frontendPortRangeStart: firstPort,
        maximumMachines: members + spare,
      },
    })),
    loadBalancingRules: pools
      .filter(({ balanced }) => balanced === true)
      .map(({ number }) => ({
        name: `lb-${number}`,
        frontend: `front-${number}`,
        protocol: Protocol.PROTOCOL_TCP,
        frontendPort: 443,
        backendPort: 443,
        backendPool: poolName(number),
      })),
  };
}

/** One load balancer with one pool of 1,000 each, as so many tenants would have; the last pool takes the rest. */
export function tenants(mappings: number, firstPool = 0): readonly Message<'LoadBalancer'>[] {
  return Array.from({ length: Math.ceil(mappings / 1000) }, (_, index) => {
    const number = firstPool + index;
    return loadBalancer(`tenant-${number}`, [{ number, members: Math.min(1000, mappings - index * 1000) }]);
  });
}

/** As a stream of ReplaceAll, a load balancer a chunk. */
export function chunksOf(loadBalancers: readonly Message<'LoadBalancer'>[]): Message<'ReplaceAllRequest'>[] {
  return [...loadBalancers.map((each) => ({ loadBalancers: [each] })), { commit: {} }];
}
