// Sets ports aside for the members of outbound rules: who has a block keeps it, whatever comes and goes around it.
import type { IpAddress, Transport } from '../resources/address.ts';
import { transportsOf } from '../resources/address.ts';
import { addressIndexOf } from '../resources/address-index.ts';
import type { ChangedLoadBalancer, ConfigurationChange } from '../resources/change.ts';
import { claimsDiffer, inboundPorts, ruleText } from '../resources/claims.ts';
import type { LoadBalancer, Member, OutboundRule } from '../resources/model.ts';
import { refuseIfAny, type Violation } from '../resources/refusal.ts';
import type { AssignOptions } from './assign.ts';
import {
  type LoadBalancerOutbound,
  noBlocks,
  type Outbound,
  type OutboundBlock,
  type OutboundChanges,
  type OutboundRulePorts,
  sizeOf,
} from './outbound.ts';
import { blocksOf, type Grounds, groundsOf } from './outbound-grounds.ts';
import { ownersAfter } from './outbound-owners.ts';
import { reportExhausted, reportInUse, reportLost } from './outbound-refusals.ts';
import { defaultPorts } from './outbound-size.ts';

/**
 * The blocks after a change, and how many members have others. What did not change is the same object. Throws a `Refusal`
 * with all offenders: OUTBOUND_PORTS_EXHAUSTED, OUTBOUND_PORTS_IN_USE, OUTBOUND_OVERLAP, FRONTEND_PORT_OVERLAP.
 */
export function assignOutbound(
  change: ConfigurationChange,
  outbound: Outbound,
  options: AssignOptions,
): { readonly outbound: Outbound; readonly changes: OutboundChanges } {
  const concerned = [...change.changed.values()].filter(isConcerned);
  const violations: Violation[] = [];
  reportIntruders(change, outbound, new Set(concerned.map(({ name }) => name)), violations);
  const owners =
    concerned.length === 0 ? outbound.owners : ownersAfter(concerned, outbound.owners, violations);
  refuseIfAny(violations);
  const cases = concerned.flatMap((changed) => casesOf(changed, outbound));
  const given = giveOut(cases, change, outbound, options, violations);
  refuseIfAny(violations);
  const changes = { assigned: 0, released: 0, changed: 0 };
  const ports = outbound.ports.withMutations((all) => {
    for (const changed of concerned) {
      const before = outbound.ports.get(changed.name) ?? noBlocks;
      const after = portsOf(changed, before, given);
      count(before, after, changes);
      if (after.size === 0) all.delete(changed.name);
      else if (after !== before) all.set(changed.name, after);
    }
  });
  const isSame = ports === outbound.ports && owners === outbound.owners;
  return { outbound: isSame ? outbound : { ports, owners }, changes };
}

/** What one rule's blocks are to be worked out from. */
export interface Case {
  readonly changed: ChangedLoadBalancer;
  readonly rule: OutboundRule;
  readonly members: readonly Member[];
  readonly addresses: readonly IpAddress[];
  readonly transports: readonly Transport[];
  /** Ports of each new block. */
  readonly ports: number;
  readonly before: ReadonlyMap<string, OutboundBlock>;
}

/**
 * How much of what members have is kept when there is not room for all: `trimmed`, as many ports as the default for the
 * pool's size; the last resort is to lay all blocks of the rule anew.
 */
type Keeping = 'whole' | 'trimmed' | 'nothing';
const lesser: Readonly<Record<Keeping, Keeping>> = {
  whole: 'trimmed',
  trimmed: 'nothing',
  nothing: 'nothing',
};

type Given = ReadonlyMap<Case, ReadonlyMap<string, OutboundBlock>>;

function isConcerned({ before, after }: ChangedLoadBalancer): boolean {
  if ((before?.outboundRules.length ?? 0) + (after?.outboundRules.length ?? 0) === 0) return false;
  if (before === undefined || after === undefined) return true;
  if (before.outboundRules !== after.outboundRules || claimsDiffer(before, after)) return true;
  return after.outboundRules.some(
    ({ backendPool }) => membersOf(before, backendPool) !== membersOf(after, backendPool),
  );
}

function membersOf({ backendPools }: LoadBalancer, name: string): readonly Member[] | undefined {
  return backendPools.find((pool) => pool.name === name)?.members;
}

