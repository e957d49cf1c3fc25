// The outbound entries of a load balancer: one for each member and protocol that has ports set aside.
import type { LoadBalancerOutbound } from '../ports/outbound.ts';
import { sourceKey, transportsOf } from '../resources/address.ts';
import type { LoadBalancer } from '../resources/model.ts';
import type { OutboundEntry } from './table.ts';

type Entries = ReadonlyMap<string, OutboundEntry>;

/** What comes out as it was is the same object; undefined where there are none. */
export function compileOutbound(
  before: Entries | undefined,
  { backendPools, outboundRules }: LoadBalancer,
  ports: LoadBalancerOutbound,
): Entries | undefined {
  if (outboundRules.length === 0) return undefined;
  const entries = new Map<string, OutboundEntry>();
  for (const rule of outboundRules) {
    const blocks = ports.get(rule.name)?.blocks;
    const pool = backendPools.find(({ name }) => name === rule.backendPool);
    for (const { id, address: machine } of pool?.members ?? []) {
      const block = blocks?.get(id);
      if (block === undefined) continue;
      const { address, first, last } = block;
      for (const transport of transportsOf(rule.protocol)) {
        const key = sourceKey(machine, transport);
        const entry = { machine, transport, address, first, last };
        const known = before?.get(key);
        entries.set(key, known !== undefined && sameOutbound(known, entry) ? known : entry);
      }
    }
  }
  if (entries.size === 0) return undefined;
  return before !== undefined && sameEntries(before, entries) ? before : entries;
}

export function sameOutbound(one: OutboundEntry, other: OutboundEntry): boolean {
  return (
    one.machine === other.machine &&
    one.transport === other.transport &&
    one.address === other.address &&
    one.first === other.first &&
    one.last === other.last
  );
}

function sameEntries(one: Entries, other: Entries): boolean {
  return one.size === other.size && [...one].every(([key, entry]) => other.get(key) === entry);
}
