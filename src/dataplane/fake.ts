// A data plane in memory that keeps the contract of the real ones and checks every reference: for tests, and for trying
// things out where there is no kernel to change.
import type { Change, FlowSelector } from '../forwarding/change.ts';
import { wholeTable } from '../forwarding/diff.ts';
import type { FlowLimit } from '../forwarding/flow-limits.ts';
import type { FiveTuple } from '../forwarding/hash.ts';
import { type Destination, resolve } from '../forwarding/lookup.ts';
import { sameTarget } from '../forwarding/same.ts';
import {
  type Endpoint,
  type Entry,
  endpointKey,
  type ForwardingTable,
  type Ring,
  type RingMember,
} from '../forwarding/table.ts';
import {
  CommitFailed,
  type Counters,
  type DataPlane,
  type KernelState,
  type PlaneReport,
  type Refusals,
  type Stamp,
  type Verdict,
} from './dataplane.ts';
import { FakeKernel } from './fake-kernel.ts';
import { FlowCollector, type FlowList, type FlowQuery } from './live-flow.ts';

export { FakeKernel } from './fake-kernel.ts';

export interface FakeDataPlaneOptions {
  /** What survives the agent; a new, empty one unless given. */
  readonly kernel?: FakeKernel;
}

const nothingRefused: Refusals = { byClient: 0, byRate: 0, byConcurrency: 0 };
const noTraffic: Counters = { packets: 0, bytes: 0, flows: 0 };

/** Use it like any plane: `open` first, also to `flush`; after `close`, or before `load` on an empty kernel, `commit` is refused. */
export class FakeDataPlane implements DataPlane {
  readonly kind = 'fake';
  readonly kernel: FakeKernel;
  /** What `report` answers. */
  planeReport: PlaneReport = { interfaces: [], maps: [], reasons: [], notes: [] };
  /** What `tend` was last called with. */
  tended: ForwardingTable | undefined;
  #opened = false;
  #expected: Stamp | undefined;
  #failures: Error[] = [];
  #stamps: Stamp[] = [];
  #commits: Change[] = [];
  #loads = 0;

  constructor(options: FakeDataPlaneOptions = {}) {
    this.kernel = options.kernel ?? new FakeKernel();
  }

  async open(): Promise<KernelState> {
    this.#opened = true;
    this.#expected = this.kernel.stamp;
    const version = 'in memory';
    return this.kernel.stamp === undefined ? { version } : { stamp: this.kernel.stamp, version };
  }

  async load(table: ForwardingTable, stamp: Stamp): Promise<void> {
    this.#begin();
    const change = wholeTable(table);
    new FakeKernel().apply(change, stamp);
    const counters = new Map(this.kernel.counters);
    const before = new Map(this.kernel.entries);
    const ringsBefore = new Map(this.kernel.rings);
    const memberCounters = new Map(this.kernel.memberCounters);
    this.kernel.clear();
    this.kernel.apply(change, stamp);
    for (const [key, counted] of counters) {
      const [earlier, now] = [before.get(key), this.kernel.entries.get(key)];
      if (earlier && now && sameTarget(earlier.target, now.target)) this.kernel.counters.set(key, counted);
    }
    for (const [number, counted] of memberCounters) {
      const [earlier, now] = [ringsBefore.get(number), this.kernel.rings.get(number)];
      if (!earlier || !now) continue;
      this.kernel.memberCounters.set(number, counted);
      this.kernel.keepMemberCounters(earlier, now.members);
    }
    this.#loads += 1;
    this.#done(stamp);
  }

  async commit(change: Change, stamp: Stamp): Promise<void> {
    this.#begin();
    if (this.kernel.stamp === undefined) {
      throw new CommitFailed('The kernel holds no table to change.', 'nothing is loaded');
    }
    this.kernel.apply(change, stamp);
    this.#commits.push(change);
    this.#done(stamp);
  }

