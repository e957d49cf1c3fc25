// A change of the forwarding table, written to the places that packets do not see yet.
import type { Change } from '../../../forwarding/change.ts';
import type { IpAddress } from '../../../resources/address.ts';
import type { Entries } from './entries.ts';
import type { Parts } from './parts.ts';

const none: ReadonlySet<IpAddress> = new Set();

/**
 * In steps. Flows in `change.ending` end with the serials and states of what they belong to; only where a ring's member stays
 * under the same address does it have to be told.
 */
export function* changeSteps(parts: Parts, entries: Entries, change: Change): Generator<void, void, void> {
  const { rings, ways } = parts;
  const ended = membersEnding(change);
  for (const { after } of change.rings) {
    if (after !== undefined) rings.stage(after, ended.get(after.number) ?? none);
    yield;
  }
  // Ways back are left before they are joined: whoever comes after the last one has it to himself.
  const removed = new Int32Array(change.removed.length);
  const replaced = new Int32Array(change.replaced.length);
  for (const [at, { endpoint }] of change.removed.entries()) {
    const index = entries.at(endpoint);
    removed[at] = index;
    entries.leave(index);
    if (at % 512 === 511) yield;
  }
  for (const [at, { before }] of change.replaced.entries()) {
    const index = entries.at(before.endpoint);
    replaced[at] = index;
    entries.leave(index);
    if (at % 512 === 511) yield;
  }
  for (const [at, { after }] of change.replaced.entries()) {
    entries.replace(replaced[at] as number, after.target);
    if (at % 512 === 511) yield;
  }
  for (const [at, entry] of change.added.entries()) {
    if (at % 32 === 0) entries.fetch(change.added, at, at + 32);
    entries.add(entry);
    if (at % 512 === 511) yield;
  }
  // Machines are left last: most stay in use.
  for (const [at, index] of replaced.entries()) {
    entries.forget(index);
    if (at % 512 === 511) yield;
  }
  for (const [at, index] of removed.entries()) {
    entries.remove(index);
    if (at % 512 === 511) yield;
  }
  for (const { before, after } of change.rings) {
    if (after === undefined) rings.remove(before.number);
    yield;
  }
  ways.conclude();
}

/** Machines whose flows through a ring end, by the ring's number. UDP flows alone end by the member's state. */
function membersEnding({ ending }: Change): ReadonlyMap<number, ReadonlySet<IpAddress>> {
  const ended = new Map<number, Set<IpAddress>>();
  for (const selector of ending) {
    if (selector.kind !== 'ring-member' || selector.udpOnly) continue;
    const machines = ended.get(selector.ring);
    if (machines === undefined) ended.set(selector.ring, new Set([selector.backend]));
    else machines.add(selector.backend);
  }
  return ended;
}
