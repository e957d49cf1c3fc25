// Looks, now and then, for connections that have been idle for as long as their rule lets them, and resets both their ends.
import type { Logger } from 'pino';
import type { ForwardingTable } from '../../forwarding/table.ts';
import type { Flows } from '../conntrack/flows.ts';
import type { FlowMarks } from '../conntrack/selection.ts';
import type { Resets } from '../reset/resets.ts';
import { type IdleRules, idleRules, isOver } from './idle-flows.ts';
import { resetGrace } from './timeouts.ts';

/** How often, in ms. Where there are so many flows that it takes long, less often: a tenth of the time at most, */
const interval = 1_000;
const share = 10;
/** but never so seldom that the kernel ends a flow between two looks. */
const longest = (resetGrace * 1_000 * 2) / 3;

export interface IdleResetsParts {
  readonly flows: Flows;
  readonly marks: FlowMarks;
  readonly resets: Resets;
  readonly logger: Logger;
}

export class IdleResets {
  readonly #parts: IdleResetsParts;
  /** What `tend` was last told, and what follows from it. */
  #tended: { readonly table: ForwardingTable; readonly rules: IdleRules } | undefined;
  #looking: Promise<void> | undefined;
  #lookAgain = 0;

  constructor(parts: IdleResetsParts) {
    this.#parts = parts;
  }

  /** Whether rules of the table that it was last told of ask for idle timeouts. */
  get asked(): boolean {
    return this.#tended?.rules.some === true;
  }

  /** Looks for them if it is time, in the background. */
  tend(table: ForwardingTable): void {
    if (this.#tended?.table !== table) this.#tended = { table, rules: idleRules(table) };
    const { rules } = this.#tended;
    if (rules.resetting.length === 0 || this.#looking !== undefined || performance.now() < this.#lookAgain)
      return;
    this.#looking = this.#look(rules).finally(() => {
      this.#looking = undefined;
    });
  }

  /** Resolves when it does not look any more. */
  async close(): Promise<void> {
    await this.#looking;
  }

  async #look(rules: IdleRules): Promise<void> {
    const { flows, marks, resets, logger } = this.#parts;
    const begun = performance.now();
    try {
      await flows.reset(isOver(rules, marks), (connections, forget) => resets.end(connections, forget));
    } catch (error) {
      logger.error({ err: error }, 'idle connections could not be reset; trying again');
    }
    const pause = Math.min(longest, Math.max(interval, (performance.now() - begun) * share));
    this.#lookAgain = begun + pause - interval / 2;
  }
}
