// Every write to memory that packets read goes through here, so that tests can end the agent at any of them.
import type { MapMemory } from './map-memory.ts';

/** A map as words of 32 bits. The program runs on the same machine, so both sides have its byte order. */
export class Store {
  readonly words: Int32Array;

  constructor({ buffer, entries, valueSize }: MapMemory) {
    this.words = new Int32Array(buffer, 0, (entries * valueSize) / 4);
  }

  get(at: number): number {
    return this.words[at] as number;
  }

  /**
   * Seen by packets some time before the next `release`. That is early enough for all that a change stages, in whatever
   * order: whether packets see a bit of it before others, it is nothing to them until the epoch is stored.
   */
  put(at: number, value: number): void {
    this.words[at] = value;
  }

  /** Seen by packets only after all that was written before. */
  release(at: number, value: number): void {
    Atomics.store(this.words, at, value);
  }
}

/** Makes the stores of an image; tests give one of their own. */
export type OpenStore = (memory: MapMemory) => Store;

export const openStore: OpenStore = (memory) => new Store(memory);
