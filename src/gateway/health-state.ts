// What probing has found of everything that is declared: which targets there are, who wants to know, and what is held of each.
import { Map as PersistentMap } from 'immutable';
import { changedMembers } from '../forwarding/changed-members.ts';
import { type HealthOf, type PoolHealth, unknownHealth } from '../forwarding/health.ts';
import { ringName } from '../forwarding/ring-names.ts';
import type { CompiledLoadBalancer } from '../forwarding/table.ts';
import type { Assigned, Assignment, VerdictChange } from '../health/monitor.ts';
import { type ProbeTarget, targetKey, targetOf } from '../health/target.ts';
import type { Verdict } from '../health/verdict.ts';
import type { IpAddress } from '../resources/address.ts';
import type { BackendPool, LoadBalancer, Member, Probe } from '../resources/model.ts';

/** Immutable, and derived from what is declared but for the verdicts. */
export interface HealthState {
  /** Of targets that have answered, or failed to; by `targetKey`. */
  readonly verdicts: PersistentMap<string, Verdict>;
  readonly targets: PersistentMap<string, WantedTarget>;
  /** By `LOAD_BALANCER/POOL/PROBE`; only those that a load-balancing rule names. */
  readonly pools: PersistentMap<string, ProbedPool>;
}

export interface WantedTarget {
  readonly target: ProbeTarget;
  /** Keys of pools; at least one. */
  readonly wantedBy: readonly string[];
}

/** A pool as one probe sees it. */
export interface ProbedPool extends PoolHealth {
  readonly loadBalancer: string;
  readonly pool: BackendPool;
  readonly probe: Probe;
}

export const noHealth: HealthState = {
  verdicts: PersistentMap(),
  targets: PersistentMap(),
  pools: PersistentMap(),
};

/** As `compile` asks for it. */
export function healthOf({ pools }: HealthState): HealthOf {
  return (...names) => pools.get(names.join('/')) ?? unknownHealth;
}

/** A load balancer of which something changes; a side is absent where it comes or goes. */
export interface HealthChange {
  readonly name: string;
  readonly before?: LoadBalancer | undefined;
  readonly after?: LoadBalancer | undefined;
  /** What it compiled to before. */
  readonly compiled?: CompiledLoadBalancer | undefined;
}

export interface HealthStep {
  readonly health: HealthState;
  /** Who is to be probed from now on, and who no more. */
  readonly assignment: Assignment;
}

/**
 * The state after a change of what is declared. Of targets that are new nothing is known, but for those that got flows of a
 * rule already: a probe that is added, or asks for something else, takes nobody out before it has asked. Unless another
 * rule has it ask the same already, and waits for the first answer itself.
 */
export function healthAfter(before: HealthState, changes: Iterable<HealthChange>, now: number): HealthStep {
  const open = new OpenHealth(before, now);
  const wishes = Array.from(changes, (change) => ({ change, wanted: probedPools(change.after) }));
  // All of it first: several pools may want one target, and whichever comes first is to see what the others know.
  for (const { change, wanted } of wishes) {
    const trusted = new Trusted(change);
    for (const [key, each] of wanted) open.trust(key, each, trusted);
  }
  for (const { change, wanted } of wishes) {
    for (const [key, each] of wanted) open.put(change.name, key, each);
    for (const key of probedPools(change.before).keys()) if (!wanted.has(key)) open.drop(key);
  }
  return open.finish();
}

/** Everything, for a start. */
export function wholeAssignment({ targets, verdicts }: HealthState): readonly Assigned[] {
  return Array.from(targets, ([key, { target }]) => ({ key, target, known: verdicts.get(key) }));
}

/** What new verdicts lead to. */
export interface Judged {
  readonly health: HealthState;
  /** Keys of pools in which somebody is up, down or unknown who was not before. */
  readonly pools: ReadonlySet<string>;
  /** Keys of targets whose verdict is another one, or says other things. */
  readonly targets: ReadonlySet<string>;
}

