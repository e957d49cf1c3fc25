// What a change does, as the message that Apply, ReplaceAll and Watch answer with.
import type { Applied, Plan } from '../gateway/contract.ts';
import type { Mapping } from '../ports/mapping.ts';
import { penstock } from '../wire/generated/proto.js';
import { type Sent, toDuration, toPortMapping } from './to-proto.ts';

/** Bytes of the lists of a plan, which must stay well below gRPC's 4 MB however long the names are. */
const listLimit = 3_000_000;

export function toApplyResponse({ revision, plan }: Applied): Sent<'ApplyResponse'> {
  return { revision, plan: toPlan(plan) };
}

/** Lists that would not fit are cut, remapped ports last; the totals are always of all. */
export function toPlan(plan: Plan): Sent<'Plan'> {
  const room = { bytes: listLimit };
  const remapped = within(
    room,
    plan.remapped,
    ({ before, after }) => ({ before: toPortMapping(before), after: toPortMapping(after) }),
    (pair) => penstock.v1.RemappedPort.encode(pair).len,
  );
  const assigned = within(room, plan.assigned, mappingOf, mappingSize);
  const released = within(room, plan.released, mappingOf, mappingSize);
  return {
    assigned,
    released,
    remapped,
    entriesAdded: plan.entriesAdded,
    entriesReplaced: plan.entriesReplaced,
    entriesDeleted: plan.entriesDeleted,
    commitTime: toDuration(plan.commitTime),
    assignedTotal: plan.assignedTotal,
    releasedTotal: plan.releasedTotal,
    remappedTotal: plan.remappedTotal,
    poolsRebalanced: plan.poolsRebalanced,
    outboundAssigned: plan.outboundAssigned,
    outboundReleased: plan.outboundReleased,
    outboundChanged: plan.outboundChanged,
  };
}

/** Bytes of a mapping on the wire. */
export function mappingSize(mapping: Sent<'PortMapping'>): number {
  return penstock.v1.PortMapping.encode(mapping).len;
}

function mappingOf(mapping: Mapping): Sent<'PortMapping'> {
  return toPortMapping(mapping);
}

/** As many as fit, from the first on; takes what they need from the room. */
function within<T, Message>(
  room: { bytes: number },
  items: readonly T[],
  convert: (item: T) => Message,
  sizeOf: (message: Message) => number,
): Message[] {
  const messages: Message[] = [];
  for (const item of items) {
    const message = convert(item);
    room.bytes -= sizeOf(message) + 6;
    if (room.bytes < 0) break;
    messages.push(message);
  }
  return messages;
}
