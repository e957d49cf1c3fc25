// Rings are known to the kernel by number. A number stays with its pool as long as a load-balancing rule uses the pool.
import type { Map as PersistentMap } from 'immutable';
import type { LoadBalancer } from '../resources/model.ts';
import type { CompiledLoadBalancer } from './table.ts';

type RingNumbers = PersistentMap<string, number>;

/** The key of a pool: `LOAD_BALANCER/POOL`; names hold no slash. */
export function ringKey(loadBalancer: string, pool: string): string {
  return `${loadBalancer}/${pool}`;
}

/** With a number, the lowest free one, for each pool that has come into use. */
export function assignRingNumbers(
  numbers: RingNumbers,
  loadBalancers: Iterable<LoadBalancer | undefined>,
): RingNumbers {
  const wanting = new Set<string>();
  for (const loadBalancer of loadBalancers) {
    for (const { backendPool } of loadBalancer?.loadBalancingRules ?? []) {
      const key = ringKey(loadBalancer?.name ?? '', backendPool);
      if (!numbers.has(key)) wanting.add(key);
    }
  }
  if (wanting.size === 0) return numbers;
  const taken = new Set(numbers.values());
  let number = 1;
  return numbers.withMutations((assigned) => {
    for (const key of wanting) {
      while (taken.has(number)) number += 1;
      assigned.set(key, number);
      number += 1;
    }
  });
}

/**
 * Without the numbers of pools that have gone out of use. They are given up after the change and not within it, so that a
 * change never gives a number from one pool to another while flows still carry it.
 */
export function releaseRingNumbers(
  numbers: RingNumbers,
  changed: ReadonlyMap<string, LoadBalancer | undefined>,
  before: PersistentMap<string, CompiledLoadBalancer>,
): RingNumbers {
  return numbers.withMutations((kept) => {
    for (const [name, loadBalancer] of changed) {
      const used = new Set(loadBalancer?.loadBalancingRules.map((rule) => rule.backendPool));
      const candidates = [
        ...(before.get(name)?.rings.keys() ?? []),
        ...(loadBalancer?.backendPools.map((pool) => pool.name) ?? []),
      ];
      for (const pool of candidates) {
        if (!used.has(pool)) kept.delete(ringKey(name, pool));
      }
    }
  });
}
