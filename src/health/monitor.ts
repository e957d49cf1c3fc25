// Probes targets, each in its turn, and tells what follows from that.
import { type Attempt, type Attempts, attempt } from './attempt.ts';
import type { Outcome } from './outcome.ts';
import { firstDue, nextDue, tick, Wheel } from './schedule.ts';
import type { ProbeTarget } from './target.ts';
import { advance, type Course, courseFrom, unknownVerdict, type Verdict } from './verdict.ts';

/** What shall be probed from now on, and what no more. A key in both is probed anew. */
export interface Assignment {
  readonly removed: readonly string[];
  readonly added: readonly Assigned[];
}

export interface Assigned {
  readonly key: string;
  readonly target: ProbeTarget;
  /** What was held before, by an earlier run; it stands until probes say otherwise. */
  readonly known?: Verdict | undefined;
}

export type VerdictChange = readonly [key: string, verdict: Verdict];

/** How probing itself fares. */
export interface MonitorReport {
  /** Probes that began in the last few seconds. */
  readonly begun: number;
  /** Milliseconds by which the latest of them began late. */
  readonly lateness: number;
  /** Those of them that could not be sent, and why the last. */
  readonly unsent: number;
  readonly trouble: string;
}

export interface MonitorParts {
  /** Takes changes of verdicts; of several of one target, the last. */
  readonly changed: (changes: readonly VerdictChange[]) => void;
  /** Takes a report every few seconds. */
  readonly report: (report: MonitorReport) => void;
  readonly attempts?: Attempts;
}

interface Watched extends Assigned {
  course: Course;
  /** On the clock of `performance.now()`. */
  due: number;
  running: Running | undefined;
  gone: boolean;
}

interface Running {
  readonly attempt: Attempt;
  readonly timer: NodeJS.Timeout;
}

/** Milliseconds between two reports. */
const reportInterval = 5_000;
/** More connections at once than this would only make each other fail: the rest waits, and is late. */
const attemptsAtOnce = 16_384;
/** A tick that comes so much later than it should, in milliseconds, held up everything else too. */
const stallFrom = 2 * tick;

export class Monitor {
  readonly #parts: MonitorParts;
  readonly #attempts: Attempts;
  readonly #watched = new Map<string, Watched>();
  readonly #wheel: Wheel<Watched>;
  readonly #changes = new Map<string, Verdict>();
  readonly #waiting: Watched[] = [];
  #running = 0;
  #timer: NodeJS.Timeout | undefined;
  #expected = 0;
  /** Milliseconds for which this process was held up, in all: no probe's time, for nobody could have read its answer. */
  #stalled = 0;
  #begun = 0;
  #lateness = 0;
  #unsent = 0;
  #trouble = '';
  #reportDue = 0;

  constructor(parts: MonitorParts) {
    this.#parts = parts;
    this.#attempts = parts.attempts ?? attempt;
    this.#wheel = new Wheel(performance.now());
  }

  assign({ removed, added }: Assignment): void {
    for (const key of removed) this.#drop(key);
    const now = performance.now();
    for (const assigned of added) {
      this.#drop(assigned.key);
      const { key, target, known } = assigned;
      const course = courseFrom(known ?? unknownVerdict(Date.now()), Date.now());
      const isKnown = known !== undefined && known.reason !== 'NA';
      const due = firstDue(key, target.interval, isKnown, now);
      const watched: Watched = { ...assigned, course, due, running: undefined, gone: false };
      this.#watched.set(key, watched);
      this.#wheel.add(watched);
    }
    if (this.#timer === undefined && this.#watched.size > 0) {
      this.#expected = now + tick;
      this.#timer = setInterval(() => this.#turn(), tick);
    }
  }

  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    for (const key of [...this.#watched.keys()]) this.#drop(key);
  }

  #drop(key: string): void {
    const watched = this.#watched.get(key);
    if (watched === undefined) return;
    watched.gone = true;
    this.#watched.delete(key);
    this.#changes.delete(key);
    if (watched.running === undefined) return;
    clearTimeout(watched.running.timer);
    watched.running.attempt.abort();
    this.#finish(watched);
  }

