// Rows of counters: of each target and of each member. A row is made zero when it is given out.
import { counter } from './layout.ts';
import type { MapMemory } from './map-memory.ts';
import { Rows } from './rows.ts';
import type { Store } from './store.ts';

const words = counter.size / 4;

export class CounterRows extends Rows {
  readonly #store: Store;
  /** Counters of one row, side by side: CPUs share them out. */
  readonly #shards: number;

  constructor(store: Store, { entries }: MapMemory, shards: number) {
    super('counters', Math.floor(entries / shards));
    this.#store = store;
    this.#shards = shards;
  }

  override take(): number {
    const row = super.take();
    const from = row * this.#shards * words;
    for (let at = from; at < from + this.#shards * words; at += 1) this.#store.put(at, 0);
    return row;
  }
}
