// How each member of each probed rule fares, what of that has changed, and who drains for how long.
import { ringName } from '../forwarding/ring-names.ts';
import type { Ring } from '../forwarding/table.ts';
import type { ProbeReason } from '../health/outcome.ts';
import { targetKey } from '../health/target.ts';
import type { BackendPool, LoadBalancer, LoadBalancingRule, Member, Probe } from '../resources/model.ts';
import type { State } from './state.ts';

export interface MemberHealth {
  readonly loadBalancer: string;
  readonly rule: string;
  readonly member: string;
  readonly backendAddress: string;
  /** Gets new flows of the rule. */
  readonly eligible: boolean;
  readonly reason: HealthReason;
  /** Milliseconds since 1970 when the probe found it up or down; absent before the first answer. */
  readonly since?: number;
  readonly detail: string;
  readonly flapping: boolean;
  /** Milliseconds since 1970 when its flows end; absent where it does not drain, or as long as flows last. */
  readonly drainEnds?: number;
}

/** Azure's words. */
export type HealthReason = ProbeReason | 'Up_Admin' | 'Up_Probe_AllDownIsUp' | 'Down_Admin';

export interface HealthFilter {
  readonly loadBalancer?: string;
  readonly rule?: string;
}

/** In the order of rules and members; of rules without a probe only those whose drain ends. Made as it is read. */
export function* memberHealth(
  state: State,
  loadBalancers: Iterable<LoadBalancer>,
  { rule }: HealthFilter,
): Generator<MemberHealth> {
  for (const loadBalancer of loadBalancers) {
    const place = placeOf(loadBalancer);
    for (const each of loadBalancer.loadBalancingRules) {
      if (rule !== undefined && each.name !== rule) continue;
      yield* ruleHealth(state, place, each);
    }
  }
}

/**
 * Members that are eligible now and were not before, or the other way round, or that the probe has found up or down; of all
 * rules that judge one of `pools` (keys of `HealthState.pools`).
 */
export function* healthChanges(
  before: State,
  after: State,
  pools: Iterable<string>,
): Generator<MemberHealth> {
  for (const key of pools) {
    const probed = after.health.pools.get(key);
    const loadBalancer = after.configuration.get(probed?.loadBalancer ?? '');
    if (probed === undefined || loadBalancer === undefined) continue;
    const place = placeOf(loadBalancer);
    const differing = new Map<string, readonly Member[]>();
    for (const rule of loadBalancer.loadBalancingRules) {
      if (rule.backendPool !== probed.pool.name || rule.probe !== probed.probe.name) continue;
      const name = ringName(rule);
      const members = differing.get(name) ?? differingMembers(before, after, loadBalancer.name, name, probed);
      differing.set(name, members);
      yield* ruleHealth(after, place, rule, members);
    }
  }
}

/** Of a load balancer, to be looked up many times. */
interface Place {
  readonly loadBalancer: LoadBalancer;
  readonly pools: ReadonlyMap<string, BackendPool>;
  readonly probes: ReadonlyMap<string, Probe>;
}

function placeOf(loadBalancer: LoadBalancer): Place {
  return {
    loadBalancer,
    pools: new Map(loadBalancer.backendPools.map((pool) => [pool.name, pool])),
    probes: new Map(loadBalancer.probes.map((probe) => [probe.name, probe])),
  };
}

function* ruleHealth(
  { health, table, drains }: State,
  { loadBalancer, pools, probes }: Place,
  rule: LoadBalancingRule,
  only?: readonly Member[],
): Generator<MemberHealth> {
  const probe = probes.get(rule.probe);
  const ring = table.loadBalancers.get(loadBalancer.name)?.rings.get(ringName(rule));
  const draining = drains.get(`${loadBalancer.name}/${rule.backendPool}`);
  const endsOf = ({ id }: Member): number | undefined => {
    const since = draining?.get(id)?.since;
    return since === undefined || rule.drainPeriod === undefined ? undefined : since + rule.drainPeriod;
  };
  if (ring === undefined) return;
  const eligible = eligibleIn(ring);
  for (const member of only ?? pools.get(rule.backendPool)?.members ?? []) {
    const drainEnds = endsOf(member);
    if (probe === undefined && drainEnds === undefined) continue;
    const verdict = probe && health.verdicts.get(targetKey(member, probe));
    const isEligible = eligible.has(member.id);
    yield {
      loadBalancer: loadBalancer.name,
      rule: rule.name,
      member: member.id,
      backendAddress: member.address,
      eligible: isEligible,
      reason: reasonOf(member, isEligible, verdict?.state === 'up', verdict?.reason ?? 'NA'),
      ...(verdict === undefined ? {} : { since: verdict.since }),
      detail: verdict?.detail ?? '',
      flapping: verdict?.flapping ?? false,
      ...(drainEnds !== undefined && { drainEnds }),
    };
  }
}

function reasonOf(
  { adminState }: Member,
  isEligible: boolean,
  isUp: boolean,
  reason: ProbeReason,
): HealthReason {
  switch (adminState) {
    case 'up':
      return 'Up_Admin';
    case 'down':
    case 'drain':
      return 'Down_Admin';
    case 'none':
      return isEligible && !isUp ? 'Up_Probe_AllDownIsUp' : reason;
  }
}

function eligibleIn(ring: Ring | undefined): ReadonlySet<string> {
  return new Set(ring?.members.flatMap(({ id, eligible }) => (eligible ? [id] : [])));
}

function differingMembers(
  before: State,
  after: State,
  loadBalancer: string,
  ring: string,
  { pool, probe }: { readonly pool: BackendPool; readonly probe: Probe },
): readonly Member[] {
  const ringOf = ({ table }: State) => table.loadBalancers.get(loadBalancer)?.rings.get(ring);
  const [was, is] = [eligibleIn(ringOf(before)), eligibleIn(ringOf(after))];
  return pool.members.filter((member) => {
    if (was.has(member.id) !== is.has(member.id)) return true;
    const key = targetKey(member, probe);
    return before.health.verdicts.get(key)?.state !== after.health.verdicts.get(key)?.state;
  });
}
