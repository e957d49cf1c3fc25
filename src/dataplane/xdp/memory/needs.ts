// What a forwarding table, or a change of one, asks of the maps.
import type { Change } from '../../../forwarding/change.ts';
import type { ForwardingTable, Ring } from '../../../forwarding/table.ts';
import { slotsPerUnit } from './layout.ts';
import { type Needs, noNeeds } from './shape.ts';

/** Of a whole table. */
export function needsOfTable(table: ForwardingTable): Needs {
  let needs: Needs = { ...noNeeds, machines: table.backends.size };
  for (const { rules, rings } of table.loadBalancers.values()) {
    let mappings = needs.mappings;
    for (const { entries } of rules.values()) mappings += entries.size;
    needs = { ...needs, mappings };
    for (const ring of rings.values()) needs = plus(needs, needsOfRing(ring));
  }
  return needs;
}

/** Of what a change adds; what it takes away stays for a moment. */
export function needsOfChange(change: Change): Needs {
  let needs: Needs = {
    ...noNeeds,
    mappings: change.added.length,
    machines: change.backendsAdded.length,
  };
  for (const { before, after } of change.rings) {
    if (after === undefined) continue;
    const more = needsOfRing(after);
    needs = plus(
      needs,
      before === undefined
        ? more
        : { ...more, rings: 0, members: Math.max(0, more.members - before.members.length), units: 0 },
    );
  }
  return needs;
}

export function plus(a: Needs, b: Needs): Needs {
  return {
    mappings: a.mappings + b.mappings,
    machines: a.machines + b.machines,
    rings: a.rings + b.rings,
    members: a.members + b.members,
    units: a.units + b.units,
  };
}

function needsOfRing({ members, size }: Ring): Needs {
  return { ...noNeeds, rings: 1, members: members.length, units: Math.ceil(size / slotsPerUnit) };
}
