// The border to the kernel. Each plane carries out the same forwarding table; nothing else crosses.
import type { Change } from '../forwarding/change.ts';
import type { Entry, ForwardingTable } from '../forwarding/table.ts';

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
  /** 0 for an empty configuration that was never changed. */
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
  /** Our state is gone or not ours any more; `load` repairs it. `detail` says what was seen. */
  | { readonly kind: 'damaged'; readonly detail: string };

/** Packets and bytes are both directions; all three since the entry got its present target. */
export interface Counters {
  readonly packets: number;
  readonly bytes: number;
  readonly flows: number;
}

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
