// What probing has found, as far as forwarding depends on it.
import type { IpAddress } from '../resources/address.ts';

/**
 * The machines of a pool as one probe finds them. In neither set: nothing is known yet. Compared by identity: what did not
 * change stays the same object.
 */
export interface PoolHealth {
  readonly up: ReadonlySet<IpAddress>;
  readonly down: ReadonlySet<IpAddress>;
}

/** What is known of the pool of a load balancer by a probe of its. */
export type HealthOf = (loadBalancer: string, backendPool: string, probe: string) => PoolHealth;

export const unknownHealth: PoolHealth = { up: new Set(), down: new Set() };

/** Before anything was probed. */
export const nothingProbed: HealthOf = () => unknownHealth;
