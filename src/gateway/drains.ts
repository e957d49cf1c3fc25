// Members that drain: since when, and for which rules their time is up. Pure: whoever calls has the clock.
import { Map as PersistentMap } from 'immutable';
import type { Drain, DrainsOf, PoolDrains } from '../forwarding/draining.ts';
import type { BackendPool, Configuration, LoadBalancer } from '../resources/model.ts';

/** By `LOAD_BALANCER/POOL`; only pools of which somebody drains. */
export type Drains = PersistentMap<string, PoolDrains>;

export const noDrains: Drains = PersistentMap();

/** As `compile` asks for it. */
export function drainsOf(drains: Drains): DrainsOf {
  return (...names) => drains.get(names.join('/'));
}

interface Changed {
  readonly name: string;
  readonly before?: LoadBalancer | undefined;
  readonly after?: LoadBalancer | undefined;
}

/** After a change of what is declared: who is new among those that drain begins now. */
export function drainsAfter(drains: Drains, changes: Iterable<Changed>, now: number): Drains {
  return drains.withMutations((all) => {
    for (const { name, before, after } of changes) {
      const earlier = new Map(before?.backendPools.map((pool) => [pool.name, pool]));
      for (const pool of after?.backendPools ?? []) {
        const same = earlier.get(pool.name) === pool;
        earlier.delete(pool.name);
        if (same) continue;
        const key = `${name}/${pool.name}`;
        const known = all.get(key);
        const draining = drainingIn(pool, known, now);
        if (draining === undefined) all.delete(key);
        else if (draining !== known) all.set(key, draining);
      }
      for (const gone of earlier.keys()) all.delete(`${name}/${gone}`);
    }
  });
}

/**
 * After a start: who drains, and is not known to, as in a store of a version that did not write it, begins now. The same
 * object where there is nobody.
 */
export function drainsFound(drains: Drains, configuration: Configuration, now: number): Drains {
  const found = configuration.valueSeq().map((after) => ({ name: after.name, after }));
  return drainsAfter(drains, found, now);
}

/** The same object where nobody has come or gone. */
function drainingIn(pool: BackendPool, known: PoolDrains | undefined, now: number): PoolDrains | undefined {
  const draining = new Map<string, Drain>();
  let same = true;
  for (const { id, adminState } of pool.members) {
    if (adminState !== 'drain') continue;
    const earlier = known?.get(id);
    if (earlier === undefined) same = false;
    draining.set(id, earlier ?? { since: now, ended: [] });
  }
  if (draining.size === 0) return undefined;
  return same && known?.size === draining.size ? known : draining;
}

/** For whom the time is up now. */
export interface Due {
  readonly drains: Drains;
  /** Load balancers. */
  readonly names: ReadonlySet<string>;
  /** Each member, and how long it has drained, in milliseconds. */
  readonly members: readonly {
    readonly loadBalancer: string;
    readonly backendPool: string;
    readonly member: string;
    readonly period: number;
  }[];
}

/** Undefined where nobody's time is up. Costs nothing where nobody drains. */
export function dueDrains(drains: Drains, configuration: Configuration, now: number): Due | undefined {
  const names = new Set<string>();
  const members: Due['members'][number][] = [];
  const after = drains.withMutations((all) => {
    for (const [key, draining] of drains) {
      // Names hold no slash.
      const [loadBalancer = '', backendPool = ''] = key.split('/');
      const periods = drainPeriods(configuration.get(loadBalancer), backendPool);
      const changed = new Map(draining);
      for (const [member, { since, ended }] of draining) {
        const over = periods.filter((period) => since + period <= now && !ended.includes(period));
        if (over.length === 0) continue;
        changed.set(member, { since, ended: [...ended, ...over] });
        for (const period of over) members.push({ loadBalancer, backendPool, member, period });
        names.add(loadBalancer);
        all.set(key, changed);
      }
    }
  });
  return names.size === 0 ? undefined : { drains: after, names, members };
}

function drainPeriods(loadBalancer: LoadBalancer | undefined, pool: string): readonly number[] {
  const periods = new Set<number>();
  for (const { backendPool, drainPeriod } of loadBalancer?.loadBalancingRules ?? []) {
    if (backendPool === pool && drainPeriod !== undefined) periods.add(drainPeriod);
  }
  return [...periods];
}
