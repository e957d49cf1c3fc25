// How much is declared, for `status`.
import type { MonitorReport } from '../health/monitor.ts';
import type { ProbeFigures, Status } from './contract.ts';
import type { HealthState } from './health-state.ts';
import type { State } from './state.ts';

type Figures = Pick<
  Status,
  'loadBalancers' | 'mappings' | 'members' | 'inboundNatRules' | 'loadBalancingRules' | 'outboundRules'
>;

/** Absent where nothing is probed. */
export function probeFigures(
  { targets, verdicts }: HealthState,
  report: MonitorReport | undefined,
): ProbeFigures | undefined {
  if (targets.size === 0) return undefined;
  const figures = {
    targets: targets.size,
    up: 0,
    down: 0,
    unknown: targets.size - verdicts.size,
    flapping: 0,
  };
  for (const { state, flapping } of verdicts.values()) {
    figures[state] += 1;
    if (flapping) figures.flapping += 1;
  }
  return { ...figures, lateness: report?.lateness ?? 0 };
}

/** Counts rules and pools, not their members one by one. */
export function declaredFigures({ configuration, ports }: State): Figures {
  const figures = { members: 0, inboundNatRules: 0, loadBalancingRules: 0, outboundRules: 0, mappings: 0 };
  for (const loadBalancer of configuration.values()) {
    for (const pool of loadBalancer.backendPools) figures.members += pool.members.length;
    figures.inboundNatRules += loadBalancer.inboundNatRules.length;
    figures.loadBalancingRules += loadBalancer.loadBalancingRules.length;
    figures.outboundRules += loadBalancer.outboundRules.length;
    const assigned = ports.get(loadBalancer.name);
    for (const rule of loadBalancer.inboundNatRules) {
      const machines = assigned?.get(rule.name)?.assigned.size ?? 0;
      figures.mappings += machines * (rule.kind === 'pool' ? rule.portsPerMember : 1);
    }
  }
  return { loadBalancers: configuration.size, ...figures };
}