/** An inbound rule may not take ports that another load balancer's members have. */
function reportIntruders(
  change: ConfigurationChange,
  outbound: Outbound,
  concerned: ReadonlySet<string>,
  violations: Violation[],
): void {
  if (outbound.ports.size === 0) return;
  const index = addressIndexOf(change.after);
  for (const { name, before, after, origin } of change.changed.values()) {
    if (after === undefined || (before !== undefined && !claimsDiffer(before, after))) continue;
    for (const { address, transport, from, to, rule } of inboundPorts(after)) {
      for (const other of index.get(address, [])) {
        const neighbour = other === name || concerned.has(other) ? undefined : change.after.get(other);
        if (neighbour === undefined) continue;
        const hit = [...blocksOf(neighbour, outbound)].find(
          ({ rule: outboundRule, block }) =>
            block.address === address &&
            transportsOf(outboundRule.protocol).includes(transport) &&
            (from === 0 || (from <= block.last && to >= block.first)),
        );
        if (hit === undefined) continue;
        const field = 'kind' in rule ? origin.natRule(rule.name) : origin.balancingRule(rule.name);
        if (violations.some((each) => each.field === field)) continue;
        const held = `ports ${hit.block.first} to ${hit.block.last} of ${address}`;
        violations.push({
          field,
          reason: 'FRONTEND_PORT_OVERLAP',
          description: `${ruleText(rule, name)} claims ${from === 0 ? 'every port' : `port ${from}${to > from ? ` to ${to}` : ''}`}, and outbound rule ${other}/${hit.rule.name} has set aside ${held}: give it other ports`,
          metadata: { rule: ruleText(rule, name), other_rule: `outbound rule ${other}/${hit.rule.name}` },
        });
      }
    }
  }
}

function casesOf(changed: ChangedLoadBalancer, outbound: Outbound): readonly Case[] {
  const { name, after } = changed;
  if (after === undefined) return [];
  const addressOf = new Map(after.frontends.map((frontend) => [frontend.name, frontend.address]));
  return after.outboundRules.map((rule) => {
    const members = membersOf(after, rule.backendPool) ?? [];
    const had = outbound.ports.get(name)?.get(rule.name);
    return {
      changed,
      rule,
      members,
      addresses: rule.frontends.flatMap((frontend) => addressOf.get(frontend) ?? []),
      transports: transportsOf(rule.protocol),
      ports: rule.portsPerMember || defaultPorts(members.length),
      before: had?.backendPool === rule.backendPool ? had.blocks : new Map(),
    };
  });
}

/** Tries with less and less of what there was, where that is allowed, until all have their ports. */
function giveOut(
  cases: readonly Case[],
  change: ConfigurationChange,
  outbound: Outbound,
  options: AssignOptions,
  violations: Violation[],
): Given {
  const open = new Set(cases.map(({ changed }) => changed.name));
  const keeping = new Map<Case, Keeping>(cases.map((each) => [each, 'whole']));
  for (;;) {
    const found: Violation[] = [];
    const attempt = attemptAll(cases, keeping, groundsOf(change.after, outbound, open), options, found);
    const stuck = [...attempt.misfits.keys()].filter((each) => keeping.get(each) !== 'nothing');
    if (options.allowRemap && stuck.length > 0) {
      for (const each of stuck) keeping.set(each, lesser[keeping.get(each) ?? 'nothing']);
      continue;
    }
    violations.push(...found);
    for (const [each, misfits] of attempt.misfits) {
      const others = groundsOf(change.after, outbound, open);
      for (const [other, blocks] of attempt.given) {
        if (other === each) continue;
        for (const block of blocks.values()) others.space(block.address).take(other.transports, block);
      }
      reportExhausted(each, misfits, others, violations);
    }
    return attempt.given;
  }
}

interface Attempt {
  readonly given: Given;
  /** Members without ports. */
  readonly misfits: ReadonlyMap<Case, readonly Member[]>;
}

function attemptAll(
  cases: readonly Case[],
  keeping: ReadonlyMap<Case, Keeping>,
  grounds: Grounds,
  options: AssignOptions,
  violations: Violation[],
): Attempt {
  // All that is kept comes before anything new, whichever rule is first.
  const kept = new Map(
    cases.map((each) => [each, keep(each, keeping.get(each) ?? 'whole', grounds, options, violations)]),
  );
  const given = new Map<Case, ReadonlyMap<string, OutboundBlock>>();
  const misfits = new Map<Case, readonly Member[]>();
  for (const each of cases) {
    const blocks = new Map<string, OutboundBlock>();
    const without: Member[] = [];
    for (const member of each.members) {
      const had = kept.get(each)?.get(member.id);
      const block = had === undefined ? place(each, member, grounds, options) : grown(each, had, grounds);
      if (block === undefined) without.push(member);
      else blocks.set(member.id, block);
    }
    given.set(each, blocks);
    if (without.length > 0) misfits.set(each, without);
  }
  return { given, misfits };
}

