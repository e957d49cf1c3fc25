// The allocator: from a checked change to the ports after it, or to a refusal with every offender.
import { Map as PersistentMap } from 'immutable';
import type { ChangedLoadBalancer, ConfigurationChange } from '../resources/change.ts';
import type { InboundNatRule, LoadBalancer, PoolRule, SingleTargetRule } from '../resources/model.ts';
import { refuseIfAny, type Violation } from '../resources/refusal.ts';
import { allocate } from './allocate.ts';
import type { LoadBalancerPorts, Ports, RulePorts } from './assignment.ts';
import type { MappingChanges } from './mapping.ts';
import { compareMembers, compareRule, type Ledger, type RuleState } from './mapping-changes.ts';
import { type Place, placeOf } from './mappings.ts';
import { strayPins } from './pins.ts';
import { singleTargetPorts } from './single-target.ts';

/** Nothing given out. */
export const emptyPorts: Ports = PersistentMap<string, LoadBalancerPorts>();

/** What a load balancer has that is absent from `Ports`. */
export const noPorts: LoadBalancerPorts = new Map();

export interface AssignOptions {
  /** Move mappings that a changed range or pin leaves no place, rather than refuse the change. */
  readonly allowRemap: boolean;
  /** Milliseconds since 1970: the `since` of what is given out now. */
  readonly now: number;
}

/**
 * The ports after a change, and what it does to the mappings. What did not change is the same object; a load balancer
 * or rule with nothing to remember is absent. Throws a `Refusal` with all offenders: PORT_RANGE_EXHAUSTED,
 * PORT_RANGE_IN_USE, PIN_INVALID, PIN_TAKEN.
 */
export function assignPorts(
  change: ConfigurationChange,
  ports: Ports,
  options: AssignOptions,
): { readonly ports: Ports; readonly changes: MappingChanges } {
  const changes: Ledger = { assigned: [], released: [], remapped: [] };
  const violations: Violation[] = [];
  const after = ports.withMutations((entries) => {
    for (const changed of change.changed.values()) {
      const next = assignLoadBalancer(
        changed,
        ports.get(changed.name) ?? noPorts,
        options,
        changes,
        violations,
      );
      if (next.size === 0) entries.delete(changed.name);
      else entries.set(changed.name, next);
    }
  });
  refuseIfAny(violations);
  return { ports: after, changes };
}

function assignLoadBalancer(
  changed: ChangedLoadBalancer,
  ports: LoadBalancerPorts,
  options: AssignOptions,
  ledger: Ledger,
  violations: Violation[],
): LoadBalancerPorts {
  const before = changed.before === undefined ? undefined : sideOf(changed.before);
  const after = changed.after === undefined ? undefined : sideOf(changed.after);
  if (changed.after !== undefined) violations.push(...strayPins(changed, changed.after));
  for (const [name, rule] of before?.rules ?? []) {
    if (before === undefined || after?.rules.has(name)) continue;
    compareRule({ place: before.place, rule, ports: ports.get(name) }, undefined, ledger);
  }
  const next = new Map<string, RulePorts>();
  for (const [name, rule] of after?.rules ?? []) {
    if (after === undefined) continue;
    const old = before?.rules.get(name);
    const was =
      before === undefined || old === undefined
        ? undefined
        : { place: before.place, rule: old, ports: ports.get(name) };
    const given = assignRule({ changed, rule, place: after.place, was, options }, ledger, violations);
    if (given !== undefined) next.set(name, given);
  }
  const isSame = next.size === ports.size && [...next].every(([name, given]) => ports.get(name) === given);
  return isSame ? ports : next;
}

interface Side {
  readonly place: Place;
  readonly rules: ReadonlyMap<string, InboundNatRule>;
}

function sideOf(loadBalancer: LoadBalancer): Side {
  const rules = new Map(loadBalancer.inboundNatRules.map((rule) => [rule.name, rule]));
  return { place: placeOf(loadBalancer), rules };
}

interface RuleChange<Rule extends InboundNatRule = InboundNatRule> {
  readonly changed: ChangedLoadBalancer;
  readonly rule: Rule;
  readonly place: Place;
  /** Absent for a new rule. */
  readonly was: RuleState | undefined;
  readonly options: AssignOptions;
}

function assignRule(change: RuleChange, ledger: Ledger, violations: Violation[]): RulePorts | undefined {
  const { rule, place, was, options } = change;
  switch (rule.kind) {
    case 'single': {
      const ports = singleTargetPorts(rule, was?.rule.kind === 'single' ? was.ports : undefined, options.now);
      if (!leadsOn(was, rule, ports, place)) compareRule(was, { place, rule, ports }, ledger);
      return ports;
    }
    case 'pool':
      return assignPoolRule({ ...change, rule }, ledger, violations);
  }
}

function assignPoolRule(
  { changed, rule, place, was, options }: RuleChange<PoolRule>,
  ledger: Ledger,
  violations: Violation[],
): RulePorts | undefined {
  const old = continues(was, rule) ? was : undefined;
  const members = place.members(rule.backendPool);
  const sameRule = old !== undefined && old.rule === rule;
  const sameFrontend =
    old !== undefined && old.place.frontendAddress(old.rule) === place.frontendAddress(rule);
  if (sameRule && sameFrontend && old.place.members(rule.backendPool) === members) return old.ports;
  const allocation = allocate({
    loadBalancer: changed.name,
    rule,
    ruleChanged: !sameRule,
    members,
    previous: old?.ports,
    allowRemap: options.allowRemap,
    now: options.now,
    origin: changed.origin,
  });
  violations.push(...allocation.violations);
  const now = { place, rule, ports: allocation.ports };
  if (sameRule && sameFrontend) compareMembers(old, now, allocation, ledger);
  else compareRule(was, now, ledger);
  const { assigned, former } = allocation.ports;
  return assigned.size === 0 && former.size === 0 ? undefined : allocation.ports;
}

/** True when a single-target rule surely forwards as before: not even the pool of its target has changed. */
function leadsOn(
  was: RuleState | undefined,
  rule: SingleTargetRule,
  ports: RulePorts | undefined,
  place: Place,
): boolean {
  if (was?.rule !== rule || was.ports !== ports) return false;
  if (was.place.frontendAddress(rule) !== place.frontendAddress(rule)) return false;
  const pool = rule.target.kind === 'member' ? rule.target.backendPool : undefined;
  return pool === undefined || was.place.members(pool) === place.members(pool);
}

/** Whether what was given out stands; a rule that turns to another pool, or was no pool rule, starts anew. */
function continues(was: RuleState | undefined, rule: PoolRule): was is RuleState<PoolRule> {
  return was?.rule.kind === 'pool' && was.rule.backendPool === rule.backendPool;
}
