// How the limits of two tables differ, and whose flows end with it.
import type { Change, FlowSelector, LimitChange } from './change.ts';
import { valuesThatDiffer } from './differences.ts';
import { type FlowLimit, forbidsMore, sameLimit } from './flow-limits.ts';
import { type CompiledLoadBalancer, endpointKey } from './table.ts';

interface Differing {
  readonly before?: CompiledLoadBalancer | undefined;
  readonly after?: CompiledLoadBalancer | undefined;
}

/** By number, so that a number which goes from one rule to another is one change. */
export function diffLimits(differing: Iterable<Differing>): readonly LimitChange[] {
  const gone = new Map<number, FlowLimit>();
  const come = new Map<number, FlowLimit>();
  for (const { before, after } of differing) {
    for (const [left, right] of valuesThatDiffer(before?.limits, after?.limits)) {
      if (left !== undefined) gone.set(left.number, left);
      if (right !== undefined) come.set(right.number, right);
    }
  }
  const changes: LimitChange[] = [];
  for (const [number, after] of come) {
    const before = gone.get(number);
    gone.delete(number);
    if (before === undefined) changes.push({ after });
    else if (!sameLimit(before, after)) changes.push({ before, after });
  }
  for (const before of gone.values()) changes.push({ before });
  return changes;
}

/**
 * Flows of clients that a rule does not allow any more. A rule that is new has none, unless it has taken over endpoints from
 * one with another name.
 */
export function endsOfLimits(
  { before, after }: Differing,
  replaced: Change['replaced'],
): readonly FlowSelector[] {
  const ending: FlowSelector[] = [];
  for (const [left, right, key] of valuesThatDiffer(before?.limits, after?.limits)) {
    const entries = after?.rules.get(key)?.entries;
    if (right === undefined || entries === undefined || !forbidsMore(left, right)) continue;
    const hasFlows =
      before?.rules.has(key) ||
      replaced.some(({ after: entry }) => entries.get(endpointKey(entry.endpoint)) === entry);
    if (hasFlows) ending.push({ kind: 'clients', entries, allowed: right.allowed });
  }
  return ending;
}
