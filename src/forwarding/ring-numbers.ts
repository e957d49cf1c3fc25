// Rings are known to the kernel by number. A number stays with its ring as long as a load-balancing rule uses it.
import type { Map as PersistentMap } from 'immutable';
import type { LoadBalancer } from '../resources/model.ts';
import { ringName } from './ring-names.ts';
import type { CompiledLoadBalancer } from './table.ts';

type RingNumbers = PersistentMap<string, number>;
type Compiled = PersistentMap<string, CompiledLoadBalancer>;

/** The key of a ring: `LOAD_BALANCER/RING`; names of load balancers hold no slash. */
export function ringKey(loadBalancer: string, ring: string): string {
  return `${loadBalancer}/${ring}`;
}

/**
 * With a number for each ring that has come into use: that of the ring which its rules used before, if nobody does any
 * more (a probe that is added, or has another name, ends no flows); the lowest free one otherwise.
 */
export function assignRingNumbers(
  numbers: RingNumbers,
  loadBalancers: Iterable<LoadBalancer | undefined>,
  before: Compiled,
): RingNumbers {
  const wanting = new Set<string>();
  const inherited = new Map<string, number>();
  for (const loadBalancer of loadBalancers) {
    if (loadBalancer === undefined) continue;
    for (const rule of loadBalancer.loadBalancingRules) {
      const key = ringKey(loadBalancer.name, ringName(rule));
      if (!numbers.has(key)) wanting.add(key);
    }
    for (const [key, number] of inheritances(numbers, loadBalancer, before)) inherited.set(key, number);
  }
  if (wanting.size === 0) return numbers;
  const taken = new Set(numbers.values());
  let number = 1;
  return numbers.withMutations((assigned) => {
    for (const key of wanting) {
      const known = inherited.get(key);
      if (known !== undefined) {
        assigned.set(key, known);
        continue;
      }
      while (taken.has(number)) number += 1;
      assigned.set(key, number);
      number += 1;
    }
  });
}

/** Rings without a number yet, and the number that each takes over. */
function* inheritances(
  numbers: RingNumbers,
  loadBalancer: LoadBalancer,
  before: Compiled,
): Generator<[string, number]> {
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
    if (number === undefined || given.has(ringName(was))) continue;
    given.add(ringName(was));
    yield [key, number];
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
