// From whatever the memory holds to a forwarding table: for the first load, for repair, and after growth.

import type { Entry, ForwardingTable } from '../../../forwarding/table.ts';
import type { IpAddress } from '../../../resources/address.ts';
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
  let read = 0;
  for (const loadBalancer of table.loadBalancers.values()) {
    for (const rule of loadBalancer.rules.values()) {
      for (const entry of rule.entries.values()) {
        if (++read % 512 === 0) yield;
        const index = entries.find(entry.endpoint);
        if (index < 0) {
          added.push(entry);
          continue;
        }
        wanted[index] = 1;
        if (entries.leadsTo(index, entry.target)) continue;
        entries.leave(index);
        replaced.push(entry);
        places.push(index);
      }
    }
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
    if (at % 32 === 0) entries.fetch(added, at, at + 32);
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
  ways.conclude();
}
