// What happened after which revision: a bounded history, and readers that follow it at their own pace.
import { Refusal } from '../resources/refusal.ts';
import type { GatewayEvent } from './contract.ts';

const eventsKept = 1_000;
/** Mappings named by the events kept, so that a few huge changes cannot fill the memory. */
const mappingsKept = 50_000;
/** A reader that is this many events behind, or as many mappings as are kept, is cut off; it may come back. */
const backlogLimit = 1_000;

export class EventLog {
  readonly #kept: GatewayEvent[] = [];
  readonly #readers = new Set<Reader>();
  #mappings = 0;
  /** Events of later revisions are all kept. */
  #completeSince: number;
  #latest: number;

  /** `revision`: where the history starts. */
  constructor(revision: number) {
    this.#completeSince = revision;
    this.#latest = revision;
  }

  publish(event: GatewayEvent): void {
    // These belong to no revision, so nobody could ask for them; and flapping must not push out what is kept.
    if (event.kind === 'health' || event.kind === 'outbound') {
      for (const reader of this.#readers) reader.push(event);
      return;
    }
    this.#kept.push(event);
    this.#latest = event.revision;
    this.#mappings += mappingsIn(event);
    while (this.#kept.length > eventsKept || (this.#mappings > mappingsKept && this.#kept.length > 1)) {
      const dropped = this.#kept.shift();
      if (dropped === undefined) break;
      this.#mappings -= mappingsIn(dropped);
      this.#completeSince = Math.max(this.#completeSince, dropped.revision);
    }
    for (const reader of this.#readers) reader.push(event);
  }

  /** Events after a revision (0: only those to come), until the signal aborts. */
  async *follow(afterRevision: number, signal: AbortSignal): AsyncGenerator<GatewayEvent> {
    const reader = new Reader();
    if (afterRevision !== 0) {
      if (afterRevision < this.#completeSince) throw unavailable(afterRevision, this.#completeSince);
      if (afterRevision > this.#latest) throw yetToCome(afterRevision, this.#latest);
      for (const event of this.#kept) if (event.revision > afterRevision) reader.push(event);
    }
    const stop = () => reader.close();
    signal.addEventListener('abort', stop, { once: true });
    this.#readers.add(reader);
    try {
      if (!signal.aborted) yield* reader.events();
    } finally {
      this.#readers.delete(reader);
      signal.removeEventListener('abort', stop);
    }
  }
}

class Reader {
  #backlog: GatewayEvent[] = [];
  /** In the events of the backlog. */
  #mappings = 0;
  #wake: (() => void) | undefined;
  #closed = false;
  #overrun = false;

  push(event: GatewayEvent): void {
    const isFull = this.#backlog.length >= backlogLimit || this.#mappings > mappingsKept;
    if (this.#overrun || isFull) this.#overrun = true;
    else {
      this.#backlog.push(event);
      this.#mappings += mappingsIn(event);
    }
    this.#wake?.();
  }

  close(): void {
    this.#closed = true;
    this.#wake?.();
  }

  async *events(): AsyncGenerator<GatewayEvent> {
    while (!this.#closed) {
      const batch = this.#backlog;
      this.#backlog = [];
      this.#mappings = 0;
      yield* batch;
      if (this.#backlog.length > 0 || this.#closed) continue;
      if (this.#overrun) throw tooSlow();
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
  }
}

function mappingsIn(event: GatewayEvent): number {
  if (event.kind !== 'applied') return 0;
  return event.plan.assigned.length + event.plan.released.length + 2 * event.plan.remapped.length;
}

function unavailable(asked: number, oldest: number): Refusal {
  return new Refusal([
    {
      field: 'after_revision',
      reason: 'REVISION_UNAVAILABLE',
      description: `revision ${asked}: events are kept after revision ${oldest} only; watch from 0 to start with a snapshot`,
      metadata: { oldest: String(oldest) },
    },
  ]);
}

/** A gateway that lost its state counts anew: who waited for its old revisions would miss all until then. */
function yetToCome(asked: number, current: number): Refusal {
  return new Refusal([
    {
      field: 'after_revision',
      reason: 'REVISION_UNAVAILABLE',
      description: `revision ${asked} is yet to come, the current one is ${current}; watch from 0 to start with a snapshot`,
      metadata: { current: String(current) },
    },
  ]);
}

function tooSlow(): Refusal {
  return new Refusal([
    {
      field: '',
      reason: 'READER_TOO_SLOW',
      description: `the reader fell more than ${backlogLimit} events or ${mappingsKept} mappings behind; watch again after the last revision seen`,
    },
  ]);
}
