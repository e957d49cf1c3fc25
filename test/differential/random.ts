// Chance that can be repeated: the same seed gives the same choices.

export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** 0 to `below` - 1. */
  number(below: number): number {
    // Mulberry32 (T. Ettinger).
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 0x1_0000_0000) * below);
  }

  between(least: number, most: number): number {
    return least + this.number(most - least + 1);
  }

  /** True once in `times`. */
  once(times: number): boolean {
    return this.number(times) === 0;
  }

  pick<T>(choices: readonly T[]): T {
    const choice = choices[this.number(choices.length)];
    if (choice === undefined) throw new RangeError('there is nothing to choose from');
    return choice;
  }

  bytes(count: number): readonly number[] {
    return Array.from({ length: count }, () => this.number(256));
  }
}

/** `PENSTOCK_SEED` where it is set, so that a failure can be repeated; else a new one each time. */
export function seedOfThisRun(): number {
  const given = process.env.PENSTOCK_SEED;
  return given === undefined ? Math.floor(Math.random() * 0x1_0000_0000) : Number(given);
}
