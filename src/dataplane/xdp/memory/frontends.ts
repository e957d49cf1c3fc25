// The map `frontends`: endpoints and their targets.
import type { Cells } from './cells.ts';
import { frontend, target, targetKind } from './layout.ts';
import type { MapMemory } from './map-memory.ts';
import type { Rows } from './rows.ts';
import type { Store } from './store.ts';
import { Table } from './table.ts';
import { Mismatch } from './trouble.ts';
import { type Epochs, type Place, Versions } from './versions.ts';

const stride = frontend.size / 4;
const targetsAt = frontend.targets / 4;
const targetStride = target.size / 4;
const inetAt = frontend.inet / 4;

/** What `struct target` says, in words. */
export interface TargetWords {
  to: number;
  /** Port as loaded from network order, kind << 16, affinity << 24. */
  how: number;
  counter: number;
  serial: number;
  /** The machine's IPv4 address as loaded from network order; 0 where there is none. */
  inet: number;
}

export function kindOf(how: number): number {
  return (how >>> 16) & 0xff;
}

export function affinityOf(how: number): number {
  return how >>> 24;
}

/** The port of a target or key, from its two bytes as loaded. */
export function portOf(how: number): number {
  return ((how & 0xff) << 8) | ((how >>> 8) & 0xff);
}

export class Frontends {
  readonly table: Table;
  readonly versions: Versions;
  readonly #store: Store;
  readonly #cells: Cells;
  readonly #rows: Rows;
  readonly #address = new Int32Array(4);

  constructor(store: Store, memory: MapMemory, epochs: Epochs, cells: Cells, rows: Rows) {
    this.table = new Table('frontends', store, memory);
    this.versions = new Versions(store, stride, frontend.version / 4, epochs);
    this.#store = store;
    this.#cells = cells;
    this.#rows = rows;
  }

  /** Stages a target; `fresh`: of a place just claimed, which becomes that of `key`. Throws `NotSettled`. */
  stage(index: number, words: TargetWords, fresh: { address: Int32Array; key: number } | undefined): void {
    const place = this.versions.open(index);
    this.#write(index, place, words);
    this.versions.close(index, place);
    if (fresh === undefined) return;
    this.#cells.add('frontend', fresh.address);
    this.table.show(index, fresh.key);
  }

  /** Stages that nothing is there any more. Throws `NotSettled`. */
  remove(index: number): void {
    const place = this.versions.open(index);
    this.#write(index, place, none);
    this.versions.close(index, place);
  }

  /** Makes a stateless target a tracked one, which goes on with its counter and serial. Throws `NotSettled`. */
  track(index: number): void {
    const words = this.read(index, this.versions.newest(index));
    const kind = kindOf(words.how);
    if (kind === targetKind.tracked) return;
    if (kind !== targetKind.nat) throw new Mismatch(`the way back of frontend ${index} is not its own`);
    const place = this.versions.open(index);
    this.#write(index, place, {
      ...words,
      how: (words.how & ~(0xff << 16)) | (targetKind.tracked << 16),
    });
    this.versions.close(index, place);
  }

  read(index: number, place: Place): TargetWords {
    const at = index * stride + targetsAt + place * targetStride;
    return {
      to: this.#store.get(at),
      how: this.#store.get(at + 1),
      counter: this.#store.get(at + 2),
      serial: this.#store.get(at + 3),
      inet: this.#store.get(index * stride + inetAt + place),
    };
  }

  /** The target with the newer content, staged or not. */
  newest(index: number): TargetWords {
    return this.read(index, this.versions.newest(index));
  }

  /** What the newest target had been before the present change; only while it is staged. */
  before(index: number): TargetWords {
    return this.read(index, this.versions.newest(index) ^ 1);
  }

  /** After the grace period. */
  settle(index: number): void {
    const place = this.versions.newest(index);
    const before = this.read(index, place ^ 1);
    const after = this.read(index, place);
    const gone = kindOf(after.how) === targetKind.none;
    this.versions.settle(index);
    if (kindOf(before.how) !== targetKind.none && (gone || before.counter !== after.counter)) {
      this.#rows.free(before.counter);
    }
    if (gone) {
      this.#cells.release('frontend', this.table.address(index, this.#address));
      this.table.empty(index);
    }
  }

  abort(): void {
    const { staged } = this.versions;
    for (let at = 0; at < staged.length; at += 1) {
      const index = staged.at(at);
      this.versions.rollBack(index);
      // Of a place whose key was never shown there is nothing to free.
      if (kindOf(this.newest(index).how) === targetKind.none && this.table.key(index) !== 0) {
        this.table.empty(index);
      }
    }
    staged.clear();
  }

  /** After a restart, of each place: whether it is in use. Needs `epochs` and a grace period that has passed. */
  recover(index: number): boolean {
    const place = this.versions.recover(index);
    const at = index * stride + targetsAt + place * targetStride;
    const kind = kindOf(this.#store.get(at + 1));
    if (this.table.key(index) === 0) return false;
    if (kind === targetKind.none) this.table.empty(index);
    return kind !== targetKind.none;
  }

  #write(index: number, place: Place, { to, how, counter, serial, inet }: TargetWords): void {
    const at = index * stride + targetsAt + place * targetStride;
    this.#store.put(at, to);
    this.#store.put(at + 1, how);
    this.#store.put(at + 2, counter);
    this.#store.put(at + 3, serial);
    this.#store.put(index * stride + inetAt + place, inet);
  }
}

const none: TargetWords = { to: 0, how: 0, counter: 0, serial: 0, inet: 0 };
