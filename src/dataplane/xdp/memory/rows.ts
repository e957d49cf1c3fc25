// Which indices of a map are in use: one bit each, and those that the present change took, in case it is taken back.
import { IntList } from './int-list.ts';
import type { MapName } from './map-memory.ts';
import { Full } from './trouble.ts';

export class Rows {
  readonly capacity: number;
  readonly #map: MapName;
  readonly #bits: Int32Array;
  readonly #taken = new IntList();
  /** Where the search goes on. */
  #cursor = 0;
  #used = 0;

  constructor(map: MapName, capacity: number) {
    this.#map = map;
    this.capacity = capacity;
    this.#bits = new Int32Array(Math.ceil(capacity / 32));
    // What lies behind the end is never free.
    for (let index = capacity; index < this.#bits.length * 32; index += 1) this.#set(index);
  }

  get used(): number {
    return this.#used;
  }

  /** A free index. Throws `Full`. */
  take(): number {
    if (this.#used === this.capacity) throw new Full(this.#map);
    let word = this.#cursor;
    while (this.#bits[word] === -1) word = word + 1 === this.#bits.length ? 0 : word + 1;
    this.#cursor = word;
    const index = word * 32 + 31 - Math.clz32(lowest(~(this.#bits[word] as number)));
    this.#set(index);
    this.#used += 1;
    this.#taken.push(index);
    return index;
  }

  free(index: number): void {
    this.#bits[index >> 5] = (this.#bits[index >> 5] as number) & ~(1 << (index & 31));
    this.#used -= 1;
  }

  /** After a restart: an index that is in use. False where it was known to be, or is none. */
  mark(index: number): boolean {
    if (index >= this.capacity || this.has(index)) return false;
    this.#set(index);
    this.#used += 1;
    return true;
  }

  has(index: number): boolean {
    return ((this.#bits[index >> 5] as number) & (1 << (index & 31))) !== 0;
  }

  abort(): void {
    for (let at = 0; at < this.#taken.length; at += 1) this.free(this.#taken.at(at));
    this.#taken.clear();
  }

  publish(): void {
    this.#taken.clear();
  }

  #set(index: number): void {
    this.#bits[index >> 5] = (this.#bits[index >> 5] as number) | (1 << (index & 31));
  }
}

/** The lowest set bit alone. */
function lowest(bits: number): number {
  return bits & -bits;
}
