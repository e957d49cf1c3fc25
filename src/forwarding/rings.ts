// The rings of a load balancer: one for each pool that load-balancing rules use, however many rules those are.
import type { Map as PersistentMap } from 'immutable';
import { type Family, familyOf } from '../resources/address.ts';
import type { BackendPool, LoadBalancer, Member } from '../resources/model.ts';
import { buildRing, populate, ringSizeFor, slotsOf, sortedById } from './ring.ts';
import { ringKey } from './ring-numbers.ts';
import type { CompiledLoadBalancer, Ring, RingMember } from './table.ts';

export interface CompiledRings {
  readonly rings: ReadonlyMap<string, Ring>;
  readonly populations: ReadonlyMap<string, Uint16Array>;
}

/** Rings by pool name; those that come out the same are the objects of `before`. */
export function compileRings(
  before: CompiledLoadBalancer | undefined,
  loadBalancer: LoadBalancer,
  ringNumbers: PersistentMap<string, number>,
): CompiledRings {
  const rings = new Map<string, Ring>();
  const populations = new Map<string, Uint16Array>();
  const families = new Map(loadBalancer.frontends.map(({ name, address }) => [name, familyOf(address)]));
  const pools = new Map(loadBalancer.backendPools.map((pool) => [pool.name, pool]));
  const earlierPools = new Map(before?.source?.loadBalancer.backendPools.map((pool) => [pool.name, pool]));
  for (const rule of loadBalancer.loadBalancingRules) {
    const pool = pools.get(rule.backendPool);
    const family = families.get(rule.frontend);
    const number = ringNumbers.get(ringKey(loadBalancer.name, rule.backendPool));
    if (pool === undefined || family === undefined || number === undefined || rings.has(pool.name)) continue;
    const earlier = before?.rings.get(pool.name);
    const population = before?.source?.populations.get(pool.name);
    const samePool = earlierPools.get(pool.name) === pool;
    if (samePool && earlier?.number === number && earlier.family === family && population !== undefined) {
      rings.set(pool.name, earlier);
      populations.set(pool.name, population);
      continue;
    }
    const compiled = compileRing(earlier, population, pool, number, family);
    rings.set(pool.name, compiled.ring);
    populations.set(pool.name, compiled.population);
  }
  return { rings, populations };
}

function compileRing(
  earlier: Ring | undefined,
  earlierPopulation: Uint16Array | undefined,
  pool: BackendPool,
  number: number,
  family: Family,
): { readonly ring: Ring; readonly population: Uint16Array } {
  const members = ringMembers(earlier, pool.members);
  const sameShares = earlier !== undefined && alike(members, earlier.members, sameShare);
  const population = sameShares && earlierPopulation !== undefined ? earlierPopulation : populate(members);
  if (earlier === undefined || earlier.number !== number || earlier.family !== family) {
    return { ring: buildRing(number, family, members, population), population };
  }
  if (alike(members, earlier.members, Object.is)) return { ring: earlier, population };
  const sameSlots = sameShares && alike(members, earlier.members, (a, b) => a.eligible === b.eligible);
  const slots = sameSlots ? earlier.slots : slotsOf(members, population);
  return { ring: { ...earlier, size: ringSizeFor(members.length), members, slots }, population };
}

function ringMembers(earlier: Ring | undefined, members: readonly Member[]): readonly RingMember[] {
  const known = new Map(earlier?.members.map((member) => [member.id, member]));
  return sortedById(members).map(({ id, address, weight, adminState }) => {
    const eligible = adminState === 'none' || adminState === 'up';
    const member = { id, address, weight, eligible, keepsUdp: adminState !== 'down' };
    const same = known.get(id);
    return same !== undefined && sameMember(same, member) ? same : member;
  });
}

function sameMember(a: RingMember, b: RingMember): boolean {
  return a.address === b.address && a.eligible === b.eligible && a.keepsUdp === b.keepsUdp && sameShare(a, b);
}

function sameShare(a: RingMember, b: RingMember): boolean {
  return a.id === b.id && a.weight === b.weight;
}

function alike<T>(left: readonly T[], right: readonly T[], same: (a: T, b: T) => boolean): boolean {
  return (
    left.length === right.length &&
    left.every((value, index) => {
      const other = right[index];
      return other !== undefined && same(value, other);
    })
  );
}
