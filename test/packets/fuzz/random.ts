// Chance that can be repeated: all of it follows from a seed.

export class Random {
  #state: number;

  /** `seed`: 32 bits. */
  constructor(seed: number) {
    this.#state = seed | 0;
  }

  /** 0 to `below - 1`; `below` is at most 2^32. (Mulberry32.) */
  below(below: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000) * below);
  }

  of<Item>(items: readonly Item[]): Item {
    const item = items[this.below(items.length)];
    if (item === undefined) throw new RangeError('nothing to choose from');
    return item;
  }
}
