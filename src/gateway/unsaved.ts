// What the store does not know as it is: verdicts and drains take effect before they are stored, and a disk may be full.
import type { RowChange } from '../store/store.ts';
import { drainRows } from './drain-rows.ts';
import type { Drains } from './drains.ts';
import type { State } from './state.ts';
import { turnRow, verdictRows } from './verdict-rows.ts';

export class Unsaved {
  /** Whose verdicts. */
  readonly #targets = new Set<string>();
  #turn = false;
  /** As the store has them. */
  #drains: Drains | undefined;

  /** Whether drains are among it. */
  get drains(): boolean {
    return this.#drains !== undefined;
  }

  addTargets(keys: Iterable<string>): void {
    for (const key of keys) this.#targets.add(key);
  }

  addTurn(): void {
    this.#turn = true;
  }

  /** `stored`, which the store has, are no more what they were. */
  addDrains(stored: Drains): void {
    this.#turn = true;
    this.#drains ??= stored;
  }

  /** The rows of all of it, and of more targets. `turn` and `after` are what stands. */
  rows(before: State, after: State, targets: Iterable<string>, turn: number): readonly RowChange[] {
    const keys = new Set([...targets, ...this.#targets]);
    const rows = [...verdictRows(before.health.verdicts, after.health.verdicts, keys)];
    if (!this.#turn) return rows;
    return [...rows, ...this.#drainRows(after), turnRow(turn, turn)];
  }

  /** The store has them now. */
  clear(): void {
    this.#targets.clear();
    this.#turn = false;
    this.#drains = undefined;
  }

  /** Those that have ended, or were found, and that the store does not know to. */
  *#drainRows({ configuration, drains }: State): Generator<RowChange> {
    if (this.#drains === undefined) return;
    for (const name of configuration.keys()) yield* drainRows(this.#drains, drains, name);
  }
}
