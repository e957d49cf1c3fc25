// Verdicts that wait for the one writer: those that arrive together are carried out together.
import type { VerdictChange } from '../health/monitor.ts';

/** Milliseconds for which the first verdict waits for others. */
const patience = 30;
/** Milliseconds until what has failed is tried again. */
const pause = 1_000;

export class PendingVerdicts {
  readonly #carryOut: (changes: readonly VerdictChange[]) => Promise<void>;
  #waiting = new Map<string, VerdictChange[1]>();
  #timer: NodeJS.Timeout | undefined;
  #isBusy = false;
  #closed = false;
  /** Milliseconds that the last ones took: the next wait as long, so that others have their turn. */
  #effort = 0;

  /** `carryOut` takes the last verdict on each target; where it throws, they are tried again. */
  constructor(carryOut: (changes: readonly VerdictChange[]) => Promise<void>) {
    this.#carryOut = carryOut;
  }

  add(changes: readonly VerdictChange[]): void {
    for (const [key, verdict] of changes) this.#waiting.set(key, verdict);
    this.#schedule(Math.max(patience, this.#effort));
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  #schedule(delay: number): void {
    if (this.#timer !== undefined || this.#isBusy || this.#closed || this.#waiting.size === 0) return;
    this.#timer = setTimeout(() => void this.#run(), delay);
  }

  async #run(): Promise<void> {
    this.#timer = undefined;
    const taken = this.#waiting;
    this.#waiting = new Map();
    this.#isBusy = true;
    const begun = performance.now();
    let failed = false;
    try {
      await this.#carryOut([...taken]);
    } catch {
      failed = true;
      // What came meanwhile is newer.
      this.#waiting = new Map([...taken, ...this.#waiting]);
    }
    this.#isBusy = false;
    this.#effort = performance.now() - begun;
    this.#schedule(failed ? pause : Math.max(patience, this.#effort));
  }
}
