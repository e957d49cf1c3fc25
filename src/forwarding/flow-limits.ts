// Limits of rules: the kernel knows each by a number, which stays with the rule for as long as it has limits.
import type { Map as PersistentMap } from 'immutable';
import { type Family, familyOf } from '../resources/address.ts';
import { type ClientRange, reducedRanges } from '../resources/client-range.ts';
import type {
  FlowLimits,
  InboundNatRule,
  LoadBalancer,
  LoadBalancingRule,
  NewFlowLimit,
} from '../resources/model.ts';
import type { CompiledLoadBalancer } from './table.ts';

/** What one rule refuses, whatever endpoints it has. */
export interface FlowLimit {
  /** From 1 on. Kept in the kernel, so it stays the same for as long as the rule has limits. */
  readonly number: number;
  readonly family: Family;
  /** None lies within another one; sorted by text. Empty: everybody is allowed. */
  readonly allowed: readonly ClientRange[];
  readonly newFlows?: NewFlowLimit;
  readonly concurrentFlows?: number;
}

/** By `limitKey`. */
export type LimitNumbers = PersistentMap<string, number>;

/** `LOAD_BALANCER/RULE`, the rule as the compiled ones are named: `nat/NAME` or `lb/NAME`. */
export function limitKey(loadBalancer: string, rule: string): string {
  return `${loadBalancer}/${rule}`;
}

/** With the lowest free number for each rule that has limits and no number yet. */
export function assignLimitNumbers(
  numbers: LimitNumbers,
  loadBalancers: Iterable<LoadBalancer | undefined>,
): LimitNumbers {
  const wanting: string[] = [];
  for (const loadBalancer of loadBalancers) {
    for (const [rule] of limitedRules(loadBalancer)) {
      const key = limitKey(loadBalancer?.name ?? '', rule);
      if (!numbers.has(key)) wanting.push(key);
    }
  }
  if (wanting.length === 0) return numbers;
  const taken = new Set(numbers.values());
  let number = 1;
  return numbers.withMutations((assigned) => {
    for (const key of wanting) {
      while (taken.has(number)) number += 1;
      assigned.set(key, number);
      number += 1;
    }
  });
}

/** Without the numbers of rules that have no limits any more; as for rings, they are given up after the change. */
export function releaseLimitNumbers(
  numbers: LimitNumbers,
  changed: ReadonlyMap<string, LoadBalancer | undefined>,
  before: PersistentMap<string, CompiledLoadBalancer>,
): LimitNumbers {
  return numbers.withMutations((kept) => {
    for (const [name, loadBalancer] of changed) {
      const earlier = before.get(name)?.limits;
      if (earlier === undefined || earlier.size === 0) continue;
      const limited = new Set(Array.from(limitedRules(loadBalancer), ([rule]) => rule));
      for (const rule of earlier.keys()) if (!limited.has(rule)) kept.delete(limitKey(name, rule));
    }
  });
}

/** By name of the compiled rule; those that come out the same are the objects of `before`. */
export function compileLimits(
  before: CompiledLoadBalancer | undefined,
  loadBalancer: LoadBalancer,
  numbers: LimitNumbers,
): ReadonlyMap<string, FlowLimit> {
  const compiled = new Map<string, FlowLimit>();
  const families = new Map<string, Family>();
  for (const [key, { frontend, limits }] of limitedRules(loadBalancer)) {
    if (families.size === 0)
      for (const { name, address } of loadBalancer.frontends) families.set(name, familyOf(address));
    const number = numbers.get(limitKey(loadBalancer.name, key));
    const family = families.get(frontend);
    if (number === undefined || family === undefined) continue;
    const { allowedClients, ...counts } = limits;
    const limit: FlowLimit = { number, family, allowed: reducedOnce(allowedClients), ...counts };
    const earlier = before?.limits.get(key);
    compiled.set(key, earlier !== undefined && sameLimit(earlier, limit) ? earlier : limit);
  }
  return compiled;
}

/** A rule that did not change has the same list, and of 1,000 ranges the work takes some milliseconds. */
const reduced = new WeakMap<readonly ClientRange[], readonly ClientRange[]>();

function reducedOnce(ranges: readonly ClientRange[]): readonly ClientRange[] {
  const known = reduced.get(ranges);
  if (known !== undefined) return known;
  const found = reducedRanges(ranges);
  reduced.set(ranges, found);
  return found;
}

export function sameLimit(a: FlowLimit, b: FlowLimit): boolean {
  return (
    a.number === b.number &&
    a.family === b.family &&
    sameRanges(a.allowed, b.allowed) &&
    sameNewFlows(a.newFlows, b.newFlows) &&
    a.concurrentFlows === b.concurrentFlows
  );
}

export function sameNewFlows(a: NewFlowLimit | undefined, b: NewFlowLimit | undefined): boolean {
  return a?.perSecond === b?.perSecond && a?.burst === b?.burst;
}

/** True where clients that were allowed before may not be any more. `before` absent: everybody was. */
export function forbidsMore(before: FlowLimit | undefined, after: FlowLimit): boolean {
  if (after.allowed.length === 0) return false;
  return before === undefined || !sameRanges(before.allowed, after.allowed);
}

function sameRanges(a: readonly ClientRange[], b: readonly ClientRange[]): boolean {
  return a.length === b.length && a.every((range, index) => range === b[index]);
}

type LimitedRule = (InboundNatRule | LoadBalancingRule) & { readonly limits: FlowLimits };

function* limitedRules(
  loadBalancer: LoadBalancer | undefined,
): Generator<readonly [key: string, rule: LimitedRule]> {
  if (loadBalancer === undefined) return;
  for (const rule of loadBalancer.inboundNatRules) if (isLimited(rule)) yield [`nat/${rule.name}`, rule];
  for (const rule of loadBalancer.loadBalancingRules) if (isLimited(rule)) yield [`lb/${rule.name}`, rule];
}

function isLimited(rule: InboundNatRule | LoadBalancingRule): rule is LimitedRule {
  return rule.limits !== undefined;
}
