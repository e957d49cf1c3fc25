// The two places of an entry and the version that decides between them: `version_t` in bpf/abi.h.
import { IntList } from './int-list.ts';
import type { Store } from './store.ts';
import { NotSettled } from './trouble.ts';

/** The newest published epoch; what is staged has the next one. */
export interface Epochs {
  current: number;
}

/** 0 or 1. */
export type Place = number;

/** The version words of one map. */
export class Versions {
  /** Entries that the present change has written. */
  readonly staged = new IntList();
  readonly #store: Store;
  readonly #stride: number;
  readonly #offset: number;
  readonly #epochs: Epochs;

  /** `stride` and `offset` are in words. */
  constructor(store: Store, stride: number, offset: number, epochs: Epochs) {
    this.#store = store;
    this.#stride = stride;
    this.#offset = offset;
    this.#epochs = epochs;
  }

  /** The place with the newer content, staged or not. */
  newest(index: number): Place {
    return this.#store.get(index * this.#stride + this.#offset) & 1;
  }

  /** True where the present change has written the entry. */
  isStaged(index: number): boolean {
    return this.#store.get(index * this.#stride + this.#offset) >>> 1 > this.#epochs.current;
  }

  /** True where the newer content holds for every packet. */
  isSettled(index: number): boolean {
    return this.#store.get(index * this.#stride + this.#offset) >>> 1 === 0;
  }

  /**
   * The place that may be written now. Of an entry that is not in use, the other one always says that there is nothing, so a
   * packet that has just read the key of what was there before finds nothing, and nothing half. Throws
   * `NotSettled` while packets may be reading both.
   */
  open(index: number): Place {
    const version = this.#store.get(index * this.#stride + this.#offset);
    const epoch = version >>> 1;
    if (epoch === 0) return (version & 1) ^ 1;
    if (epoch > this.#epochs.current) return version & 1;
    throw new NotSettled();
  }

  /** Stages what was written to the place that `open` gave. */
  close(index: number, place: Place): void {
    if (!this.isStaged(index)) this.staged.push(index);
    this.#store.put(index * this.#stride + this.#offset, ((this.#epochs.current + 1) << 1) | place);
  }

  /** After the grace period: the newer content always holds. */
  settle(index: number): void {
    const at = index * this.#stride + this.#offset;
    this.#store.put(at, this.#store.get(at) & 1);
  }

  /** Before publishing: the older content always holds. */
  rollBack(index: number): void {
    const at = index * this.#stride + this.#offset;
    this.#store.put(at, (this.#store.get(at) & 1) ^ 1);
  }

  /** After a restart: settles what was published (its grace period is over), rolls back what was not. Returns the place. */
  recover(index: number): Place {
    const at = index * this.#stride + this.#offset;
    const version = this.#store.get(at);
    if (version >>> 1 === 0) return version & 1;
    const place = version >>> 1 > this.#epochs.current ? (version & 1) ^ 1 : version & 1;
    this.#store.put(at, place);
    return place;
  }
}
