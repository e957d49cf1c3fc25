// Who drains, and for whom of them the time is up, as far as forwarding depends on it.

/** A member that drains. */
export interface Drain {
  /** Milliseconds since 1970 when it began. */
  readonly since: number;
  /** Drain periods (of rules, in milliseconds) that have passed. */
  readonly ended: readonly number[];
}

/** The members of a pool that drain, by id. Compared by identity: what did not change stays the same object. */
export type PoolDrains = ReadonlyMap<string, Drain>;

/** Undefined where nobody of the pool drains. */
export type DrainsOf = (loadBalancer: string, backendPool: string) => PoolDrains | undefined;

export const nobodyDrains: DrainsOf = () => undefined;
