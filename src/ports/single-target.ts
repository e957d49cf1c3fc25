// The one assignment of a rule with a single target, kept like those of pools so that it is as durable.
import type { SingleTargetRule } from '../resources/model.ts';
import type { RulePorts } from './assignment.ts';

/**
 * Keyed by member id (`backendPool` names its pool), or by the address (`backendPool` is empty). The previous object
 * when target and port are the same; undefined without a target.
 */
export function singleTargetPorts(
  rule: SingleTargetRule,
  previous: RulePorts | undefined,
  now: number,
): RulePorts | undefined {
  const { target, frontendPort: port } = rule;
  if (target.kind === 'none') return undefined;
  const backendPool = target.kind === 'member' ? target.backendPool : '';
  const member = target.kind === 'member' ? target.id : target.address;
  const had = previous?.backendPool === backendPool ? previous.assigned.get(member) : undefined;
  if (had?.port === port) return previous;
  return { backendPool, assigned: new Map([[member, { member, port, since: now }]]), former: new Map() };
}
