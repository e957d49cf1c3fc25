// How full the ranges of a load balancer's pool rules are.
import type { Port } from '../resources/address.ts';
import type { LoadBalancer } from '../resources/model.ts';
import type { LoadBalancerPorts, RulePorts } from './assignment.ts';
import type { RangeUsage } from './mapping.ts';
import { firstPortOf, type PortRange, rangeOf, slotAt } from './range.ts';

/** One for each pool rule, in the order of the rules; made as they are read. */
export function* usageOf(loadBalancer: LoadBalancer, ports: LoadBalancerPorts): Iterable<RangeUsage> {
  for (const rule of loadBalancer.inboundNatRules) {
    if (rule.kind !== 'pool') continue;
    const range = rangeOf(rule);
    const given = ports.get(rule.name);
    const used = given?.assigned.size ?? 0;
    yield {
      loadBalancer: loadBalancer.name,
      rule: rule.name,
      backendPool: rule.backendPool,
      rangeStart: rule.rangeStart,
      rangeEnd: rule.rangeEnd,
      portsPerMember: rule.portsPerMember,
      capacity: range.capacity,
      used,
      free: range.capacity - used,
      nextPort: lowestFree(range, given),
    };
  }
}

function lowestFree(range: PortRange, given: RulePorts | undefined): Port | 0 {
  const taken = new Uint8Array(range.capacity);
  for (const { port } of given?.assigned.values() ?? []) taken[slotAt(range, port)] = 1;
  const slot = taken.indexOf(0);
  return slot < 0 ? 0 : firstPortOf(range, slot);
}
