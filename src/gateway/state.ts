// Everything that one revision is: declared, assigned, compiled. Immutable; the gateway holds exactly one.
import type { DrainsOf } from '../forwarding/draining.ts';
import type { HealthOf } from '../forwarding/health.ts';
import type { ForwardingTable } from '../forwarding/table.ts';
import type { Ports } from '../ports/assignment.ts';
import type { Outbound } from '../ports/outbound.ts';
import type { Configuration } from '../resources/model.ts';
import { type Drains, drainsOf } from './drains.ts';
import { type HealthState, healthOf } from './health-state.ts';

export interface State {
  readonly revision: number;
  readonly configuration: Configuration;
  readonly ports: Ports;
  readonly outbound: Outbound;
  readonly table: ForwardingTable;
  /** Of no revision: it changes while nothing else does. */
  readonly health: HealthState;
  readonly drains: Drains;
}

/** What `compile` makes a table from, in its order. All of it: there it may be left out, which here would lose rules. */
export function sourcesOf({
  ports,
  health,
  drains,
  outbound,
}: Pick<State, 'ports' | 'health' | 'drains' | 'outbound'>): [Ports, HealthOf, DrainsOf, Outbound] {
  return [ports, healthOf(health), drainsOf(drains), outbound];
}
