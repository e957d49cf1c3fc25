// Health checks as the gateway sees them: what is to be probed goes in, changes of verdicts come out.
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { Logger } from 'pino';
import type { Assigned, Assignment, MonitorReport, VerdictChange } from './monitor.ts';
import type { Verdict } from './verdict.ts';

/** Who probes. */
export interface HealthChecks {
  /** Takes changes of verdicts from now on; of targets that are assigned, in the order in which they came about. */
  onChange(listener: (changes: readonly VerdictChange[]) => void): void;
  /** Changes what is probed. */
  assign(assignment: Assignment): void;
  /** How probing itself fares; absent before the first seconds are over. */
  report(): MonitorReport | undefined;
  /** Probes no more. */
  close(): Promise<void>;
}

/** What goes to the thread. */
export type Order = Assignment;

/** What comes from it. */
export type Message =
  | { readonly kind: 'changes'; readonly changes: readonly VerdictChange[] }
  | { readonly kind: 'report'; readonly report: MonitorReport };

/** Milliseconds until a thread that has failed is followed by another. */
const pause = 1_000;

/**
 * Probes in a thread of its own: a large change of the configuration holds up the agent's event loop, and must not let
 * machines seem dead; and thousands of probes a second must not hold up the API.
 */
export class ThreadedHealthChecks implements HealthChecks {
  readonly #logger: Logger;
  readonly #assigned = new Map<string, Assigned>();
  #listener: (changes: readonly VerdictChange[]) => void = () => {};
  #worker: Worker | undefined;
  #report: MonitorReport | undefined;
  #trouble = '';
  #restart: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  onChange(listener: (changes: readonly VerdictChange[]) => void): void {
    this.#listener = listener;
  }

  assign(assignment: Assignment): void {
    for (const key of assignment.removed) this.#assigned.delete(key);
    for (const each of assignment.added) this.#assigned.set(each.key, each);
    if (this.#closed || this.#restart !== undefined) return;
    if (this.#worker !== undefined) this.#worker.postMessage(assignment satisfies Order);
    else if (this.#assigned.size > 0) this.#start();
  }

  report(): MonitorReport | undefined {
    return this.#assigned.size === 0 ? undefined : this.#report;
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#restart);
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.terminate();
  }

  #start(): void {
    // As a source in a checkout, compiled in the package: named like this very file.
    const program = new URL(`./thread${extname(import.meta.filename)}`, import.meta.url);
    const worker = new Worker(program, { name: 'health checks' });
    this.#worker = worker;
    worker.on('message', (message: Message) => this.#take(message));
    worker.on('error', (error) => this.#failed(worker, error));
    worker.on('exit', (code) => this.#failed(worker, new Error(`the thread ended (${code})`)));
    // The agent ends when everything else has.
    worker.unref();
    worker.postMessage({ removed: [], added: [...this.#assigned.values()] } satisfies Order);
  }

  #take(message: Message): void {
    switch (message.kind) {
      case 'changes':
        this.#changed(message.changes);
        return;
      case 'report': {
        const { unsent, trouble } = message.report;
        this.#report = message.report;
        if (trouble !== '' && trouble !== this.#trouble) {
          this.#logger.warn({ unsent, trouble }, 'probes cannot be sent');
        }
        this.#trouble = trouble;
      }
    }
  }

  /** Of targets that are no longer assigned, something may still be on its way. */
  #changed(changes: readonly VerdictChange[]): void {
    const current = changes.filter(([key]) => this.#assigned.has(key));
    for (const [key, verdict] of current) this.#keep(key, verdict);
    if (current.length > 0) this.#listener(current);
  }

  /** For a thread that follows a failed one. */
  #keep(key: string, known: Verdict): void {
    const assigned = this.#assigned.get(key);
    if (assigned !== undefined) this.#assigned.set(key, { ...assigned, known });
  }

  /** Verdicts stand until the next thread has probed. */
  #failed(worker: Worker, error: Error): void {
    if (this.#worker !== worker) return;
    this.#worker = undefined;
    this.#logger.error({ err: error }, 'health checks failed; starting them again');
    this.#restart = setTimeout(() => {
      this.#restart = undefined;
      if (!this.#closed && this.#assigned.size > 0) this.#start();
    }, pause);
  }
}
