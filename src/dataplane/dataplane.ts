// The border to the kernel. Each plane carries out the same forwarding table; nothing else crosses.
import type { Change } from '../forwarding/change.ts';
import type { FlowLimit } from '../forwarding/flow-limits.ts';
import type { Entry, ForwardingTable, Ring, RingMember } from '../forwarding/table.ts';
import type { FlowList, FlowQuery } from './live-flow.ts';

export interface DataPlane {
  readonly kind: 'nftables' | 'xdp' | 'fake';

  /**
   * Checks what the plane needs (by trying, not by version) and attaches to what the kernel already runs.
   * Changes nothing that is forwarded. Throws `DataPlaneUnavailable` with every finding.
   */
  open(): Promise<KernelState>;

  /**
   * Makes the kernel run exactly `table`, whatever it ran before, in one transaction; established flows that the
   * table still allows go on. Used for the first load, and for repair.
   */
  load(table: ForwardingTable, stamp: Stamp): Promise<void>;

  /**
   * Commits a change to the table last loaded or committed, in one transaction: all of it, or (when this throws)
   * nothing. Flows in `change.ending` have ended when it resolves.
   */
  commit(change: Change, stamp: Stamp): Promise<void>;

  /** Reads counters; entries that the kernel does not run are absent. Cost grows with the number asked for. */
  counters(entries: readonly Entry[]): Promise<ReadonlyMap<Entry, Counters>>;

  /** What the machines of a ring have got through balanced rules; those that the plane does not count are absent. */
  memberCounters(ring: Ring): Promise<ReadonlyMap<RingMember, Counters>>;

  /** What limits have refused since each was there; those that the kernel does not run are absent. */
  refusals(limits: readonly FlowLimit[]): Promise<ReadonlyMap<FlowLimit, Refusals>>;

  /** Live flows that a query wants, of all that the plane keeps state of. Reads them all, or until there are enough. */
  flows(query: FlowQuery): Promise<FlowList>;

  /**
   * How the plane sits on the host, and what it made of the packets; `table` is what it runs. For `status`: at most some
   * milliseconds.
   */
  report(table: ForwardingTable): Promise<PlaneReport>;

  /**
   * Sees to what needs a clock: flows that shall end with a reset after their idle timeout. To be called every second, with
   * the table last loaded or committed; what takes longer goes on by itself, and what fails is logged and tried again.
   */
  tend(table: ForwardingTable): void;

  /** A cheap check that the kernel still runs what was committed (well under a millisecond). */
  verify(): Promise<Verdict>;

  /**
   * Removes everything that the plane ever put into the kernel, and ends the flows. Only for a plane that is open; it can
   * be opened again.
   */
  flush(): Promise<void>;

  /** Lets go of processes and sockets. The kernel goes on forwarding. */
  close(): Promise<void>;
}

/** Ties what the kernel runs to what the store holds. */
export interface Stamp {
  /** Of the state directory: another gateway's leftovers are told apart. 16 hexadecimal digits. */
  readonly instance: string;
  /** Which state of that gateway it is; the gateway's to read. Below 2^48, and 0 where nothing was ever changed. */
  readonly revision: number;
}

/** What `open` found. */
export interface KernelState {
  /** Absent when there is nothing of ours, or of another shape than this version's; then `load` is needed. */
  readonly stamp?: Stamp;
  /** The program and kernel that the plane stands on, for `status`. */
  readonly version: string;
}

export type Verdict =
  | { readonly kind: 'intact' }
  /** Something of ours was gone, and is there again; nothing has to be loaded. `detail` says what was seen. */
  | { readonly kind: 'mended'; readonly detail: string }
  /** Our state is gone or not ours any more; `load` repairs it. `detail` says what was seen. */
  | { readonly kind: 'damaged'; readonly detail: string };

/**
 * Packets and bytes are both directions; all three since the entry got its present target. Where established flows take a
 * fast path that cannot count by entry, their packets are left out, and a note of `report` says so.
 */
export interface Counters {
  readonly packets: number;
  readonly bytes: number;
  readonly flows: number;
}

/** First packets that were dropped, by the limit that each met first. */
export interface Refusals {
  readonly byClient: number;
  readonly byRate: number;
  readonly byConcurrency: number;
}

/** What only the plane knows about itself; empty lists where there is nothing of the kind. */
export interface PlaneReport {
  readonly interfaces: readonly InterfaceReport[];
  /** Memory of the kernel that is set aside for the plane's maps. */
  readonly maps: readonly MapReport[];
  /** Absent where the kernel's connection tracking is all there is. */
  readonly flows?: FlowTableReport;
  /** Packets since the plane was loaded, by what became of them; reasons that never occurred may be left out. */
  readonly reasons: readonly PacketReason[];
  /** What an operator may wonder about, in sentences: such as why next hops are not remembered. */
  readonly notes: readonly string[];
}

/** A network interface that the plane receives from. */
export interface InterfaceReport {
  readonly name: string;
  /** Where the program runs: in the driver, behind it (slower), or not at all. */
  readonly mode: 'native' | 'generic' | 'off';
  /** Of the kernel module, such as `veth`; empty where unknown. */
  readonly driver: string;
  /** Why the mode is not native, in the driver's or kernel's words; empty where it is. */
  readonly reason: string;
  /** The program's id in the kernel, as `bpftool prog show id` takes it; 0 where none runs. */
  readonly program: number;
  /** The program takes frames that fill several pages (jumbo frames). */
  readonly multiBuffer: boolean;
}

export interface MapReport {
  readonly name: string;
  /** Of all CPUs. */
  readonly bytes: number;
  /** How many entries there is room for, and how many are there; absent where it does not fill up. */
  readonly entries?: { readonly capacity: number; readonly used: number };
}

/** The plane's own flows. */
export interface FlowTableReport {
  readonly capacity: number;
  /** All flows that are kept, also those that are over and may be displaced. */
  readonly used: number;
  /** Those that both sides have spoken in, which a flood of new ones does not displace. */
  readonly open: number;
}

/** What became of packets: the plane's own word for why, and how many. */
export interface PacketReason {
  /** Stable, such as `hop-limit`. */
  readonly reason: string;
  readonly outcome: PacketOutcome;
  readonly packets: number;
}

/**
 * Sent on by the plane itself; handed to the kernel untouched; translated, and left to the kernel to route; dropped; or a
 * thing that happened besides.
 */
export type PacketOutcome = 'forwarded' | 'handed-up' | 'routed' | 'dropped' | 'event';

/** One thing that the host lacks, and what an operator does about it. */
export interface Finding {
  /** Stable, such as `NFT_MISSING`. */
  readonly code: string;
  readonly message: string;
  readonly remedy: string;
}

/** The plane cannot run here. */
export class DataPlaneUnavailable extends Error {
  override readonly name = 'DataPlaneUnavailable';
  readonly findings: readonly Finding[];

  constructor(findings: readonly Finding[]) {
    super(findings.map((finding) => `${finding.message} (${finding.code}): ${finding.remedy}`).join('; '));
    this.findings = findings;
  }
}

/** The kernel refused a commit; nothing of it has been applied. */
export class CommitFailed extends Error {
  override readonly name = 'CommitFailed';
  /** The kernel's or program's own words, in full. */
  readonly log: string;

  constructor(summary: string, log: string) {
    super(summary);
    this.log = log;
  }
}
