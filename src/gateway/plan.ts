// What a change does, in figures and in mappings, bounded so that an answer always fits a message.
import type { Change } from '../forwarding/change.ts';
import type { MappingChanges } from '../ports/mapping.ts';
import type { OutboundChanges } from '../ports/outbound.ts';
import type { Plan } from './contract.ts';

const mappingsListed = 10_000;

/** What a change does to the ports of all rules. */
export interface GivenOut {
  readonly mappings: MappingChanges;
  /** In members. */
  readonly outbound: OutboundChanges;
}

/** `commitTime` in milliseconds; 0 for a plan that is not carried out. */
export function planOf({ mappings, outbound }: GivenOut, change: Change, commitTime: number): Plan {
  const remapped = mappings.remapped.slice(0, mappingsListed / 2);
  const released = mappings.released.slice(0, mappingsListed - 2 * remapped.length);
  const assigned = mappings.assigned.slice(0, mappingsListed - 2 * remapped.length - released.length);
  return {
    assigned,
    released,
    remapped,
    assignedTotal: mappings.assigned.length,
    releasedTotal: mappings.released.length,
    remappedTotal: mappings.remapped.length,
    entriesAdded: change.added.length,
    entriesReplaced: change.replaced.length,
    entriesDeleted: change.removed.length,
    poolsRebalanced: change.rings.length,
    outboundAssigned: outbound.assigned,
    outboundReleased: outbound.released,
    outboundChanged: outbound.changed,
    commitTime,
  };
}
