// Load-balancing rules: one entry per transport, leading to the ring of the rule's pool.
import { type IpAddress, transportsOf } from '../resources/address.ts';
import type { LoadBalancingRule, SessionPersistence } from '../resources/model.ts';
import type { FlowLimit } from './flow-limits.ts';
import { idleOf } from './idle.ts';
import { sameTarget } from './same.ts';
import { type Affinity, type BalancedTarget, type CompiledRule, type Entry, endpointKey } from './table.ts';

const affinities: Readonly<Record<SessionPersistence, Affinity>> = {
  none: 'five-tuple',
  'client-ip': 'client-ip',
  'client-ip-protocol': 'client-ip-protocol',
};

/** The rule at a frontend's address; `before` itself where nothing differs. */
export function compileBalancedRule(
  before: CompiledRule | undefined,
  rule: LoadBalancingRule,
  address: IpAddress,
  ring: number,
  limit: FlowLimit | undefined,
): CompiledRule {
  const common: BalancedTarget = {
    kind: 'balanced',
    ring,
    affinity: affinities[rule.sessionPersistence],
    port: rule.backendPort,
    masquerade: rule.flow.sourceNat === 'masquerade',
    ...(limit && { limit: limit.number }),
    ...(rule.flow.floating && { floating: rule.flow.floating }),
  };
  const entries = new Map<string, Entry>();
  let kept = 0;
  for (const transport of transportsOf(rule.protocol)) {
    const endpoint = { address, transport, port: rule.frontendPort };
    const idle = idleOf(rule.flow, transport);
    const target = idle === undefined ? common : { ...common, idle };
    const key = endpointKey(endpoint);
    const earlier = before?.entries.get(key);
    if (earlier !== undefined && sameTarget(earlier.target, target)) {
      entries.set(key, earlier);
      kept += 1;
    } else entries.set(key, { endpoint, target });
  }
  return before !== undefined && kept === entries.size && kept === before.entries.size ? before : { entries };
}
