// Rules of a pool share a ring where they agree on who is eligible, by the same probe, with the same way out, and on how
// long those that drain keep their flows, and on whether destination addresses stay.
import type { LoadBalancingRule } from '../resources/model.ts';

/**
 * `POOL`, `POOL/PROBE`, or `POOL/PROBE/up` with ALL_PROBED_UP, and behind that `/~MILLISECONDS` with a drain period,
 * and `/~floating` where destination addresses stay; names hold neither slash nor tilde.
 */
export function ringName({
  backendPool,
  probe,
  noHealthyBackends,
  drainPeriod,
  flow,
}: Pick<LoadBalancingRule, 'backendPool' | 'probe' | 'noHealthyBackends' | 'drainPeriod' | 'flow'>): string {
  const parts = [backendPool];
  if (probe !== '') parts.push(probe);
  if (probe !== '' && noHealthyBackends === 'up') parts.push('up');
  if (drainPeriod !== undefined) parts.push(`~${drainPeriod}`);
  if (flow.floating !== undefined) parts.push('~floating');
  return parts.join('/');
}

/** The pool of a ring, by the ring's name. */
export function poolOfRing(name: string): string {
  const slash = name.indexOf('/');
  return slash < 0 ? name : name.slice(0, slash);
}
