// Rules of a pool share a ring where they agree on who is eligible: by the same probe, with the same way out.
import type { LoadBalancingRule } from '../resources/model.ts';

/** `POOL`, `POOL/PROBE`, or `POOL/PROBE/up` with ALL_PROBED_UP; names hold no slash. */
export function ringName({
  backendPool,
  probe,
  noHealthyBackends,
}: Pick<LoadBalancingRule, 'backendPool' | 'probe' | 'noHealthyBackends'>): string {
  if (probe === '') return backendPool;
  return noHealthyBackends === 'up' ? `${backendPool}/${probe}/up` : `${backendPool}/${probe}`;
}

/** The pool of a ring, by the ring's name. */
export function poolOfRing(name: string): string {
  const slash = name.indexOf('/');
  return slash < 0 ? name : name.slice(0, slash);
}
