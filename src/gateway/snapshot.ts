// Questions about one state: which port is which machine, and the reverse.

import type { Mapping, RangeUsage } from '../ports/mapping.ts';
import { mappingsOf } from '../ports/mappings.ts';
import { usageOf } from '../ports/usage.ts';
import type { Configuration, InboundNatRule, LoadBalancer } from '../resources/model.ts';
import type { MappingFilter, Snapshot } from './contract.ts';
import { type HealthFilter, type MemberHealth, memberHealth } from './member-health.ts';
import type { State } from './state.ts';

export function snapshotOf(state: State): Snapshot {
  return {
    revision: state.revision,
    configuration: state.configuration,
    *mappings(filter: MappingFilter = {}): Iterable<Mapping> {
      for (const narrowed of candidates(state, filter)) {
        for (const mapping of mappingsOf(narrowed, state.ports.get(narrowed.name) ?? new Map())) {
          if (matches(mapping, filter)) yield mapping;
        }
      }
    },
    memberHealth(filter: HealthFilter = {}): Iterable<MemberHealth> {
      return memberHealth(state, loadBalancersFor(state, filter), filter);
    },
    *ranges(filter: MappingFilter = {}): Iterable<RangeUsage> {
      for (const narrowed of candidates(state, filter)) {
        yield* usageOf(narrowed, state.ports.get(narrowed.name) ?? new Map());
      }
    },
  };
}

/** Load balancers reduced to the rules that can hold an answer, so that a narrow question costs little. */
function* candidates(state: State, filter: MappingFilter): Iterable<LoadBalancer> {
  for (const loadBalancer of loadBalancersFor(state, filter)) {
    const inboundNatRules = loadBalancer.inboundNatRules.filter((rule) =>
      mayHold(loadBalancer, rule, filter),
    );
    if (inboundNatRules.length > 0) yield { ...loadBalancer, inboundNatRules };
  }
}

function loadBalancersFor(state: State, filter: Pick<MappingFilter, 'loadBalancer'>): Iterable<LoadBalancer> {
  if (filter.loadBalancer === undefined) return byName(state.configuration);
  const one = state.configuration.get(filter.loadBalancer);
  return one === undefined ? [] : [one];
}

/** All load balancers in one order, whatever the history: a person compares two lists. */
export function byName(configuration: Configuration): readonly LoadBalancer[] {
  return [...configuration.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

function mayHold(loadBalancer: LoadBalancer, rule: InboundNatRule, filter: MappingFilter): boolean {
  if (filter.rule !== undefined && rule.name !== filter.rule) return false;
  if (filter.backendPool !== undefined && poolOf(rule) !== filter.backendPool) return false;
  if (filter.frontendAddress !== undefined) {
    const frontend = loadBalancer.frontends.find(({ name }) => name === rule.frontend);
    if (frontend?.address !== filter.frontendAddress) return false;
  }
  if (filter.frontendPort === undefined) return true;
  return rule.kind === 'pool'
    ? rule.rangeStart <= filter.frontendPort && filter.frontendPort <= rule.rangeEnd
    : rule.frontendPort === filter.frontendPort;
}

function poolOf(rule: InboundNatRule): string | undefined {
  if (rule.kind === 'pool') return rule.backendPool;
  return rule.target.kind === 'member' ? rule.target.backendPool : undefined;
}

function matches(mapping: Mapping, filter: MappingFilter): boolean {
  return (
    (filter.member === undefined || mapping.member === filter.member) &&
    (filter.memberAddress === undefined || mapping.backendAddress === filter.memberAddress) &&
    (filter.frontendPort === undefined || mapping.frontendPort === filter.frontendPort)
  );
}
