// What was forwarded, by what was declared: the entries of a mapping or rule, and the sum of their counters.
import type { Counters, DataPlane } from '../dataplane/dataplane.ts';
import { poolOfRing } from '../forwarding/ring-names.ts';
import { type Entry, endpointKey, type ForwardingTable, type Target } from '../forwarding/table.ts';
import type { Mapping } from '../ports/mapping.ts';
import { transportsOf } from '../resources/address.ts';
import type { LoadBalancer } from '../resources/model.ts';
import type { LimitRefusals, MemberCounters } from './contract.ts';

/** Absent where the kernel does not run a mapping, or its endpoint leads elsewhere by now. */
export function mappingCounters(
  dataPlane: DataPlane,
  table: ForwardingTable,
  mappings: readonly Mapping[],
): Promise<ReadonlyMap<Mapping, Counters>> {
  return sums(dataPlane, new Map(mappings.map((mapping) => [mapping, entriesOf(table, mapping)])));
}

/** Counters of a load balancer's load-balancing rules, by name. */
export function ruleCounters(
  dataPlane: DataPlane,
  table: ForwardingTable,
  { name, loadBalancingRules }: LoadBalancer,
): Promise<ReadonlyMap<string, Counters>> {
  const compiled = table.loadBalancers.get(name);
  const entries = loadBalancingRules.map((rule) => {
    const found = compiled?.rules.get(`lb/${rule.name}`)?.entries.values() ?? [];
    return [rule.name, [...found]] as const;
  });
  return sums(dataPlane, new Map(entries));
}

/** What the limits of a load balancer's rules have refused, in the order of the rules. */
export async function limitRefusals(
  dataPlane: DataPlane,
  table: ForwardingTable,
  { name }: LoadBalancer,
): Promise<readonly LimitRefusals[]> {
  const limits = table.loadBalancers.get(name)?.limits;
  if (limits === undefined || limits.size === 0) return [];
  const found = await dataPlane.refusals([...limits.values()]);
  return [...limits].flatMap(([key, limit]) => {
    const refusals = found.get(limit);
    if (refusals === undefined) return [];
    const [kind, rule = ''] = key.split('/');
    return [
      { kind: kind === 'nat' ? ('inbound-nat' as const) : ('load-balancing' as const), rule, refusals },
    ];
  });
}

/** Counters of the machines in a load balancer's rings, by pool; none where the plane does not count them. */
export async function memberCounters(
  dataPlane: DataPlane,
  table: ForwardingTable,
  { name }: LoadBalancer,
): Promise<readonly MemberCounters[]> {
  const found = new Map<string, MemberCounters>();
  for (const [ringName, ring] of table.loadBalancers.get(name)?.rings ?? []) {
    const backendPool = poolOfRing(ringName);
    for (const [member, counters] of await dataPlane.memberCounters(ring)) {
      // Of a pool that rules with several probes use, a machine stands in several rings.
      const key = `${backendPool}/${member.id}`;
      const other = found.get(key)?.counters;
      found.set(key, { backendPool, member, counters: other ? plus(other, counters) : counters });
    }
  }
  return [...found.values()];
}

function entriesOf(table: ForwardingTable, mapping: Mapping): readonly Entry[] {
  const { loadBalancer, rule, protocol, frontendAddress, frontendPort } = mapping;
  const compiled = table.loadBalancers.get(loadBalancer)?.rules.get(`nat/${rule}`);
  return transportsOf(protocol).flatMap((transport) => {
    const key = endpointKey({ address: frontendAddress, transport, port: frontendPort });
    const entry = compiled?.entries.get(key);
    return entry !== undefined && leadsTo(entry.target, mapping) ? [entry] : [];
  });
}

function leadsTo(target: Target, { backendAddress, backendPort }: Mapping): boolean {
  return target.kind === 'nat' && target.address === backendAddress && target.port === backendPort;
}

async function sums<K>(
  dataPlane: DataPlane,
  entries: ReadonlyMap<K, readonly Entry[]>,
): Promise<ReadonlyMap<K, Counters>> {
  const counters = await dataPlane.counters([...entries.values()].flat());
  const found = new Map<K, Counters>();
  for (const [key, parts] of entries) {
    const counted = parts.flatMap((entry) => counters.get(entry) ?? []);
    if (counted.length > 0) found.set(key, counted.reduce(plus));
  }
  return found;
}

function plus(a: Counters, b: Counters): Counters {
  return { packets: a.packets + b.packets, bytes: a.bytes + b.bytes, flows: a.flows + b.flows };
}
