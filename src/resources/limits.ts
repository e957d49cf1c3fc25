// How much one load balancer may hold: far above Azure's limits, and low enough that no request can exhaust the host.
import type { Field } from './field.ts';
import type { Report } from './report.ts';

export const limits = {
  frontends: 10_000,
  backendPools: 10_000,
  /** In one load balancer. */
  probes: 10_000,
  /** Of each kind of rule. */
  rules: 10_000,
  /** In one pool. */
  members: 50_000,
  /** That one rule allows. */
  clientRanges: 1_000,
} as const;

/** False, and a LIMIT_EXCEEDED, when there are more than `limit`; the elements are then not worth a look. */
export function withinLimit(
  count: number,
  limit: number,
  what: string,
  field: Field,
  report: Report,
): boolean {
  if (count <= limit) return true;
  report(field, 'LIMIT_EXCEEDED', `${count} ${what}: at most ${limit}`, {
    count: String(count),
    limit: String(limit),
  });
  return false;
}
