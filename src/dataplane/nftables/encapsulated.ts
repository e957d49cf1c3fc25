// Rules that only a data plane which encapsulates can carry out: declared while one ran, and now nftables does.
import type { CompiledRule, ForwardingTable } from '../../forwarding/table.ts';

/** A rule that did not change is the same object, and is not looked at again. */
const known = new WeakMap<CompiledRule, boolean>();

/** For `status`; nothing where there is none. */
export function encapsulationNotes(table: ForwardingTable): readonly string[] {
  let count = 0;
  for (const { rules } of table.loadBalancers.values()) {
    for (const rule of rules.values()) {
      const found = known.get(rule) ?? encapsulates(rule);
      known.set(rule, found);
      if (found) count += 1;
    }
  }
  if (count === 0) return [];
  const rules = count === 1 ? '1 rule' : `${count} rules`;
  return [`packets to ${rules} with encapsulation are dropped: nftables cannot encapsulate, XDP can`];
}

function encapsulates({ entries }: CompiledRule): boolean {
  for (const { target } of entries.values())
    if (target.kind === 'balanced' && target.floating === 'ipip') return true;
  return false;
}
