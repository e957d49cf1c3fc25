// A checked change of the configuration: what the later stages (ports, forwarding, store) work from.
import type { Configuration, LoadBalancer } from './model.ts';

export interface ConfigurationChange {
  readonly before: Configuration;
  readonly after: Configuration;
  /** By name; only load balancers that really differ (what did not change stays the same object, at every level). */
  readonly changed: ReadonlyMap<string, ChangedLoadBalancer>;
}

export interface ChangedLoadBalancer {
  readonly name: string;
  /** Absent when the change creates it. */
  readonly before?: LoadBalancer;
  /** Absent when the change deletes it. */
  readonly after?: LoadBalancer;
  readonly origin: Origin;
}

/** Where in the request a thing stands, so that a later stage can name the offending field. */
export interface Origin {
  /** `put_load_balancers[0].inbound_nat_rules[3]`; the nearest thing that is in the request otherwise. */
  natRule(name: string): string;
  /** The same for load-balancing and outbound rules. */
  balancingRule(name: string): string;
  outboundRule(name: string): string;
  /** The field that says how large a pool rule's range is: `...pool.maximum_machines` or `...frontend_port_range_end`. */
  natRuleSize(name: string): string;
  /** `put_members[0].members[3]` or `put_load_balancers[0].backend_pools[0].members[3]`; the nearest otherwise. */
  member(backendPool: string, id: string): string;
}
