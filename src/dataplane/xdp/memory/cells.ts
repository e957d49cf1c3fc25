// The cells that tell the program at one glance that a packet is not ours: a bit per kind of address, and how many addresses
// (or endpoints) stand behind each bit, so that it can be cleared again.
import { addressHash } from './hash.ts';
import { IntList } from './int-list.ts';
import { addressBit } from './layout.ts';
import type { MapMemory } from './map-memory.ts';
import type { Store } from './store.ts';

export type AddressKind = keyof typeof addressBit;

const kinds: readonly AddressKind[] = ['frontend', 'machine', 'ring'];

export class Cells {
  readonly #store: Store;
  readonly #mask: number;
  /** Endpoints of one address can be many, machines behind one cell cannot. */
  readonly #counts: Readonly<Record<AddressKind, Uint32Array | Uint16Array>>;
  /** Cell << 3 | kind << 1, 1 added where it was one more. */
  readonly #log = new IntList();

  constructor(store: Store, { entries, valueSize }: MapMemory) {
    const cells = entries * valueSize;
    this.#store = store;
    this.#mask = cells - 1;
    this.#counts = {
      frontend: new Uint32Array(cells),
      machine: new Uint16Array(cells),
      ring: new Uint16Array(cells),
    };
  }

  /** Seen by packets before the change is: a bit says "perhaps". */
  add(kind: AddressKind, address: Int32Array): void {
    const cell = addressHash(address) & this.#mask;
    this.#log.push((cell << 3) | (kinds.indexOf(kind) << 1) | 1);
    this.#step(kind, cell, 1);
  }

  /** Takes back an `add` of the same change. */
  drop(kind: AddressKind, address: Int32Array): void {
    const cell = addressHash(address) & this.#mask;
    this.#log.push((cell << 3) | (kinds.indexOf(kind) << 1));
    this.#step(kind, cell, -1);
  }

  /** After the grace period: the address is gone for good. */
  release(kind: AddressKind, address: Int32Array): void {
    this.#step(kind, addressHash(address) & this.#mask, -1);
  }

  abort(): void {
    for (let at = 0; at < this.#log.length; at += 1) {
      const entry = this.#log.at(at);
      this.#step(kinds[(entry >> 1) & 3] ?? 'frontend', entry >>> 3, (entry & 1) === 1 ? -1 : 1);
    }
    this.#log.clear();
  }

  publish(): void {
    this.#log.clear();
  }

  /** After a restart: an address that was there before; bits are compared by `recovered`. */
  recover(kind: AddressKind, address: Int32Array): void {
    const counts = this.#counts[kind];
    const cell = addressHash(address) & this.#mask;
    counts[cell] = (counts[cell] as number) + 1;
  }

  /** After a restart, in steps: makes the bits what the counts say. */
  *recovered(): Generator<void, void, void> {
    const { frontend, machine, ring } = this.#counts;
    for (let cell = 0; cell <= this.#mask; cell += 4) {
      if (cell % 65_536 === 0) yield;
      let word = 0;
      for (let byte = 0; byte < 4; byte += 1) {
        const at = cell + byte;
        const bits =
          (frontend[at] ? addressBit.frontend : 0) |
          (machine[at] ? addressBit.machine : 0) |
          (ring[at] ? addressBit.ring : 0);
        word |= bits << (byte * 8);
      }
      if (this.#store.get(cell >> 2) !== word) this.#store.put(cell >> 2, word);
    }
  }

  #step(kind: AddressKind, cell: number, by: number): void {
    const counts = this.#counts[kind];
    const count = (counts[cell] as number) + by;
    counts[cell] = count;
    if (count !== (by > 0 ? 1 : 0)) return;
    const bit = addressBit[kind] << ((cell & 3) * 8);
    const word = this.#store.get(cell >> 2);
    this.#store.put(cell >> 2, by > 0 ? word | bit : word & ~bit);
  }
}
