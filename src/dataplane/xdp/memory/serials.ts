// Numbers that tell a target or member from an earlier one at the same place: flows remember them. Never the same twice, also
// after a restart (until 2^32 have been given out), so they are reserved in the kernel's memory before they are used.
import { serialOffset } from './layout.ts';
import type { Store } from './store.ts';

const reserve = 4096;

export class Serials {
  readonly #control: Store;
  #next: number;
  #reserved: number;

  constructor(control: Store) {
    this.#control = control;
    this.#next = control.get(serialOffset / 4);
    this.#reserved = this.#next;
  }

  /** 1 to 2^32 - 1, as a signed word. */
  take(): number {
    if (this.#next === this.#reserved) {
      this.#reserved = (this.#reserved + reserve) | 0;
      this.#control.release(serialOffset / 4, this.#reserved);
    }
    const serial = this.#next;
    this.#next = (this.#next + 1) | 0;
    return serial === 0 ? this.take() : serial;
  }
}
