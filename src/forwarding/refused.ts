// Machines that inbound NAT rules with REFUSE do not lead to: those that every probe of their pool finds down.
import type { IpAddress } from '../resources/address.ts';
import type { InboundNatRule, LoadBalancer } from '../resources/model.ts';
import type { HealthOf, PoolHealth } from './health.ts';
import type { Refused } from './table.ts';

/** By pool, for pools that a refusing rule leads to; what comes out the same is the object of `before`. */
export function refusedMachines(
  before: ReadonlyMap<string, Refused> | undefined,
  { name, inboundNatRules, loadBalancingRules }: LoadBalancer,
  healthOf: HealthOf,
): ReadonlyMap<string, Refused> {
  const refused = new Map<string, Refused>();
  for (const rule of inboundNatRules) {
    const pool = rule.whenUnhealthy === 'refuse' ? poolBehind(rule) : undefined;
    if (pool === undefined || refused.has(pool)) continue;
    const probes = new Set(
      loadBalancingRules.flatMap(({ backendPool, probe }) =>
        backendPool === pool && probe !== '' ? [probe] : [],
      ),
    );
    const health = [...probes].map((probe) => healthOf(name, pool, probe));
    const earlier = before?.get(pool);
    refused.set(pool, sameHealth(earlier, health) ? earlier : { health, machines: downByAll(health) });
  }
  return refused;
}

/** The pool whose member, or members, a rule leads to; absent for a plain address. */
export function poolBehind(rule: InboundNatRule): string | undefined {
  if (rule.kind === 'pool') return rule.backendPool;
  return rule.target.kind === 'member' ? rule.target.backendPool : undefined;
}

function sameHealth(earlier: Refused | undefined, health: readonly PoolHealth[]): earlier is Refused {
  return (
    earlier?.health.length === health.length && health.every((each, index) => each === earlier.health[index])
  );
}

function downByAll([first, ...others]: readonly PoolHealth[]): ReadonlySet<IpAddress> {
  if (first === undefined) return new Set();
  return new Set([...first.down].filter((address) => others.every(({ down }) => down.has(address))));
}
