// Why ports cannot be set aside, with the figures and the remedy.
import { ruleText } from '../resources/claims.ts';
import type { Member } from '../resources/model.ts';
import { outboundPortsPerAddress } from '../resources/parse-outbound-rule.ts';
import type { Violation } from '../resources/refusal.ts';
import type { Case } from './assign-outbound.ts';
import { type OutboundBlock, sizeOf } from './outbound.ts';
import type { Claim, Grounds } from './outbound-grounds.ts';

/** `others` holds what is taken besides this rule's own ports. */
export function reportExhausted(
  each: Case,
  misfits: readonly Member[],
  others: Grounds,
  violations: Violation[],
): void {
  const { changed, rule, members, ports, addresses, transports } = each;
  const room = addresses.reduce((sum, address) => sum + others.space(address).room(transports, ports), 0);
  const free = addresses.reduce((sum, address) => sum + others.space(address).free(transports), 0);
  const whole = outboundPortsPerAddress * addresses.length;
  const needs = `pool ${rule.backendPool} needs ${figure(members.length * ports)} ports (${figure(members.length)} members × ${figure(ports)})`;
  const has = `outbound rule ${changed.name}/${rule.name} has room for ${figure(room)} ${room === 1 ? 'member' : 'members'}`;
  const of = `${figure(free)} of the ${figure(whole)} ports of ${addresses.join(', ')} are not used by other rules`;
  const remedy =
    room >= members.length
      ? 'they would fit, but not around the ports that members have: set allow_remap, which moves them'
      : 'set fewer ports_per_member, or add a frontend';
  for (const field of offenders(each, misfits)) {
    violations.push({
      field,
      reason: 'OUTBOUND_PORTS_EXHAUSTED',
      description: `${needs}, and ${has}: ${of}; ${remedy}`,
      metadata: {
        load_balancer: changed.name,
        rule: rule.name,
        needed: `${members.length * ports}`,
        available: `${room * ports}`,
        members: `${members.length}`,
        ports_per_member: `${ports}`,
        addresses: `${addresses.length}`,
      },
    });
  }
}

/** The members that came too many, where nothing but the pool has changed; else the rule. */
function offenders({ changed, rule, members, before }: Case, misfits: readonly Member[]): readonly string[] {
  const had = changed.before?.outboundRules.find(({ name }) => name === rule.name);
  const newcomers = misfits.filter(({ id }) => !before.has(id));
  const isGrown = had === rule && members.length > before.size && newcomers.length > 0;
  if (!isGrown) return [changed.origin.outboundRule(rule.name)];
  return [...new Set(newcomers.map(({ id }) => changed.origin.member(rule.backendPool, id)))];
}

/** An inbound rule, or what else came into a member's ports. */
export function reportInUse(
  { changed, rule }: Case,
  { member, address, first, last }: OutboundBlock,
  claim: Claim | undefined,
  violations: Violation[],
): void {
  const { origin } = changed;
  const own = claim !== undefined && claim.loadBalancer === changed.name;
  const field = !own
    ? origin.outboundRule(rule.name)
    : 'kind' in claim.rule
      ? origin.natRule(claim.rule.name)
      : origin.balancingRule(claim.rule.name);
  const held = `member ${member} has ports ${first} to ${last} of ${address} by outbound rule ${changed.name}/${rule.name}`;
  const fault =
    claim === undefined
      ? `${held}, which are another's for the protocols of the rule`
      : `${held}, of which ${ruleText(claim.rule, claim.loadBalancer)} claims some`;
  violations.push({
    field,
    reason: 'OUTBOUND_PORTS_IN_USE',
    description: `${fault}: use others, or set allow_remap, which gives the member other ports and ends its flows`,
    metadata: {
      load_balancer: changed.name,
      rule: rule.name,
      member,
      first_port: `${first}`,
      last_port: `${last}`,
    },
  });
}

/** A rule that gives fewer ports than before. */
export function reportLost(
  { changed, rule }: Case,
  had: OutboundBlock,
  wanted: number,
  violations: Violation[],
): void {
  violations.push({
    field: `${changed.origin.outboundRule(rule.name)}.ports_per_member`,
    reason: 'OUTBOUND_PORTS_IN_USE',
    description: `member ${had.member} has ${figure(sizeOf(had))} ports and would keep ${figure(wanted)}: leave ports_per_member, or set allow_remap, which ends the flows on the others`,
    metadata: {
      load_balancer: changed.name,
      rule: rule.name,
      member: had.member,
      first_port: `${had.first}`,
      last_port: `${had.last}`,
    },
  });
}

/** 71,680. */
function figure(number: number): string {
  return String(number).replace(/\B(?=(\d{3})+$)/g, ',');
}
