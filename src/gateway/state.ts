// Everything that one revision is: declared, assigned, compiled. Immutable; the gateway holds exactly one.
import type { ForwardingTable } from '../forwarding/table.ts';
import type { Ports } from '../ports/assignment.ts';
import type { Outbound } from '../ports/outbound.ts';
import type { Configuration } from '../resources/model.ts';
import type { Drains } from './drains.ts';
import type { HealthState } from './health-state.ts';

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
