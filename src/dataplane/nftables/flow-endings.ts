// Ends the flows that a change leaves behind: at once those that it names, in the background what nobody waits for.
import type { Logger } from 'pino';
import type { Change } from '../../forwarding/change.ts';
import type { ForwardingTable } from '../../forwarding/table.ts';
import type { Flows } from '../conntrack/flows.ts';
import type { FlowSelection } from '../conntrack/selection.ts';
import type { Resets } from '../reset/resets.ts';
import { tableEntries, tableLimits, tableOutbound, tableRings } from './encode.ts';

export interface FlowEndingsParts {
  readonly flows: Flows;
  readonly resets: Resets;
  readonly logger: Logger;
}

export class FlowEndings {
  readonly #parts: FlowEndingsParts;
  #waiting: FlowSelection[] = [];
  /** Loaded, and the flows from before not yet compared with it. */
  #unchecked: ForwardingTable | undefined;
  #comparing = false;
  #sweeping: Promise<void> | undefined;

  constructor(parts: FlowEndingsParts) {
    this.#parts = parts;
  }

  /** The transaction stands, and its guard has cut the flows already: a failure here is tried again, not reported. */
  async now(ending: readonly FlowSelection[]): Promise<void> {
    if (ending.length === 0) return;
    const { flows, resets, logger } = this.#parts;
    try {
      const resetting = ending.filter((each) => each.kind === 'ring-member' && each.reset === true);
      if (resetting.length > 0) {
        // First what needs no words: its next packet goes elsewhere.
        await flows.end(resetting.map((each) => ({ ...each, udpOnly: true })));
        await flows.resetSelected(resetting, (connections, forget) => resets.end(connections, forget));
      }
      await flows.end(ending);
    } catch (error) {
      logger.error({ err: error }, 'flows were cut but not ended; trying again');
      this.#waiting.push(...ending);
    }
  }

  /** Those that began before the entries and ports were there. */
  soon({ added, outbound = [] }: Pick<Change, 'added' | 'outbound'>): void {
    for (const { endpoint } of added) this.#waiting.push({ kind: 'knocking', endpoint });
    for (const { before, after } of outbound) {
      if (before === undefined)
        this.#waiting.push({ kind: 'unanswered', machine: after.machine, transport: after.transport });
    }
    this.#begin();
  }

  /** Those that the table, which has just been loaded, does not allow. */
  soonAllBut(table: ForwardingTable): void {
    this.#unchecked = table;
    this.#begin();
  }

  /** Resolves when no flow is compared with a table any more: with an earlier one, those of a later would not be allowed. */
  async compared(): Promise<void> {
    if (this.#unchecked !== undefined || this.#comparing) await this.#sweeping;
  }

  /** Forgets what has not begun. */
  async close(): Promise<void> {
    this.#waiting = [];
    this.#unchecked = undefined;
    await this.#sweeping;
  }

  #begin(): void {
    if (this.#sweeping !== undefined || (this.#waiting.length === 0 && !this.#unchecked)) return;
    this.#sweeping = this.#sweep();
  }

  async #sweep(): Promise<void> {
    const { flows, logger } = this.#parts;
    while (this.#waiting.length > 0 || this.#unchecked !== undefined) {
      const selections = this.#waiting;
      const table = this.#unchecked;
      this.#waiting = [];
      this.#unchecked = undefined;
      try {
        this.#comparing = table !== undefined;
        if (table)
          await flows.endStale({
            entries: () => tableEntries(table),
            rings: tableRings(table),
            limits: tableLimits(table),
            outbound: tableOutbound(table),
          });
        this.#comparing = false;
        if (selections.length > 0) await flows.end(selections);
      } catch (error) {
        logger.error({ err: error }, 'flows that the table does not allow could not be ended');
      }
    }
    // Not a turn later: what came in between would wait for the next change.
    this.#sweeping = undefined;
  }
}
