// A change of the forwarding table, written to the places that packets do not see yet.
import type { Change } from '../../../forwarding/change.ts';
import type { Entry } from '../../../forwarding/table.ts';
import type { IpAddress } from '../../../resources/address.ts';
import { readAddress } from './address-words.ts';
import { Ahead, ahead } from './ahead.ts';
import type { Entries } from './entries.ts';
import type { Parts } from './parts.ts';

const address = new Int32Array(4);
const none: ReadonlySet<IpAddress> = new Set();
/** So many entries without a pause; a multiple of `ahead`. */
const turn = 512;

/**
 * In steps. Flows in `change.ending` end with the serials and states of what they belong to; only where a ring's member stays
 * under the same address does it have to be told.
 */
export function* changeSteps(parts: Parts, entries: Entries, change: Change): Generator<void, void, void> {
  const { flowMoves, rings, ways } = parts;
  flowMoves.begin();
  const fetch = new Ahead(parts);
  const ended = membersEnding(change);
  for (const { after } of change.rings) {
    if (after !== undefined) rings.stage(after, ended.get(after.number) ?? none);
    yield;
  }
  const befores = change.replaced.map(({ before }) => before);
  const afters = change.replaced.map(({ after }) => after);
  // Ways back are left before they are joined: whoever comes after the last one has it to himself.
  const removed = yield* left(entries, fetch, change.removed);
  const replaced = yield* left(entries, fetch, befores);
  for (const [at, entry] of afters.entries()) {
    if (at % ahead === 0) fetch.entries(afters, at);
    entries.replace(replaced[at] as number, entry.target);
    if (at % turn === 0) yield;
  }
  for (const [at, entry] of change.added.entries()) {
    if (at % ahead === 0) fetch.entries(change.added, at);
    entries.add(entry);
    if (at % turn === 0) yield;
  }
  // Machines are left last: most stay in use.
  for (const [at, index] of replaced.entries()) {
    if (at % ahead === 0) fetch.entries(befores, at);
    if (at % ahead === 0) fetch.machines(replaced, at, 'before');
    entries.forget(index);
    if (at % turn === 0) yield;
  }
  for (const [at, index] of removed.entries()) {
    if (at % ahead === 0) fetch.entries(change.removed, at);
    if (at % ahead === 0) fetch.machines(removed, at, 'newest');
    entries.remove(index);
    if (at % turn === 0) yield;
  }
  for (const { before, after } of change.rings) {
    if (after === undefined) rings.remove(before.number);
    yield;
  }
  yield* ways.conclude();
  keepBack(parts, change);
}

/** Flows that come to another ring with the change and end by it, although a member of that has their machine's address. */
function keepBack({ backends, flowMoves, rings }: Parts, { ending }: Change): void {
  for (const each of ending) {
    if (each.kind !== 'ring-member' || each.udpOnly || each.from === undefined) continue;
    const machine = backends.indexOf(readAddress(each.backend, address));
    if (machine >= 0) flowMoves.end(rings.indexOf(each.ring), machine);
  }
}

/** Leaves the ways back of entries, and tells their places. */
function* left(entries: Entries, fetch: Ahead, list: readonly Entry[]): Generator<void, Int32Array, void> {
  const places = new Int32Array(list.length);
  for (let from = 0; from < list.length; from += ahead) {
    const to = Math.min(from + ahead, list.length);
    fetch.entries(list, from);
    for (let at = from; at < to; at += 1) places[at] = entries.at((list[at] as Entry).endpoint);
    fetch.machines(places, from, 'newest');
    for (let at = from; at < to; at += 1) entries.leave(places[at] as number);
    if (from % turn === 0) yield;
  }
  return places;
}

/**
 * Machines whose flows through a ring end, by the ring's number. UDP flows alone end by the member's state; those that come to
 * the ring with the change end while they are moved.
 */
function membersEnding({ ending }: Change): ReadonlyMap<number, ReadonlySet<IpAddress>> {
  const ended = new Map<number, Set<IpAddress>>();
  for (const selector of ending) {
    if (selector.kind !== 'ring-member' || selector.udpOnly || selector.from !== undefined) continue;
    const machines = ended.get(selector.ring);
    if (machines === undefined) ended.set(selector.ring, new Set([selector.backend]));
    else machines.add(selector.backend);
  }
  return ended;
}