/** Verdicts on targets that nobody wants to know any more are left out. */
export function withVerdicts(before: HealthState, changes: Iterable<VerdictChange>): Judged {
  const touched = new Set<string>();
  const pools = new Map<string, Set<IpAddress>>();
  const verdicts = before.verdicts.withMutations((all) => {
    for (const [key, verdict] of changes) {
      const wanted = before.targets.get(key);
      if (wanted === undefined) continue;
      touched.add(key);
      const was = all.get(key)?.state ?? 'unknown';
      all.set(key, verdict);
      if (was === verdict.state) continue;
      for (const pool of wanted.wantedBy) addTo(pools, pool, wanted.target.address);
    }
  });
  const after = before.pools.withMutations((all) => {
    for (const [key, addresses] of pools) {
      const pool = all.get(key);
      if (pool !== undefined) all.set(key, { ...pool, ...setsAfter(pool, addresses, pool.probe, verdicts) });
    }
  });
  return {
    health: { verdicts, targets: before.targets, pools: after },
    pools: new Set(pools.keys()),
    targets: touched,
  };
}

type Verdicts = PersistentMap<string, Verdict>;
type Targets = PersistentMap<string, WantedTarget>;

interface Wanted {
  readonly pool: BackendPool;
  readonly probe: Probe;
}

/** Each pool with each probe by which a load-balancing rule judges it. */
function probedPools(loadBalancer: LoadBalancer | undefined): ReadonlyMap<string, Wanted> {
  const found = new Map<string, Wanted>();
  if (loadBalancer === undefined || loadBalancer.probes.length === 0) return found;
  const probes = new Map(loadBalancer.probes.map((probe) => [probe.name, probe]));
  const pools = new Map(loadBalancer.backendPools.map((pool) => [pool.name, pool]));
  for (const rule of loadBalancer.loadBalancingRules) {
    const probe = probes.get(rule.probe);
    const pool = pools.get(rule.backendPool);
    if (probe === undefined || pool === undefined) continue;
    found.set(`${loadBalancer.name}/${pool.name}/${probe.name}`, { pool, probe });
  }
  return found;
}

/** A state in the making. */
class OpenHealth {
  readonly #before: HealthState;
  readonly #now: number;
  readonly #verdicts: Verdicts;
  readonly #targets: Targets;
  readonly #pools: HealthState['pools'];
  readonly #touched = new Set<string>();
  /** Pools that want a target no more. Last of all, so that one which only changes hands is never forgotten in between. */
  readonly #given: (readonly [pool: string, target: string])[] = [];

  constructor(before: HealthState, now: number) {
    this.#before = before;
    this.#now = now;
    this.#verdicts = before.verdicts.asMutable();
    this.#targets = before.targets.asMutable();
    this.#pools = before.pools.asMutable();
  }

  /** Targets that were there before have been asked already: their answer is near, and the verdict is not this pool's alone. */
  trust(key: string, { pool, probe }: Wanted, trusted: Trusted): void {
    if (this.#pools.get(key)?.probe === probe) return;
    for (const member of pool.members) {
      const target = targetKey(member, probe);
      if (this.#before.targets.has(target) || !trusted.has(key, member)) continue;
      this.#verdicts.set(target, {
        state: 'up',
        reason: 'NA',
        detail: '',
        since: this.#now,
        flapping: false,
      });
    }
  }