  async counters(entries: readonly Entry[]): Promise<ReadonlyMap<Entry, Counters>> {
    const answer = new Map<Entry, Counters>();
    for (const entry of entries) {
      const key = endpointKey(entry.endpoint);
      const present = this.kernel.entries.get(key);
      if (present === undefined || !sameTarget(present.target, entry.target)) continue;
      answer.set(entry, this.kernel.counters.get(key) ?? noTraffic);
    }
    return answer;
  }

  async memberCounters({ number, members }: Ring): Promise<ReadonlyMap<RingMember, Counters>> {
    const counted = this.kernel.memberCounters.get(number);
    return new Map(members.map((member) => [member, counted?.get(member.id) ?? noTraffic]));
  }

  async flows(query: FlowQuery): Promise<FlowList> {
    const found = new FlowCollector(query);
    for (const flow of this.kernel.flows) {
      if ((query.only ?? flow.direction) === flow.direction && !found.add(flow)) break;
    }
    return found.list;
  }

  async refusals(limits: readonly FlowLimit[]): Promise<ReadonlyMap<FlowLimit, Refusals>> {
    const present = limits.filter((limit) => this.kernel.limits.get(limit.number) === limit);
    return new Map(present.map((limit) => [limit, this.kernel.refusals.get(limit.number) ?? nothingRefused]));
  }

  async report(): Promise<PlaneReport> {
    return this.planeReport;
  }

  tend(table: ForwardingTable): void {
    this.tended = table;
  }

  async verify(): Promise<Verdict> {
    const [expected, found] = [this.#expected, this.kernel.stamp];
    if (expected === undefined) return { kind: 'intact' };
    if (found === undefined) return { kind: 'damaged', detail: 'the table is gone' };
    return found.instance === expected.instance && found.revision === expected.revision
      ? { kind: 'intact' }
      : { kind: 'damaged', detail: `the kernel runs revision ${found.revision} of ${found.instance}` };
  }

  async flush(): Promise<void> {
    if (!this.#opened) throw new Error('the data plane is not open');
    this.kernel.clear();
    this.#expected = undefined;
    this.#opened = false;
  }

  async close(): Promise<void> {
    this.#opened = false;
  }

  /** Lets the next `load` or `commit` throw, and apply nothing; several queue up. */
  failNext(error: Error = new CommitFailed('The kernel refused the change.', 'injected failure')): void {
    this.#failures.push(error);
  }

  /** Plays somebody else who flushes the kernel: `verify` tells, `load` repairs. */
  damage(): void {
    this.kernel.clear();
  }

  /** Where the kernel, as it is, sends a new flow. */
  lookup(packet: FiveTuple): Destination | undefined {
    return resolve(
      packet,
      (key) => this.kernel.entries.get(key),
      (number) => this.kernel.rings.get(number),
    );
  }

  /** Plays traffic through an endpoint. */
  setCounters(endpoint: Endpoint, counters: Counters): void {
    this.kernel.counters.set(endpointKey(endpoint), counters);
  }

  /** Plays traffic to a machine, by its id, of a ring, by its number. */
  setMemberCounters(ring: number, member: string, counters: Counters): void {
    const known = this.kernel.memberCounters.get(ring);
    this.kernel.memberCounters.set(ring, new Map([...(known ?? []), [member, counters]]));
  }

  /** Plays clients that a limit, by its number, has refused. */
  setRefusals(limit: number, refusals: Refusals): void {
    this.kernel.refusals.set(limit, refusals);
  }

  /** Of each successful `load` and `commit` through this object, oldest first. */
  get stamps(): readonly Stamp[] {
    return this.#stamps;
  }

  /** Each change that was committed through this object, oldest first. */
  get commits(): readonly Change[] {
    return this.#commits;
  }

  /** How often `load` succeeded. */
  get loads(): number {
    return this.#loads;
  }

  /** All flows that commits have ended, oldest first. */
  get ended(): readonly FlowSelector[] {
    return this.#commits.flatMap((change) => change.ending);
  }

  #begin(): void {
    if (!this.#opened) throw new CommitFailed('The data plane is not open.', 'call open() first');
    const failure = this.#failures.shift();
    if (failure !== undefined) throw failure;
  }

  #done(stamp: Stamp): void {
    this.#expected = stamp;
    this.#stamps.push(stamp);
  }
}
