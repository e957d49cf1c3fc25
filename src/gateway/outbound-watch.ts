// Looks how many ports machines use, again and again, and tells when a member reaches another level.
import type { DataPlane } from '../dataplane/dataplane.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { OutboundFilter } from './contract.ts';
import { memberKey, type OutboundMember, outboundMembers } from './outbound-members.ts';
import { type OutboundLevel, type OutboundUse, UseCounter } from './outbound-use.ts';
import type { State } from './state.ts';

export interface OutboundWatchParts {
  readonly dataPlane: Pick<DataPlane, 'flows'>;
  readonly state: () => State;
  readonly onLevel: (member: OutboundMember) => void;
  readonly logger: Logger;
}

/** Milliseconds. A look walks over all flows that the kernel tracks; it takes at most a twentieth of the time. */
const shortestPause = 1_000;
const pausePerWork = 20;

export class OutboundWatch {
  readonly #parts: OutboundWatchParts;
  #levels: ReadonlyMap<string, OutboundLevel> = new Map();
  #alarming: readonly OutboundMember[] = [];
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(parts: OutboundWatchParts) {
    this.#parts = parts;
  }

  /** Looks from now on. */
  start(): void {
    this.#wait(shortestPause);
  }

  /** Members that were not at their normal level at the last look. */
  get alarming(): readonly OutboundMember[] {
    return this.#alarming;
  }

  /** As it is now. */
  async members(filter: OutboundFilter): Promise<readonly OutboundMember[]> {
    if (this.#parts.state().outbound.ports.size === 0) return [];
    const use = await this.#count();
    return [...outboundMembers(this.#parts.state(), use, this.#levels, filter)];
  }

  /** One look; `start` takes one after the other. */
  async look(): Promise<void> {
    const { state, onLevel } = this.#parts;
    if (state().outbound.ports.size === 0) {
      this.#levels = new Map();
      this.#alarming = [];
      return;
    }
    const use = await this.#count();
    if (this.#isClosed) return;
    const levels = new Map<string, OutboundLevel>();
    const alarming: OutboundMember[] = [];
    for (const member of outboundMembers(state(), use, this.#levels)) {
      const key = memberKey(member);
      const before = this.#levels.get(key) ?? 'normal';
      if (member.level !== 'normal') {
        levels.set(key, member.level);
        alarming.push(member);
      }
      // Nobody who waits for the one misses it because the other came with it.
      if (before === 'normal' && member.level === 'exhausted') onLevel({ ...member, level: 'low' });
      if (before !== member.level) onLevel(member);
    }
    this.#levels = levels;
    this.#alarming = alarming;
  }

  /** Waits for a look that is under way. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    await this.#looking;
  }

  #wait(pause: number): void {
    if (this.#isClosed) return;
    this.#timer = setTimeout(() => {
      const begun = performance.now();
      this.#looking = this.look()
        .catch((error: unknown) => {
          this.#parts.logger.error(
            { err: error },
            'outbound ports in use could not be counted; trying again',
          );
        })
        .finally(() => this.#wait(Math.max(shortestPause, pausePerWork * (performance.now() - begun))));
    }, pause);
    this.#timer.unref();
  }

  async #count(): Promise<ReadonlyMap<string, OutboundUse>> {
    const counter = new UseCounter();
    await this.#parts.dataPlane.flows({
      only: 'outbound',
      most: 0,
      wanted: (flow) => {
        counter.add(flow);
        return false;
      },
    });
    return counter.use;
  }
}
