// The program's memory as the agent keeps it: a change is staged out of sight, then one store makes all of it visible.
import { setImmediate } from 'node:timers/promises';
import type { Change } from '../../../forwarding/change.ts';
import type { Endpoint, ForwardingTable } from '../../../forwarding/table.ts';
import { Census } from './census.ts';
import { Entries } from './entries.ts';
import { abiVersion, control } from './layout.ts';
import type { Memory } from './map-memory.ts';
import { needsOfChange, needsOfTable, plus } from './needs.ts';
import { abortParts, type Batch, makeParts, type Parts, publishParts, settleParts } from './parts.ts';
import { reconcileSteps } from './reconcile.ts';
import { recoverParts } from './recover.ts';
import type { Needs } from './shape.ts';
import { changeSteps } from './stage.ts';
import { type MemoryStamp, mirrorStamp, readStamp, stageStamp } from './stamp.ts';
import { inSteps } from './steps.ts';
import { type OpenStore, openStore } from './store.ts';
import { DoesNotFit, Full, Mismatch, NotSettled } from './trouble.ts';

export interface ImageOptions {
  /** Counters of each row, see `Shape`. */
  readonly shards: number;
  /** Resolves when every packet that is on its way now is through. */
  readonly gracePeriod: () => Promise<void>;
  /** For tests. */
  readonly openStore?: OpenStore;
}

/** Epochs are 31 bits wide; before they end, all are settled and they begin anew. */
const lastEpoch = 0x7ffffff0;

export class Image {
  readonly memory: Memory;
  readonly census: Census;
  readonly #options: ImageOptions;
  readonly #parts: Parts;
  readonly #entries: Entries;
  #staged: 'nothing' | 'beginning' | 'all' = 'nothing';
  #batches: Batch[] = [];
  #settling: Promise<void> | undefined;

  private constructor(memory: Memory, options: ImageOptions, parts: Parts) {
    this.memory = memory;
    this.#options = options;
    this.#parts = parts;
    this.#entries = new Entries(parts);
    this.census = new Census(memory, parts, this.#entries, options.shards);
  }

  /** Makes fresh, zeroed memory ready for `attach`. `flowSeed`: 32 random bits. */
  static format(memory: Memory, flowSeed: number): void {
    const store = openStore(memory.control);
    store.put(control.flow_seed / 4, flowSeed);
    store.release(control.abi / 4, abiVersion);
  }

  /**
   * Takes up what an agent before this one left. Throws `Mismatch` for memory of another layout, or that contradicts itself:
   * then it has to be made anew.
   */
  static async attach(memory: Memory, options: ImageOptions): Promise<Image> {
    const open = options.openStore ?? openStore;
    const abi = open(memory.control).get(control.abi / 4);
    if (abi !== abiVersion) throw new Mismatch(`the maps have layout ${abi}, not ${abiVersion}`);
    const parts = makeParts(memory, options.shards, open);
    if (parts.epochs.current > 0) await options.gracePeriod();
    await inSteps(recoverParts(parts));
    return new Image(memory, options, parts);
  }

  /** The place of an endpoint in `frontends`; below 0 where it has none. */
  placeOf(endpoint: Endpoint): number {
    return this.#entries.find(endpoint);
  }

  /** Of what packets see; absent before the first `publish`. */
  get stamp(): MemoryStamp | undefined {
    return readStamp(this.#parts.control, this.#parts.epochs.current);
  }

  /** The epoch that packets see. */
  get epoch(): number {
    return this.#parts.epochs.current;
  }

  /**
   * Stages a change; `publish` or `abort` has to follow. Throws `DoesNotFit` and `Mismatch`, with nothing staged. Waits for a
   * grace period where the last change touched the same.
   */
  async stage(change: Change): Promise<void> {
    await this.#stage(
      () => changeSteps(this.#parts, this.#entries, change),
      () => plus(this.census.needs(), needsOfChange(change)),
    );
  }

  /**
   * Stages whatever leads from what the memory holds to `table`. What is as it should be stays, with its flows and counters.
   * `publish` or `abort` has to follow. Throws `DoesNotFit`, with nothing staged.
   */
  async reconcile(table: ForwardingTable): Promise<void> {
    await this.settled();
    await this.#stage(
      () => reconcileSteps(this.#parts, this.#entries, table),
      // What the table does not have goes only when the rest is visible.
      () => plus(this.census.needs(), needsOfTable(table)),
    );
  }

  /**
   * Between `stage` and `publish`, when nothing takes the change back any more: flows of rules that come to another ring of
   * their pool come to its members, for the members that they have may go with the change.
   */
  async moveFlows(): Promise<void> {
    await inSteps(this.#parts.flowMoves.moveStaged());
  }

  /** Makes what is staged visible, all at once. */
  publish(stamp: MemoryStamp): void {
    if (this.#staged !== 'all') throw new Error('nothing is staged');
    const { control: store, epochs } = this.#parts;
    const next = epochs.current + 1;
    stageStamp(store, next, stamp);
    store.release(control.epoch / 4, next);
    epochs.current = next;
    this.#staged = 'nothing';
    mirrorStamp(store, stamp);
    this.#batches.push(publishParts(this.#parts));
    this.#settleSoon();
  }

  /** Takes back what is staged; nothing, when nothing is. */
  abort(): void {
    this.#staged = 'nothing';
    abortParts(this.#parts);
  }

  /** When all that was published is settled. Rejects when the grace period does; it is tried again. */
  async settled(): Promise<void> {
    if (this.#batches.length > 0 && this.#settling === undefined) this.#settleSoon();
    await this.#settling;
  }

  async #stage(steps: () => Generator<void, void, void>, needs: () => Needs): Promise<void> {
    if (this.#staged !== 'nothing') throw new Error('a change is staged already');
    this.#staged = 'beginning';
    try {
      if (this.#parts.epochs.current >= lastEpoch) await this.#beginEpochs();
      for (;;) {
        const pending = this.#batches.length > 0 || this.#settling !== undefined;
        try {
          await inSteps(steps());
          this.#staged = 'all';
          return;
        } catch (error) {
          abortParts(this.#parts);
          // What is not settled yet is not free yet either.
          if (!(error instanceof NotSettled) && !(error instanceof Full && pending)) throw error;
          await this.settled();
        }
      }
    } catch (error) {
      this.#staged = 'nothing';
      if (error instanceof Full) throw new DoesNotFit(error.map, this.census.wanted(error.map, needs()));
      throw error;
    }
  }

  /** Stamps stay where they are, because the epoch stays even or odd. */
  async #beginEpochs(): Promise<void> {
    await this.settled();
    const { control: store, epochs } = this.#parts;
    epochs.current = 2 | (epochs.current & 1);
    store.release(control.epoch / 4, epochs.current);
    await this.#options.gracePeriod();
  }

  #settleSoon(): void {
    if (this.#settling !== undefined) return;
    const settling = this.#settleAll().finally(() => {
      this.#settling = undefined;
    });
    this.#settling = settling;
    // Whoever waits for it hears of it.
    settling.catch(() => {});
  }

  async #settleAll(): Promise<void> {
    // Whoever waits for the change to be visible does not wait for this.
    await setImmediate();
    while (this.#batches.length > 0) {
      const through = this.#batches.length;
      await this.#options.gracePeriod();
      for (let at = 0; at < through; at += 1) {
        const batch = this.#batches[0];
        if (batch !== undefined) await inSteps(settleParts(this.#parts, batch));
        this.#batches.shift();
      }
    }
  }
}
