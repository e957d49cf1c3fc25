// What not every data plane can do: refused where it cannot, instead of taken and not done.
import { at } from './field.ts';
import type { LoadBalancingRule } from './model.ts';
import type { Located } from './parse-load-balancer.ts';
import type { Report } from './report.ts';

/** Of the data plane that the gateway runs on. */
export interface Abilities {
  /** Puts packets within others. */
  readonly encapsulation: boolean;
}

export const everyAbility: Abilities = { encapsulation: true };

export function checkAbilities(
  rules: readonly Located<LoadBalancingRule>[],
  abilities: Abilities,
  report: Report,
): void {
  for (const { value, field } of rules) {
    if (value.flow.floating !== 'ipip' || abilities.encapsulation) continue;
    const fault = 'encapsulation IPIP: the nftables data plane puts no packets within others';
    const remedy = 'run the agent with --dataplane xdp, or leave it unset for members that are neighbours';
    report(at(at(field, 'flow'), 'encapsulation'), 'FEATURE_UNSUPPORTED', `${fault}; ${remedy}`);
  }
}