/** Blocks that stay where they are, perhaps with fewer ports. */
function keep(
  each: Case,
  keeping: Keeping,
  grounds: Grounds,
  { allowRemap }: AssignOptions,
  violations: Violation[],
): ReadonlyMap<string, OutboundBlock> {
  const kept = new Map<string, OutboundBlock>();
  for (const { id } of each.members) {
    const had = each.before.get(id);
    // Ports of an address that the rule has no more cannot be kept; nor need anybody be asked.
    if (had === undefined || keeping === 'nothing' || !each.addresses.includes(had.address)) continue;
    const wanted = each.rule.portsPerMember || (keeping === 'trimmed' ? each.ports : sizeOf(had));
    const block = wanted < sizeOf(had) ? { ...had, last: had.first + wanted - 1 } : had;
    const space = grounds.space(had.address);
    if (!space.isFree(each.transports, block)) {
      if (allowRemap) continue;
      reportInUse(each, had, grounds.claimOn(had.address, each.transports, block), violations);
    } else if (block !== had && !allowRemap) reportLost(each, had, wanted, violations);
    space.take(each.transports, block);
    kept.set(id, block);
  }
  return kept;
}

/** Undefined where a rule wants larger blocks and there is no room above this one. */
function grown(each: Case, had: OutboundBlock, grounds: Grounds): OutboundBlock | undefined {
  const missing = each.rule.portsPerMember - sizeOf(had);
  if (missing <= 0) return had;
  const more = { first: had.last + 1, last: had.last + missing };
  const space = grounds.space(had.address);
  if (more.last > 65_535 || !space.isFree(each.transports, more)) return undefined;
  space.take(each.transports, more);
  return { ...had, last: more.last };
}

function place(
  each: Case,
  { id }: Member,
  grounds: Grounds,
  { now }: AssignOptions,
): OutboundBlock | undefined {
  for (const address of each.addresses) {
    const range = grounds.space(address).takeAny(each.transports, each.ports);
    if (range === undefined) continue;
    const block = { member: id, address, ...range, since: now };
    const had = each.before.get(id);
    const isSame = had?.address === address && had.first === range.first && had.last === range.last;
    return isSame ? had : block;
  }
  return undefined;
}

function portsOf(
  { name, after }: ChangedLoadBalancer,
  before: LoadBalancerOutbound,
  given: Given,
): LoadBalancerOutbound {
  const ports = new Map<string, OutboundRulePorts>();
  for (const [{ changed, rule }, blocks] of given) {
    if (changed.name !== name || after === undefined || blocks.size === 0) continue;
    const had = before.get(rule.name);
    const isSame = had?.backendPool === rule.backendPool && sameBlocks(had.blocks, blocks);
    ports.set(rule.name, isSame ? had : { backendPool: rule.backendPool, blocks });
  }
  const isSame =
    ports.size === before.size && [...ports].every(([rule, blocks]) => before.get(rule) === blocks);
  return isSame ? before : ports;
}

function sameBlocks(
  one: ReadonlyMap<string, OutboundBlock>,
  other: ReadonlyMap<string, OutboundBlock>,
): boolean {
  if (one.size !== other.size) return false;
  const blocks = other.values();
  return one.values().every((block) => block === blocks.next().value);
}

function count(
  before: LoadBalancerOutbound,
  after: LoadBalancerOutbound,
  changes: { assigned: number; released: number; changed: number },
): void {
  for (const rule of new Set([...before.keys(), ...after.keys()])) {
    const [was, is] = [before.get(rule)?.blocks, after.get(rule)?.blocks];
    if (was === is) continue;
    for (const [member, block] of is ?? []) {
      const had = was?.get(member);
      if (had === undefined) changes.assigned += 1;
      else if (had !== block) changes.changed += 1;
    }
    for (const member of was?.keys() ?? []) if (is?.has(member) !== true) changes.released += 1;
  }
}
