// How often each index is used, and what the present change did to it, in case it is taken back.
import { IntList } from './int-list.ts';

export class Counts {
  readonly #counts: Uint32Array;
  /** Index << 1, 1 added where it was a use more. */
  readonly #log = new IntList();

  constructor(capacity: number) {
    this.#counts = new Uint32Array(capacity);
  }

  get(index: number): number {
    return this.#counts[index] as number;
  }

  /** Returns the count after. */
  add(index: number): number {
    this.#log.push((index << 1) | 1);
    return this.recover(index);
  }

  /** Returns the count after. */
  drop(index: number): number {
    this.#log.push(index << 1);
    return this.#step(index, -1);
  }

  /** After a restart: a use that was there before. */
  recover(index: number): number {
    return this.#step(index, 1);
  }

  abort(): void {
    for (let at = 0; at < this.#log.length; at += 1) {
      const entry = this.#log.at(at);
      this.#step(entry >>> 1, (entry & 1) === 1 ? -1 : 1);
    }
    this.#log.clear();
  }

  publish(): void {
    this.#log.clear();
  }

  #step(index: number, by: number): number {
    const count = (this.#counts[index] as number) + by;
    this.#counts[index] = count;
    return count;
  }
}