  /** The work goes by the members that differ, as long as the probe is the same. */
  put(loadBalancer: string, key: string, { pool, probe }: Wanted): void {
    const known = this.#pools.get(key);
    if (known?.pool === pool && known.probe === probe) return;
    const earlier = known?.probe === probe ? known : undefined;
    const differing = changedMembers(earlier?.pool.members ?? [], pool.members);
    const come = pool.members.filter(({ id }) => differing.has(id));
    const gone = known?.pool.members.filter(({ id }) => earlier === undefined || differing.has(id)) ?? [];
    const staying = new Set(come.map((member) => this.#want(key, member, probe)));
    if (known !== undefined) {
      for (const member of gone) {
        const target = targetKey(member, known.probe);
        if (!staying.has(target)) this.#given.push([key, target]);
      }
    }
    const addresses = [...gone, ...come].map(({ address }) => address);
    const sets = setsAfter(earlier ?? unknownHealth, addresses, probe, this.#verdicts, staying);
    this.#pools.set(key, { loadBalancer, pool, probe, ...sets });
  }

  drop(key: string): void {
    const known = this.#pools.get(key);
    if (known === undefined) return;
    for (const member of known.pool.members) this.#given.push([key, targetKey(member, known.probe)]);
    this.#pools.delete(key);
  }

  finish(): HealthStep {
    for (const [pool, target] of this.#given) this.#forget(pool, target);
    const health = {
      verdicts: settled(this.#verdicts, this.#before.verdicts),
      targets: settled(this.#targets, this.#before.targets),
      pools: settled(this.#pools, this.#before.pools),
    };
    const removed: string[] = [];
    const added: Assigned[] = [];
    for (const key of this.#touched) {
      const [was, is] = [this.#before.targets.has(key), health.targets.get(key)];
      if (was && is === undefined) removed.push(key);
      if (!was && is !== undefined) added.push({ key, target: is.target, known: health.verdicts.get(key) });
    }
    return { health, assignment: { removed, added } };
  }

  /** Returns the target's key. */
  #want(pool: string, member: Member, probe: Probe): string {
    const key = targetKey(member, probe);
    const known = this.#targets.get(key);
    if (known?.wantedBy.includes(pool)) return key;
    const target = known?.target ?? targetOf(member.address, probe);
    this.#targets.set(key, { target, wantedBy: [...(known?.wantedBy ?? []), pool] });
    this.#touched.add(key);
    return key;
  }

  #forget(pool: string, key: string): void {
    const known = this.#targets.get(key);
    if (known === undefined) return;
    const wantedBy = known.wantedBy.filter((other) => other !== pool);
    if (wantedBy.length > 0) {
      this.#targets.set(key, { ...known, wantedBy });
      return;
    }
    this.#targets.delete(key);
    this.#verdicts.delete(key);
    this.#touched.add(key);
  }
}

/** Members that get the new flows of a rule, by the pools and probes that the same rule has after the change. */
class Trusted {
  readonly #change: HealthChange;
  readonly #byPool = new Map<string, ReadonlySet<string>>();

  constructor(change: HealthChange) {
    this.#change = change;
  }

  has(pool: string, { id, address }: Member): boolean {
    const known = this.#byPool.get(pool) ?? this.#find(pool);
    this.#byPool.set(pool, known);
    return known.has(`${id} ${address}`);
  }

  #find(pool: string): ReadonlySet<string> {
    const { name, before, after, compiled } = this.#change;
    const earlier = new Map(before?.loadBalancingRules.map((rule) => [rule.name, rule]));
    const found = new Set<string>();
    for (const rule of after?.loadBalancingRules ?? []) {
      const was = earlier.get(rule.name);
      if (`${name}/${rule.backendPool}/${rule.probe}` !== pool) continue;
      if (was === undefined || was.backendPool !== rule.backendPool) continue;
      for (const member of compiled?.rings.get(ringName(was))?.members ?? []) {
        if (member.eligible) found.add(`${member.id} ${member.address}`);
      }
    }
    return found;
  }
}

/** The sets of a pool with some machines looked up anew; those that are not wanted are in neither. */
function setsAfter(
  { up, down }: PoolHealth,
  addresses: Iterable<IpAddress>,
  probe: Probe,
  verdicts: Verdicts,
  wanted?: ReadonlySet<string>,
): PoolHealth {
  const after = { up: new Set(up), down: new Set(down) };
  for (const address of addresses) {
    const key = targetKey({ address }, probe);
    const state = wanted?.has(key) === false ? undefined : verdicts.get(key)?.state;
    after.up.delete(address);
    after.down.delete(address);
    if (state === 'up') after.up.add(address);
    else if (state === 'down') after.down.add(address);
  }
  return after;
}

function addTo<K, V>(sets: Map<K, Set<V>>, key: K, value: V): void {
  const known = sets.get(key);
  if (known === undefined) sets.set(key, new Set([value]));
  else known.add(value);
}

function settled<V>(
  mutable: PersistentMap<string, V>,
  before: PersistentMap<string, V>,
): PersistentMap<string, V> {
  return mutable.wasAltered() ? mutable.asImmutable() : before;
}
