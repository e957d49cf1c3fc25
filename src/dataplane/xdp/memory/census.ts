// Reads what the memory holds: how full the maps are, and what was counted.
import type { Entry, Ring, RingMember } from '../../../forwarding/table.ts';
import type { Counters } from '../../dataplane.ts';
import { readAddress } from './address-words.ts';
import type { Entries } from './entries.ts';
import { counter } from './layout.ts';
import type { MapName, Memory } from './map-memory.ts';
import type { Parts } from './parts.ts';
import { defaultShape, doubled, type Needs, type Shape, union } from './shape.ts';

const words = counter.size / 4;

export interface Fill {
  readonly used: number;
  readonly capacity: number;
}

export class Census {
  readonly shape: Shape;
  readonly #parts: Parts;
  readonly #entries: Entries;
  readonly #counters: Int32Array;
  readonly #address = new Int32Array(4);

  constructor(memory: Memory, parts: Parts, entries: Entries, shards: number) {
    this.#parts = parts;
    this.#entries = entries;
    this.#counters = new Int32Array(
      memory.counters.buffer,
      0,
      (memory.counters.entries * memory.counters.valueSize) / 4,
    );
    this.shape = {
      frontends: memory.frontends.entries,
      backends: memory.backends.entries,
      machines: memory.machines.entries,
      rings: memory.rings.entries,
      members: memory.members.entries,
      slots: memory.slots.entries,
      rows: Math.floor(memory.counters.entries / shards),
      shards,
      addresses: memory.addresses.entries,
      flows: memory.flows.entries,
      seen: memory.seen.entries,
    };
  }

  /** Of all maps that can be full; of `frontends` and `backends`, 60 % is full. */
  fill(): Readonly<
    Record<'frontends' | 'backends' | 'machines' | 'rings' | 'members' | 'slots' | 'counters', Fill>
  > {
    const { frontends, backends, rings, counters } = this.#parts;
    return {
      frontends: { used: frontends.table.used, capacity: frontends.table.capacity },
      backends: { used: backends.table.used, capacity: backends.table.capacity },
      machines: { used: backends.machines.used, capacity: backends.machines.capacity },
      rings: { used: rings.rows.used, capacity: rings.rows.capacity },
      members: { used: rings.memberRows.used, capacity: rings.memberRows.capacity },
      slots: { used: rings.units.used, capacity: rings.units.capacity },
      counters: { used: counters.used, capacity: counters.capacity },
    };
  }

  /** What the maps hold now, with what is not settled yet. */
  needs(): Needs {
    const { frontends, backends, rings } = this.#parts;
    return {
      mappings: frontends.table.used,
      machines: backends.machines.used,
      rings: rings.rows.used,
      members: rings.memberRows.used,
      units: rings.units.used,
    };
  }

  /** The shape in which a full map has room again. */
  wanted(full: MapName, needs: Needs): Shape {
    const { shape } = this;
    const sized = defaultShape(needs, { cpus: shape.shards });
    const flows = { flows: shape.flows, seen: shape.seen };
    const larger = union(shape, { ...sized, ...flows });
    const key = full === 'counters' ? 'rows' : full;
    const grows = key in shape && larger[key as keyof Shape] > shape[key as keyof Shape];
    return grows ? larger : doubled(larger, full);
  }

  /** Since the entry got its present target; absent where the memory does not hold it. */
  counters(entry: Entry): Counters | undefined {
    const index = this.#entries.find(entry.endpoint);
    if (index < 0 || !this.#entries.leadsTo(index, entry.target)) return undefined;
    return this.#row(this.#parts.frontends.newest(index).counter);
  }

  /** Packets that all present targets have got, both ways; some ten milliseconds for a million of them. */
  translated(): number {
    const { counters, rings } = this.#parts;
    let packets = 0;
    // Row by row, as the memory lies: from target to target it would take far longer.
    for (let row = 0; row < counters.capacity; row += 1) {
      if (counters.has(row)) packets += this.#sum(row, counter.packets);
    }
    // Those were counted by their rules, too.
    for (const row of rings.counterRows()) packets -= this.#sum(row, counter.packets);
    return packets;
  }

  /** Of a ring's members, since they became some; those that the memory does not hold are absent. */
  memberCounters({ number, members }: Ring): ReadonlyMap<RingMember, Counters> {
    const { rings, backends } = this.#parts;
    const rows = rings.rowsOf(number);
    const found = new Map<RingMember, Counters>();
    for (const member of members) {
      const row = rows.get(backends.indexOf(readAddress(member.address, this.#address)));
      if (row !== undefined) found.set(member, this.#row(row));
    }
    return found;
  }

  #row(row: number): Counters {
    return {
      packets: this.#sum(row, counter.packets),
      bytes: this.#sum(row, counter.bytes),
      flows: this.#sum(row, counter.flows),
    };
  }

  /** Over the shards of a row. */
  #sum(row: number, field: number): number {
    const { shards } = this.shape;
    let sum = 0;
    for (let shard = row * shards; shard < (row + 1) * shards; shard += 1) {
      sum += readLong(this.#counters, shard * words + field / 4);
    }
    return sum;
  }
}

/** 64 bits in two loads, while others add to them. */
function readLong(from: Int32Array, at: number): number {
  for (;;) {
    const high = Atomics.load(from, at + 1);
    const low = Atomics.load(from, at);
    if (Atomics.load(from, at + 1) === high) return (high >>> 0) * 2 ** 32 + (low >>> 0);
  }
}
