// What a change of one rule does to its mappings, at the cost of what differs wherever the rule itself is the same.
import type { InboundNatRule, PoolRule } from '../resources/model.ts';
import type { Allocation } from './allocate.ts';
import type { RulePorts } from './assignment.ts';
import type { Mapping } from './mapping.ts';
import { mappingsOfRule, memberMappings, type Place } from './mappings.ts';

/** Collects the changes of all rules. */
export interface Ledger {
  readonly assigned: Mapping[];
  readonly released: Mapping[];
  readonly remapped: { readonly before: Mapping; readonly after: Mapping }[];
}

/** One side of a rule's change. */
export interface RuleState<Rule extends InboundNatRule = InboundNatRule> {
  readonly place: Place;
  readonly rule: Rule;
  readonly ports: RulePorts | undefined;
}

/** Compares all mappings of a rule; either side may be absent. */
export function compareRule(
  before: RuleState | undefined,
  after: RuleState | undefined,
  ledger: Ledger,
): void {
  compareMappings(allMappings(before), allMappings(after), ledger);
}

/** The same for a pool rule that is the same and on the same frontend address, given what the allocator did. */
export function compareMembers(
  before: RuleState<PoolRule>,
  after: RuleState<PoolRule>,
  { placed, released }: Pick<Allocation, 'placed' | 'released'>,
  ledger: Ledger,
): void {
  const differing = new Set(released.map((assignment) => assignment.member));
  for (const { member } of placed) differing.add(member);
  const old = before.place.members(before.rule.backendPool);
  // Walks both in their order, which deletions leave as it was, and looks up only where they part.
  let cursor = 0;
  for (const member of after.place.members(after.rule.backendPool)) {
    while (old[cursor] !== member && differing.has(old[cursor]?.id ?? '')) cursor += 1;
    const likely = old[cursor];
    if (likely?.id === member.id) cursor += 1;
    if (likely === member || !before.ports?.assigned.has(member.id)) continue;
    const was = likely?.id === member.id ? likely : before.place.member(before.rule.backendPool, member.id);
    if (was !== member && was?.address !== member.address) differing.add(member.id);
  }
  for (const id of differing)
    compareMappings(mappingsOfMember(before, id), mappingsOfMember(after, id), ledger);
}

function allMappings(state: RuleState | undefined): readonly Mapping[] {
  return state?.ports === undefined ? [] : [...mappingsOfRule(state.place, state.rule, state.ports)];
}

function mappingsOfMember({ place, rule, ports }: RuleState<PoolRule>, id: string): readonly Mapping[] {
  const assignment = ports?.assigned.get(id);
  const member = assignment === undefined ? undefined : place.member(rule.backendPool, id);
  if (assignment === undefined || member === undefined) return [];
  return [...memberMappings(place, rule, member, assignment)];
}

function compareMappings(before: readonly Mapping[], after: readonly Mapping[], ledger: Ledger): void {
  const old = keyed(before);
  if (old.size === 0) {
    for (const mapping of after) ledger.assigned.push(mapping);
    return;
  }
  for (const [key, mapping] of keyed(after)) {
    const was = old.get(key);
    old.delete(key);
    if (was === undefined) ledger.assigned.push(mapping);
    else if (!leadsAlike(was, mapping)) ledger.remapped.push({ before: was, after: mapping });
  }
  for (const mapping of old.values()) ledger.released.push(mapping);
}

/** By machine, and by which of the machine's ports it is; a machine's mappings come in the order of their ports. */
function keyed(mappings: readonly Mapping[]): Map<string, Mapping> {
  const byKey = new Map<string, Mapping>();
  let machine = '';
  let offset = 0;
  for (const mapping of mappings) {
    const { backendPool, member } = mapping;
    const own = member === '' ? mapping.backendAddress : `${backendPool}/${member}`;
    offset = own === machine ? offset + 1 : 0;
    machine = own;
    byKey.set(`${own}#${offset}`, mapping);
  }
  return byKey;
}

function leadsAlike(one: Mapping, other: Mapping): boolean {
  return (
    one.frontendAddress === other.frontendAddress &&
    one.protocol === other.protocol &&
    one.frontendPort === other.frontendPort &&
    one.backendAddress === other.backendAddress &&
    one.backendPort === other.backendPort
  );
}
