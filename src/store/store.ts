// Durable revisions. A store knows rows, not rules: what they mean is the gateway's.

/** `kind` is a table of the store: */
export type RowKind =
  /** [load balancer] → its frontends, rules and pool names, without members */
  | 'load-balancer'
  /** [load balancer, pool, member id] → the member, with its place in the order */
  | 'member'
  /** [load balancer, rule, member id] → the assigned port */
  | 'port'
  /** [load balancer, rule, port] → who had it last */
  | 'former-port'
  /** [load balancer, outbound rule, member id] → the ports set aside */
  | 'outbound'
  /** [load balancer, pool, probe and way out] → the ring number */
  | 'ring'
  /** [load balancer, nat or lb, rule] → the number of the rule's limits */
  | 'limit'
  /** [load balancer, pool, member id] → since when it drains, and which drain periods have passed */
  | 'drain'
  /** [target of health probes] → the last verdict on it; belongs to no revision */
  | 'verdict'
  /** [] → how often verdicts have changed what the kernel runs; belongs to no revision */
  | 'turn';

export interface RowKey {
  readonly kind: RowKind;
  readonly key: readonly string[];
}

export interface Row extends RowKey {
  /** JSON. */
  readonly value: string;
}

/** A row that differs between two revisions; a side is undefined where the row is not there. */
export interface RowChange extends RowKey {
  readonly before: string | undefined;
  readonly after: string | undefined;
}

/** A row as the revision before had it. */
export interface FormerRow extends RowKey {
  readonly value: string | undefined;
}

/** A remembered answer to a request with an id. */
export interface Answer {
  readonly requestId: string;
  readonly body: Uint8Array;
}

/** Something that the agent changed on the host, and how to undo it. */
export interface HostChange {
  /** `sysctl` with a name, or `address` with an address. */
  readonly kind: 'sysctl' | 'address';
  readonly name: string;
  /** The value before, or the interface. */
  readonly detail: string;
}

/** What a store holds when it is opened. */
export interface Saved {
  /** 16 hexadecimal digits, made when the store was created. */
  readonly instance: string;
  readonly revision: number;
  readonly rows: readonly Row[];
  /** The rows that differ from the revision before `revision`; absent when they were too many to keep. */
  readonly undo?: readonly FormerRow[];
  readonly hostChanges: readonly HostChange[];
}

export interface Store {
  /** Reads everything; meant for the start, before anything else is called. */
  load(): Promise<Saved>;

  /**
   * Makes a revision durable (on disk when it resolves). Each key stands at most once in `changes`, which is read
   * once now and once more by `revert`. Throws `StoreFailed` and leaves everything as it was.
   */
  save(revision: number, changes: Iterable<RowChange>, answer?: Answer): Promise<void>;

  /** Takes the last saved revision back; only right after `save`, when the kernel refused it. May be tried again. */
  revert(): Promise<void>;

  /** Writes rows that belong to no revision. Throws `StoreFailed` and leaves everything as it was. */
  put(changes: Iterable<RowChange>): Promise<void>;

  /** Keeps an answer to a request that needed no revision. */
  remember(revision: number, answer: Answer): Promise<void>;

  /** The answer that was given to a request id, if it is still remembered (the last 1,000 are). */
  answer(requestId: string): Uint8Array | undefined;

  /** Durable before it resolves, so that whatever is changed on the host can be undone after a crash. */
  recordHostChanges(changes: readonly HostChange[]): Promise<void>;
  forgetHostChanges(changes: readonly HostChange[]): Promise<void>;

  close(): Promise<void>;
}

/** The store cannot be used, or could not write. */
export class StoreFailed extends Error {
  override readonly name = 'StoreFailed';
  readonly remedy: string;

  constructor(message: string, remedy: string, cause?: unknown) {
    super(message, { cause });
    this.remedy = remedy;
  }
}
