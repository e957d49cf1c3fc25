// The map `backends`: what the source of a packet tells, and with it which machines there are.
import type { Cells } from './cells.ts';
import { Counts } from './counts.ts';
import { keyOf } from './hash.ts';
import { backend, machine, protocolMachine, way } from './layout.ts';
import type { MapMemory } from './map-memory.ts';
import { Rows } from './rows.ts';
import type { Store } from './store.ts';
import { Table } from './table.ts';
import { type Epochs, type Place, Versions } from './versions.ts';

const stride = backend.size / 4;
const waysAt = backend.ways / 4;
const machineStride = machine.size / 4;

/** The key of a machine's own entry. */
export const machineKey = keyOf(0, protocolMachine);

export class Backends {
  readonly table: Table;
  readonly versions: Versions;
  /** Indices into `machines`. */
  readonly machines: Rows;
  /** Targets and members that lead to a machine. */
  readonly uses: Counts;
  /** Members among them. */
  readonly ringUses: Counts;
  readonly #store: Store;
  readonly #machines: Store;
  readonly #cells: Cells;
  readonly #address = new Int32Array(4);

  constructor(
    store: Store,
    memory: MapMemory,
    machines: Store,
    machineMemory: MapMemory,
    epochs: Epochs,
    cells: Cells,
  ) {
    this.table = new Table('backends', store, memory);
    this.versions = new Versions(store, stride, backend.version / 4, epochs);
    this.machines = new Rows('machines', machineMemory.entries);
    this.uses = new Counts(machineMemory.entries);
    this.ringUses = new Counts(machineMemory.entries);
    this.#store = store;
    this.#machines = machines;
    this.#cells = cells;
  }

  /** The newest content of an entry, staged or not. */
  newest(index: number): number {
    return this.#way(index, this.versions.newest(index));
  }

  /** Stages an entry for a key that has none; returns its place. Throws `Full`. */
  claim(address: Int32Array, key: number, value: number): number {
    const index = this.table.claim(address, key);
    this.stage(index, value);
    this.table.show(index, key);
    return index;
  }

  /** Throws `NotSettled`. */
  stage(index: number, value: number): void {
    const place = this.versions.open(index);
    this.#store.put(index * stride + waysAt + place, value);
    this.versions.close(index, place);
  }

  /** The machine with this address, after the present change; -1: there is none. */
  indexOf(address: Int32Array): number {
    const entry = this.table.find(address, machineKey);
    const value = entry < 0 ? 0 : this.newest(entry);
    return value === 0 ? -1 : value & way.index;
  }

  /** One use more of the machine with this address, which is made when there is none; `member`: as a ring's. Returns its index. */
  use(address: Int32Array, member: boolean): number {
    const entry = this.table.find(address, machineKey);
    const index = entry < 0 ? this.#makeMachine(address) : this.#revive(entry);
    if (member && this.ringUses.get(index) === 0) this.#setInRing(index, true);
    this.uses.add(index);
    if (member) this.ringUses.add(index);
    return index;
  }

  /** One use less; with the last one the machine goes. */
  unuse(index: number, member: boolean): void {
    if (member) {
      if (this.ringUses.get(index) === 1) this.#setInRing(index, false);
      this.ringUses.drop(index);
    }
    if (this.uses.get(index) === 1) this.stage(this.#entryOf(index), 0);
    this.uses.drop(index);
  }

  /** Writes the four words of a machine's address into `words`. */
  addressOf(index: number, words: Int32Array): Int32Array {
    for (let word = 0; word < 4; word += 1) words[word] = this.#machines.get(index * machineStride + word);
    return words;
  }

  /** Reads from the first `count` of these machines, and does nothing else; see `Ahead`. */
  readMachines(indices: Int32Array, count: number): number {
    let sum = 0;
    for (let at = 0; at < count; at += 1) sum ^= this.#machines.get((indices[at] as number) * machineStride);
    return sum;
  }

  /** After the grace period. */
  settle(index: number): void {
    const place = this.versions.newest(index);
    const before = this.#way(index, place ^ 1);
    const after = this.#way(index, place);
    this.versions.settle(index);
    if (this.table.key(index) === machineKey) {
      const address = this.table.address(index, this.#address);
      if ((before & way.shared) !== 0 && (after & way.shared) === 0) this.#cells.release('ring', address);
      if (after === 0) {
        this.machines.free(before & way.index);
        this.#cells.release('machine', address);
      }
    }
    if (after === 0) this.table.empty(index);
  }

  abort(): void {
    const { staged } = this.versions;
    for (let at = 0; at < staged.length; at += 1) {
      const index = staged.at(at);
      this.versions.rollBack(index);
      if (this.newest(index) === 0 && this.table.key(index) !== 0) this.table.empty(index);
    }
    staged.clear();
  }

  /** After a restart, of each place: its content, 0 when it is not in use. */
  recover(index: number): number {
    const place = this.versions.recover(index);
    const value = this.#way(index, place);
    if (this.table.key(index) === 0) return 0;
    if (value === 0) this.table.empty(index);
    return value;
  }

  #way(index: number, place: Place): number {
    return this.#store.get(index * stride + waysAt + place);
  }

  #entryOf(index: number): number {
    return this.table.find(this.addressOf(index, this.#address), machineKey);
  }

  #makeMachine(address: Int32Array): number {
    const index = this.machines.take();
    const at = index * machineStride;
    for (let word = 0; word < 4; word += 1) this.#machines.put(at + word, address[word] as number);
    for (let word = 4; word < machineStride; word += 1) this.#machines.put(at + word, 0);
    this.claim(address, machineKey, way.exists | index);
    this.#cells.add('machine', address);
    return index;
  }

  /** The machine of an entry, which the present change may have removed. */
  #revive(entry: number): number {
    const value = this.newest(entry);
    if (value !== 0) return value & way.index;
    const before = this.#way(entry, this.versions.newest(entry) ^ 1);
    this.stage(entry, before & ~way.shared);
    return before & way.index;
  }

  #setInRing(index: number, inRing: boolean): void {
    const entry = this.#entryOf(index);
    const value = this.newest(entry);
    // What the cell counts is the entry being in a ring before the present change or after it.
    const before = this.versions.isStaged(entry)
      ? this.#way(entry, this.versions.newest(entry) ^ 1) & way.shared
      : value & way.shared;
    this.stage(entry, inRing ? value | way.shared : value & ~way.shared);
    if (before !== 0) return;
    const address = this.table.address(entry, this.#address);
    if (inRing) this.#cells.add('ring', address);
    else this.#cells.drop('ring', address);
  }
}
