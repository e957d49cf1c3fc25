// Open addressing in a map: endpoints at places that are found by hashing. See bpf/table.h for the reading side.
import { tableHash } from './hash.ts';
import { frontend } from './layout.ts';
import type { MapMemory, MapName } from './map-memory.ts';
import type { Store } from './store.ts';
import { Full } from './trouble.ts';

/** A key that is farther from home is not found: then the map has to grow. */
export const probes = 32;
/** Beyond it, chains get long. */
const fillLimit = 0.6;

const addressAt = frontend.address / 4;
/** In words, and what of that word is port and protocol: the rest is the reach of the place. */
export const keyAt = frontend.port / 4;
export const keyBits = 0xffffff;

/** The keys of `frontends` or `backends`, which both begin alike. */
export class Table {
  readonly capacity: number;
  readonly #map: MapName;
  readonly #store: Store;
  readonly #stride: number;
  readonly #mask: number;
  #used = 0;

  constructor(map: MapName, store: Store, { entries, valueSize }: MapMemory) {
    if ((entries & (entries - 1)) !== 0) throw new RangeError(`${map}: ${entries} is not a power of two`);
    this.#map = map;
    this.#store = store;
    this.#stride = valueSize / 4;
    this.#mask = entries - 1;
    this.capacity = entries;
  }

  get used(): number {
    return this.#used;
  }

  /** The place of a key; -1: it has none. */
  find(address: Int32Array, key: number): number {
    const home = tableHash(address, key);
    let index = home & this.#mask;
    const reach = this.#store.get(index * this.#stride + keyAt) >>> 24;
    for (let probe = 0; ; ) {
      const at = index * this.#stride;
      if (
        (this.#store.get(at + keyAt) & keyBits) === key &&
        this.#store.get(at + addressAt + 3) === address[3] &&
        this.#store.get(at + addressAt + 2) === address[2] &&
        this.#store.get(at + addressAt + 1) === address[1] &&
        this.#store.get(at + addressAt) === address[0]
      ) {
        return index;
      }
      probe += 1;
      if (probe > reach) return -1;
      index = (home + ((probe * (probe + 1)) >> 1)) & this.#mask;
    }
  }

  /** Where a key is looked for first, for `read`. */
  home(address: Int32Array, key: number): number {
    return (tableHash(address, key) & this.#mask) * this.#stride + keyAt;
  }

  /** Reads the first `count` of these homes, and does nothing else; see `Ahead`. */
  read(homes: Int32Array, count: number): number {
    let sum = 0;
    for (let at = 0; at < count; at += 1) sum ^= this.#store.get(homes[at] as number);
    return sum;
  }

  /**
   * A place for a key that has none, with the address written and the home's reach long enough. It is nobody's until
   * `show`: its content has to be written before. Throws `Full`.
   */
  claim(address: Int32Array, key: number): number {
    const home = tableHash(address, key);
    for (let probe = 0; probe < probes && this.#used < this.capacity * fillLimit; probe += 1) {
      const index = (home + ((probe * (probe + 1)) >> 1)) & this.#mask;
      const at = index * this.#stride;
      if ((this.#store.get(at + keyAt) & keyBits) !== 0) continue;
      for (let word = 0; word < 4; word += 1) {
        this.#store.put(at + addressAt + word, address[word] as number);
      }
      const homeKey = (home & this.#mask) * this.#stride + keyAt;
      const before = this.#store.get(homeKey);
      if (before >>> 24 < probe) this.#store.put(homeKey, (before & keyBits) | (probe << 24));
      return index;
    }
    throw new Full(this.#map);
  }

  /** Lets packets find the entry. */
  show(index: number, key: number): void {
    const at = index * this.#stride + keyAt;
    this.#store.put(at, (this.#store.get(at) & ~keyBits) | key);
    this.#used += 1;
  }

  /** Frees a place whose content says that there is nothing. */
  empty(index: number): void {
    const at = index * this.#stride + keyAt;
    this.#store.put(at, this.#store.get(at) & ~keyBits);
    this.#used -= 1;
  }

  /** Port and protocol as `keyOf` has them; 0: the place is free. */
  key(index: number): number {
    return this.#store.get(index * this.#stride + keyAt) & keyBits;
  }

  /** Writes the four words of a place's address into `words`. */
  address(index: number, words: Int32Array): Int32Array {
    const at = index * this.#stride + addressAt;
    for (let word = 0; word < 4; word += 1) words[word] = this.#store.get(at + word);
    return words;
  }

  /** After a restart: how many places are in use. */
  recount(used: number): void {
    this.#used = used;
  }
}
