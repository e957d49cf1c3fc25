// Wishes of members for certain ports, and whether a rule can hear them.
import type { Port } from '../resources/address.ts';
import type { ChangedLoadBalancer } from '../resources/change.ts';
import type { BackendPool, LoadBalancer, Member } from '../resources/model.ts';
import type { Violation } from '../resources/refusal.ts';

/** The port that a member asks of a rule. A rule may be named as something that every object inherits. */
export function pinOf(member: Member, rule: string): Port | undefined {
  return Object.hasOwn(member.pins, rule) ? member.pins[rule] : undefined;
}

/** The field of a pin, below its member's. */
export function pinField(memberField: string, rule: string): string {
  return `${memberField}.pins[${JSON.stringify(rule)}]`;
}

/** Pins that name no pool rule of the member's pool. Looks only at members that the change may have touched. */
export function strayPins(change: ChangedLoadBalancer, after: LoadBalancer): readonly Violation[] {
  const violations: Violation[] = [];
  const sameRules = change.before?.inboundNatRules === after.inboundNatRules;
  const before = new Map(change.before?.backendPools.map((pool) => [pool.name, pool]));
  const poolOfRule = new Map(
    after.inboundNatRules.map((rule) => [rule.name, rule.kind === 'pool' ? rule.backendPool : undefined]),
  );
  for (const pool of after.backendPools) {
    for (const member of touchedMembers(pool, sameRules ? before.get(pool.name) : undefined)) {
      for (const rule of Object.keys(member.pins)) {
        if (poolOfRule.get(rule) === pool.name) continue;
        violations.push({
          field: pinField(change.origin.member(pool.name, member.id), rule),
          reason: 'PIN_INVALID',
          description: `pin for ${JSON.stringify(rule)}: pool ${after.name}/${pool.name} has no inbound NAT rule of that name; remove the pin or name a rule on the pool`,
          metadata: { rule, member: member.id },
        });
      }
    }
  }
  return violations;
}

function touchedMembers(pool: BackendPool, before: BackendPool | undefined): readonly Member[] {
  if (before === undefined) return pool.members;
  const { members } = before;
  return pool === before ? [] : pool.members.filter((member, index) => member !== members[index]);
}