  #turn(): void {
    const now = performance.now();
    if (now - this.#expected > stallFrom) this.#stalled += now - this.#expected;
    this.#expected = now + tick;
    for (const watched of this.#wheel.take(now)) {
      if (!watched.gone) this.#waiting.push(watched);
    }
    this.#beginWaiting(now);
    this.#tell(now);
    if (this.#watched.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #beginWaiting(now: number): void {
    let begun = 0;
    for (; begun < this.#waiting.length && this.#running < attemptsAtOnce; begun += 1) {
      const watched = this.#waiting[begun];
      if (watched === undefined || watched.gone) continue;
      this.#lateness = Math.max(this.#lateness, now - watched.due);
      this.#begin(watched);
    }
    this.#waiting.splice(0, begun);
  }

  #tell(now: number): void {
    if (this.#changes.size > 0) {
      const changes = [...this.#changes];
      this.#changes.clear();
      this.#parts.changed(changes);
    }
    if (now < this.#reportDue) return;
    this.#reportDue = now + reportInterval;
    this.#parts.report({
      begun: this.#begun,
      lateness: this.#lateness,
      unsent: this.#unsent,
      trouble: this.#trouble,
    });
    this.#begun = 0;
    this.#lateness = 0;
    this.#unsent = 0;
    this.#trouble = '';
  }

  #begin(watched: Watched): void {
    const stalledBefore = this.#stalled;
    const attempt = this.#attempts(watched.target, (outcome) => this.#ended(watched, running, outcome));
    const timer = setTimeout(() => this.#overdue(watched, running, stalledBefore), watched.target.timeout);
    const running: Running = { attempt, timer };
    watched.running = running;
    this.#running += 1;
    this.#begun += 1;
  }

  /** The answer may have come while nobody could read it: one look at the sockets, and the time of any stall, before giving up. */
  #overdue(watched: Watched, running: Running, stalledBefore: number): void {
    const owed = this.#stalled - stalledBefore;
    if (owed > 0) {
      const timer = setTimeout(() => this.#overdue(watched, again, stalledBefore + owed), owed);
      const again: Running = { attempt: running.attempt, timer };
      if (watched.running === running) watched.running = again;
      else clearTimeout(timer);
      return;
    }
    setImmediate(() => {
      if (watched.running !== running) return;
      const { target } = watched;
      const reason =
        target.protocol === 'tcp' ? 'Down_Probe_TcpProbeTimeout' : 'Down_Probe_HttpEndpointUnreachable';
      const detail = `${running.attempt.lacks} within ${target.timeout / 1_000} s`;
      running.attempt.abort();
      this.#ended(watched, running, { kind: 'failure', reason, detail });
    });
  }

  #ended(watched: Watched, running: Running, outcome: Outcome): void {
    if (watched.running === undefined || watched.running.attempt !== running.attempt) return;
    clearTimeout(watched.running.timer);
    this.#finish(watched);
    if (watched.gone) return;
    this.#note(watched, outcome);
    // From begin to begin, however long it took; after a stall, one turn is made up for and not all of them.
    const { interval } = watched.target;
    watched.due = nextDue(watched.key, interval, Math.max(watched.due, performance.now() - interval));
    this.#wheel.add(watched);
  }

  #finish(watched: Watched): void {
    watched.running = undefined;
    this.#running -= 1;
  }

  #note(watched: Watched, outcome: Outcome): void {
    if (outcome.kind === 'unsent') {
      this.#unsent += 1;
      this.#trouble = outcome.detail;
    }
    const before = watched.course.verdict;
    watched.course = advance(watched.course, outcome, watched.target, Date.now());
    if (watched.course.verdict !== before) this.#changes.set(watched.key, watched.course.verdict);
  }
}
