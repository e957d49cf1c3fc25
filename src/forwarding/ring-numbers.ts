// Rings are known to the kernel by number. A number stays with its ring as long as a load-balancing rule uses it.
//
// Rings of one pool have the upper bits of their numbers in common, and these are what is kept beside a flow. So it goes on
// when its rule comes to another ring of the pool, as by a probe or a drain period.
import type { Map as PersistentMap } from 'immutable';
import type { LoadBalancer } from '../resources/model.ts';
import { ringName } from './ring-names.ts';
import type { CompiledLoadBalancer } from './table.ts';

type RingNumbers = PersistentMap<string, number>;
type Compiled = PersistentMap<string, CompiledLoadBalancer>;

/** The low bits of a number tell rings of a group apart. A pool with more rings than that has several groups. */
const bitsInGroup = 6;
const ringsOfGroup = 2 ** bitsInGroup;

/** 1 to 2^18 - 1; no two pools have the same. */
export function groupOf(ring: number): number {
  return ring >>> bitsInGroup;
}

/** Where in its group, 0 to 63. */
export function placeOf(ring: number): number {
  return ring % ringsOfGroup;
}

/** The ring at a place of a group. */
export function ringNumber(group: number, place: number): number {
  return group * ringsOfGroup + place;
}

/** The key of a ring: `LOAD_BALANCER/RING`; names of load balancers hold no slash. */
export function ringKey(loadBalancer: string, ring: string): string {
  return `${loadBalancer}/${ring}`;
}

/** `LOAD_BALANCER/POOL` of such a key. */
function poolOfKey(key: string): string {
  return key.split('/', 2).join('/');
}

/**
 * With a number for each ring that has come into use: that of the ring which its rules used before, if nobody does any
 * more, so that no ring is written anew because a probe has another name; otherwise one of the same group, or else of the pool.
 */
export function assignRingNumbers(
  numbers: RingNumbers,
  loadBalancers: Iterable<LoadBalancer | undefined>,
  before: Compiled,
): RingNumbers {
  const wanting = new Set<string>();
  const inherited = new Map<string, number>();
  /** Groups that flows come from. */
  const near = new Map<string, number>();
  for (const loadBalancer of loadBalancers) {
    if (loadBalancer === undefined) continue;
    for (const rule of loadBalancer.loadBalancingRules) {
      const key = ringKey(loadBalancer.name, ringName(rule));
      if (!numbers.has(key)) wanting.add(key);
    }
    for (const { key, number, isFree } of numbersBefore(numbers, loadBalancer, before)) {
      if (isFree) inherited.set(key, number);
      else if (!near.has(key)) near.set(key, groupOf(number));
    }
  }
  if (wanting.size === 0) return numbers;
  const free = new FreeNumbers(numbers);
  return numbers.withMutations((assigned) => {
    for (const key of wanting)
      assigned.set(key, inherited.get(key) ?? free.take(poolOfKey(key), near.get(key)));
  });
}

class FreeNumbers {
  readonly #taken = new Set<number>();
  readonly #groups = new Map<string, Set<number>>();
  readonly #takenGroups = new Set<number>();
  #lowest = 1;

  constructor(numbers: RingNumbers) {
    for (const [key, number] of numbers) {
      this.#taken.add(number);
      this.#keep(poolOfKey(key), groupOf(number));
    }
  }

  /** The lowest free one of the pool, if possible of the group `near`. */
  take(pool: string, near?: number): number {
    const groups = this.#groups.get(pool) ?? [];
    for (const group of near === undefined ? groups : [near, ...groups]) {
      for (let place = 0; place < ringsOfGroup; place += 1) {
        const number = ringNumber(group, place);
        if (this.#taken.has(number)) continue;
        this.#taken.add(number);
        return number;
      }
    }
    while (this.#takenGroups.has(this.#lowest)) this.#lowest += 1;
    this.#keep(pool, this.#lowest);
    return this.take(pool);
  }

  #keep(pool: string, group: number): void {
    this.#takenGroups.add(group);
    const groups = this.#groups.get(pool);
    if (groups === undefined) this.#groups.set(pool, new Set([group]));
    else groups.add(group);
  }
}

/** Rings without a number yet, and the number that their rules came by, which is theirs if it is free. */
function* numbersBefore(
  numbers: RingNumbers,
  loadBalancer: LoadBalancer,
  before: Compiled,
): Generator<{ readonly key: string; readonly number: number; readonly isFree: boolean }> {
  const { name, loadBalancingRules } = loadBalancer;
  const earlier = before.get(name)?.source?.loadBalancer.loadBalancingRules;
  if (earlier === undefined || earlier === loadBalancingRules) return;
  const rulesBefore = new Map(earlier.map((rule) => [rule.name, rule]));
  const given = new Set(loadBalancingRules.map(ringName));
  for (const rule of loadBalancingRules) {
    const key = ringKey(name, ringName(rule));
    const was = rulesBefore.get(rule.name);
    if (numbers.has(key) || was === undefined || was.backendPool !== rule.backendPool) continue;
    if ((was.flow.floating === undefined) !== (rule.flow.floating === undefined)) continue;
    const number = numbers.get(ringKey(name, ringName(was)));
    if (number === undefined) continue;
    const isFree = !given.has(ringName(was));
    given.add(ringName(was));
    yield { key, number, isFree };
  }
}

/**
 * Without the numbers of rings that have gone out of use. They are given up after the change and not within it, so that a
 * change never gives a number from one pool to another while flows still carry it.
 */
export function releaseRingNumbers(
  numbers: RingNumbers,
  changed: ReadonlyMap<string, LoadBalancer | undefined>,
  before: Compiled,
): RingNumbers {
  return numbers.withMutations((kept) => {
    for (const [name, loadBalancer] of changed) {
      const used = new Set(loadBalancer?.loadBalancingRules.map(ringName));
      const candidates = [
        ...(before.get(name)?.rings.keys() ?? []),
        ...(loadBalancer?.backendPools.map((pool) => pool.name) ?? []),
      ];
      for (const ring of candidates) {
        if (!used.has(ring)) kept.delete(ringKey(name, ring));
      }
    }
  });
}
