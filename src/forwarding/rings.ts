// The rings of a load balancer: one for each pool and probe that load-balancing rules use, however many rules those are.
import type { Map as PersistentMap } from 'immutable';
import { type Family, familyOf } from '../resources/address.ts';
import type { BackendPool, LoadBalancer, LoadBalancingRule, Member } from '../resources/model.ts';
import type { DrainsOf, PoolDrains } from './draining.ts';
import type { HealthOf, PoolHealth } from './health.ts';
import { buildRing, populate, ringSizeFor, slotsOf, sortedById } from './ring.ts';
import { ringName } from './ring-names.ts';
import { ringKey } from './ring-numbers.ts';
import type { CompiledFrom, CompiledLoadBalancer, Population, Ring, RingMember } from './table.ts';

export interface CompiledRings extends Pick<CompiledFrom, 'populations' | 'health' | 'drains'> {
  readonly rings: ReadonlyMap<string, Ring>;
}

/** Rings by `ringName`; those that come out the same are the objects of `before`. */
export function compileRings(
  before: CompiledLoadBalancer | undefined,
  loadBalancer: LoadBalancer,
  ringNumbers: PersistentMap<string, number>,
  healthOf: HealthOf,
  drainsOf: DrainsOf,
): CompiledRings {
  const rings = new Map<string, Ring>();
  const populations = new Map<string, Population>();
  const health = new Map<string, PoolHealth>();
  const drains = new Map<string, PoolDrains>();
  const families = new Map(loadBalancer.frontends.map(({ name, address }) => [name, familyOf(address)]));
  const pools = new Map(loadBalancer.backendPools.map((pool) => [pool.name, pool]));
  const earlierPools = new Map(before?.source?.loadBalancer.backendPools.map((pool) => [pool.name, pool]));
  const earlierNames = ringNamesByNumber(before);
  for (const rule of loadBalancer.loadBalancingRules) {
    const name = ringName(rule);
    const pool = pools.get(rule.backendPool);
    const family = families.get(rule.frontend);
    const number = ringNumbers.get(ringKey(loadBalancer.name, name));
    if (pool === undefined || family === undefined || number === undefined || rings.has(name)) continue;
    const known = rule.probe === '' ? undefined : healthOf(loadBalancer.name, pool.name, rule.probe);
    if (known !== undefined) health.set(name, known);
    const draining = drainsOf(loadBalancer.name, pool.name);
    if (draining !== undefined) drains.set(pool.name, draining);
    const earlier = before?.rings.get(earlierNames.get(number) ?? name);
    const samePool = earlierPools.get(pool.name) === pool;
    const earlierPopulation = before?.source?.populations.get(pool.name);
    const population =
      populations.get(pool.name) ??
      (samePool && earlierPopulation !== undefined
        ? earlierPopulation
        : populationOf(pool, earlierPopulation));
    populations.set(pool.name, population);
    const sameHealth = before?.rings.has(name) === true && before.source?.health.get(name) === known;
    const sameDrains = before?.source?.drains.get(pool.name) === draining;
    const same = samePool && sameHealth && sameDrains;
    const asBefore = same && earlier?.number === number && earlier.family === family;
    const members = asBefore ? [] : ringMembers(earlier, population, rule, known, draining);
    rings.set(name, asBefore ? earlier : compileRing(earlier, population, members, number, family, rule));
  }
  return { rings, populations, health, drains };
}

/** A ring may have got another name, with the number and all that is known of it. */
function ringNamesByNumber(before: CompiledLoadBalancer | undefined): ReadonlyMap<number, string> {
  return new Map(Array.from(before?.rings ?? [], ([name, ring]) => [ring.number, name]));
}

function populationOf(pool: BackendPool, earlier: Population | undefined): Population {
  const members = sortedById(pool.members);
  const sameShares = earlier !== undefined && alike(members, earlier.members, sameShare);
  return { members, slots: sameShares ? earlier.slots : populate(members) };
}

function compileRing(
  earlier: Ring | undefined,
  population: Population,
  members: readonly RingMember[],
  number: number,
  family: Family,
  { flow }: LoadBalancingRule,
): Ring {
  const slots = members.length === 0 ? noSlots : population.slots;
  const floating = flow.floating === undefined ? undefined : true;
  if (earlier?.number !== number || earlier.family !== family || earlier.floating !== floating) {
    const ring = buildRing(number, family, members, slots);
    return floating ? { ...ring, floating } : ring;
  }
  if (alike(members, earlier.members, Object.is)) return earlier;
  const sameShares = alike(members, earlier.members, (a, b) => sameShare(a, b) && a.eligible === b.eligible);
  return {
    ...earlier,
    size: ringSizeFor(members.length),
    members,
    slots: sameShares ? earlier.slots : slotsOf(members, slots),
  };
}

const noSlots = new Uint16Array();

/**
 * Who may hold flows. Where the probe finds nobody up, and the rule does not turn to all then, established TCP flows go on,
 * but not those of a pool that is one machine.
 */
function ringMembers(
  earlier: Ring | undefined,
  { members }: Population,
  rule: LoadBalancingRule,
  health: PoolHealth | undefined,
  drains: PoolDrains | undefined,
): readonly RingMember[] {
  const toAll = rule.noHealthyBackends === 'up' && !members.some((member) => isEligible(member, health));
  const asked = toAll ? undefined : health;
  const [only, another] = members;
  const isDead = only?.adminState === 'none' && another === undefined && !isEligible(only, asked);
  if (isDead) return [];
  const known = new Map(earlier?.members.map((member) => [member.id, member]));
  return members.map((member) => {
    const { id, address, weight, adminState } = member;
    const eligible = isEligible(member, asked);
    const drained = adminState === 'drain' && isOver(drains, id, rule);
    const keepsUdp = eligible || (adminState === 'drain' && !drained && asked?.down.has(address) !== true);
    const after = { id, address, weight, eligible, keepsUdp, ...(drained && { drained }) };
    const same = known.get(id);
    return same !== undefined && sameMember(same, after) ? same : after;
  });
}

function isOver(drains: PoolDrains | undefined, member: string, { drainPeriod }: LoadBalancingRule): boolean {
  return drainPeriod !== undefined && drains?.get(member)?.ended.includes(drainPeriod) === true;
}

/** Without `health` there is no probe to ask. */
function isEligible({ adminState, address }: Member, health: PoolHealth | undefined): boolean {
  switch (adminState) {
    case 'up':
      return true;
    case 'none':
      return health === undefined || health.up.has(address);
    case 'down':
    case 'drain':
      return false;
  }
}

function sameMember(a: RingMember, b: RingMember): boolean {
  const sameFlows = a.eligible === b.eligible && a.keepsUdp === b.keepsUdp && a.drained === b.drained;
  return a.address === b.address && sameFlows && sameShare(a, b);
}

type Share = Pick<RingMember, 'id' | 'weight'>;

function sameShare(a: Share, b: Share): boolean {
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
