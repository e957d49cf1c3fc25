// Reads what the memory holds: how full the maps are, and what was counted.
import type { Entry } from '../../../forwarding/table.ts';
import type { IpAddress } from '../../../resources/address.ts';
import type { Counters, FlowTableReport } from '../../dataplane.ts';
import type { Entries } from './entries.ts';
import { flowFill } from './flow-fill.ts';
import { counter } from './layout.ts';
import type { MapMemory, MapName, Memory } from './map-memory.ts';
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
  readonly #flows: MapMemory;

  constructor(memory: Memory, parts: Parts, entries: Entries, shards: number) {
    this.#parts = parts;
    this.#entries = entries;
    this.#flows = memory.flows;
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

  /** The flow table, whose flows come and go without the agent. */
  flows(): FlowTableReport {
    return flowFill(this.#flows);
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
    const { frontends } = this.#parts;
    let packets = 0;
    for (let index = 0; index < frontends.table.capacity; index += 1) {
      if (frontends.table.key(index) !== 0) packets += this.#row(frontends.newest(index).counter).packets;
    }
    return packets;
  }

  /** Of a ring's member, since it became one. */
  memberCounters(ring: number, address: IpAddress): Counters | undefined {
    const row = this.#parts.rings.counterOf(ring, address);
    return row === undefined ? undefined : this.#row(row);
  }

  #row(row: number): Counters {
    let packets = 0;
    let bytes = 0;
    let flows = 0;
    const { shards } = this.shape;
    for (let shard = 0; shard < shards; shard += 1) {
      const at = (row * shards + shard) * words;
      packets += readLong(this.#counters, at + counter.packets / 4);
      bytes += readLong(this.#counters, at + counter.bytes / 4);
      flows += readLong(this.#counters, at + counter.flows / 4);
    }
    return { packets, bytes, flows };
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
