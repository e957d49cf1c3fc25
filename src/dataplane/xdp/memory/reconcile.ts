// From whatever the memory holds to a forwarding table: for the first load, for repair, and after growth.

import type { Entry, ForwardingTable } from '../../../forwarding/table.ts';
import type { IpAddress } from '../../../resources/address.ts';
import { Ahead, ahead } from './ahead.ts';
import type { Entries } from './entries.ts';
import { IntList } from './int-list.ts';
import type { Parts } from './parts.ts';

const none: ReadonlySet<IpAddress> = new Set();

/** In steps. All that was published is settled. */
export function* reconcileSteps(
  parts: Parts,
  entries: Entries,
  table: ForwardingTable,
): Generator<void, void, void> {
  const { frontends, rings, ways } = parts;
  const fetch = new Ahead(parts);
  const numbers = new Set<number>();
  for (const loadBalancer of table.loadBalancers.values()) {
    for (const ring of loadBalancer.rings.values()) {
      rings.stage(ring, none);
      numbers.add(ring.number);
      yield;
    }
  }
  const wanted = new Uint8Array(frontends.table.capacity);
  const added: Entry[] = [];
  const replaced: Entry[] = [];
  const places = new IntList();
  const present = new Int32Array(ahead);
  for (const block of blocks(table)) {
    fetch.entries(block, 0);
    const there: Entry[] = [];
    for (const entry of block) {
      const index = entries.find(entry.endpoint);
      if (index < 0) {
        added.push(entry);
        continue;
      }
      present[there.length] = index;
      there.push(entry);
    }
    fetch.machines(present.subarray(0, there.length), 0, 'newest');
    for (const [at, entry] of there.entries()) {
      const index = present[at] as number;
      wanted[index] = 1;
      if (entries.leadsTo(index, entry.target)) continue;
      entries.leave(index);
      replaced.push(entry);
      places.push(index);
    }
    yield;
  }
  const removed = new IntList();
  for (let index = 0; index < wanted.length; index += 1) {
    if (index % 16_384 === 16_383) yield;
    if (wanted[index] === 1 || frontends.table.key(index) === 0) continue;
    entries.leave(index);
    removed.push(index);
  }
  for (const [at, { target }] of replaced.entries()) {
    entries.replace(places.at(at), target);
    if (at % 512 === 511) yield;
  }
  for (const [at, entry] of added.entries()) {
    if (at % ahead === 0) fetch.entries(added, at);
    entries.add(entry);
    if (at % 512 === 511) yield;
  }
  for (let at = 0; at < places.length; at += 1) {
    entries.forget(places.at(at));
    if (at % 512 === 511) yield;
  }
  for (let at = 0; at < removed.length; at += 1) {
    entries.remove(removed.at(at));
    if (at % 512 === 511) yield;
  }
  for (const number of rings.numbers()) if (!numbers.has(number)) rings.remove(number);
  yield* ways.conclude();
}

/** All entries, some at a time. */
function* blocks(table: ForwardingTable): Generator<readonly Entry[], void, void> {
  let block: Entry[] = [];
  for (const { rules } of table.loadBalancers.values()) {
    for (const { entries } of rules.values()) {
      for (const entry of entries.values()) {
        block.push(entry);
        if (block.length < ahead) continue;
        yield block;
        block = [];
      }
    }
  }
  yield block;
}
