// Which established flows end with a change: those that would otherwise go on to where nothing leads any more.
import type { FlowSelector, OutboundChange } from './change.ts';
import { groupOf } from './ring-numbers.ts';
import type { Endpoint, Entry, Ring, Target } from './table.ts';

/** The flows of an entry that goes, or that leads elsewhere from now on. */
export function endOfEntry({ endpoint, target }: Entry): FlowSelector {
  return target.kind === 'nat'
    ? { kind: 'nat', endpoint, backend: target.address }
    : { kind: 'endpoint', endpoint };
}

/** True where flows cannot go on; another affinity, masquerading or ring of the same pool only counts for new ones. */
export function leadsElsewhere(before: Target, after: Target): boolean {
  if (before.port !== after.port) return true;
  return before.kind === 'nat'
    ? after.kind !== 'nat' || after.address !== before.address
    : after.kind !== 'balanced' ||
        groupOf(after.ring) !== groupOf(before.ring) ||
        (after.floating === undefined) !== (before.floating === undefined);
}

/** The flows whose ports an entry has no more: it stays a flow's own where its first port does. */
export function endOfOutbound({ before, after }: OutboundChange): readonly FlowSelector[] {
  if (before === undefined) return [];
  const stays = after?.address === before.address && after.first === before.first;
  const first = stays ? after.last + 1 : before.first;
  return first > before.last ? [] : [{ kind: 'outbound', entry: before, first, last: before.last }];
}

/** Flows that were a ring's and, after the change, are that ring's or another's of the same pool. */
export interface RingFlows {
  readonly before: Ring;
  readonly after: Ring;
  /** Those through these endpoints; absent where all flows of the pool are meant. */
  readonly endpoints?: readonly Endpoint[];
}

/**
 * The flows of members that are gone, have another address or have drained, and the UDP flows of those that went down. A ring that goes
 * as a whole needs none: its entries go, or lead elsewhere, with it. With another pool's ring in its place all flows end.
 */
export function endsOfRing(
  { before, after, endpoints }: RingFlows,
  samePool: boolean,
): readonly FlowSelector[] {
  const staying = new Map(samePool ? after.members.map((member) => [member.id, member]) : []);
  return before.members.flatMap((member): readonly FlowSelector[] => {
    const now = staying.get(member.id);
    if (now === member) return [];
    const flows = {
      kind: 'ring-member',
      ring: after.number,
      ...(before.number !== after.number && { from: before.number }),
      ...(endpoints && { endpoints }),
      backend: member.address,
    } as const;
    if (now?.address !== member.address) return [{ ...flows, udpOnly: false }];
    if (now.drained && !member.drained) return [{ ...flows, udpOnly: false, reset: true }];
    return member.keepsUdp && !now.keepsUdp ? [{ ...flows, udpOnly: true }] : [];
  });
}
