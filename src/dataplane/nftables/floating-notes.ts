// What `status` says about rules with floating_ip: those declared while a data plane ran that encapsulates, and flows that
// nobody can list.
import type { CompiledRule, ForwardingTable } from '../../forwarding/table.ts';
import type { Floating } from '../../resources/model.ts';

/** A rule that did not change is the same object, and is not looked at again. */
const known = new WeakMap<CompiledRule, Floating | 'not'>();

/** Nothing where there is no such rule. */
export function floatingNotes(table: ForwardingTable): readonly string[] {
  const counts = { not: 0, neighbour: 0, ipip: 0 };
  for (const { rules } of table.loadBalancers.values()) {
    for (const rule of rules.values()) {
      const found = known.get(rule) ?? floatingOf(rule);
      known.set(rule, found);
      counts[found] += 1;
    }
  }
  const notes: string[] = [];
  if (counts.neighbour > 0)
    notes.push(
      `flows of ${words(counts.neighbour)} with floating_ip are remembered by a hash, so not listed`,
    );
  if (counts.ipip > 0)
    notes.push(
      `packets to ${words(counts.ipip)} with encapsulation are dropped: nftables cannot encapsulate, XDP can`,
    );
  return notes;
}

function words(count: number): string {
  return count === 1 ? '1 rule' : `${count} rules`;
}

function floatingOf({ entries }: CompiledRule): Floating | 'not' {
  for (const { target } of entries.values())
    if (target.kind === 'balanced' && target.floating !== undefined) return target.floating;
  return 'not';
}
