// What a change of the configuration would lead to: ports, verdicts, drains, the compiled table, and the difference to what
// the kernel runs. Nothing is touched.
import type { Change } from '../forwarding/change.ts';
import { compileInSteps } from '../forwarding/compile.ts';
import { diff } from '../forwarding/diff.ts';
import type { ForwardingTable } from '../forwarding/table.ts';
import type { Assignment } from '../health/monitor.ts';
import { assignPorts } from '../ports/assign.ts';
import { assignOutbound } from '../ports/assign-outbound.ts';
import type { ConfigurationChange } from '../resources/change.ts';
import { refusedWith } from '../resources/refusal.ts';
import { drainsAfter } from './drains.ts';
import { type HealthChange, healthAfter } from './health-state.ts';
import type { GivenOut } from './plan.ts';
import { type State, sourcesOf } from './state.ts';
import { breathe, stepByStep } from './turns.ts';

export interface Prospect {
  readonly next: State;
  readonly change: Change;
  readonly given: GivenOut;
  /** Who is to be probed from then on, and who no more. */
  readonly assignment: Assignment;
}

export interface ProspectOptions {
  readonly allowRemap: boolean;
  /** Milliseconds since 1970. */
  readonly now: number;
}

/** Throws `Refusal` with everything that ports are refused for. */
export async function prospectOf(
  state: State,
  proposed: ConfigurationChange,
  options: ProspectOptions,
): Promise<Prospect> {
  const { now } = options;
  const setAside = () => assignOutbound(proposed, state.outbound, options);
  const { ports, changes: mappings } = refusedWith(setAside, () =>
    assignPorts(proposed, state.ports, options),
  );
  const { outbound, changes: outboundChanges } = setAside();
  await breathe(proposed);
  const { health, assignment } = healthAfter(state.health, healthChangesOf(proposed, state.table), now);
  const drains = drainsAfter(state.drains, proposed.changed.values(), now);
  const changed = new Map([...proposed.changed].map(([name, { after }]) => [name, after]));
  const sources = sourcesOf({ ports, health, drains, outbound });
  const table = await stepByStep(compileInSteps(state.table, changed, ...sources));
  await breathe(proposed);
  return {
    next: {
      revision: state.revision + 1,
      configuration: proposed.after,
      ports,
      outbound,
      table,
      health,
      drains,
    },
    change: diff(state.table, table),
    given: { mappings, outbound: outboundChanges },
    assignment,
  };
}

/** With what each load balancer compiled to, which says who got flows. */
function* healthChangesOf(
  { changed }: ConfigurationChange,
  { loadBalancers }: ForwardingTable,
): Generator<HealthChange> {
  for (const { name, before, after } of changed.values()) {
    yield { name, before, after, compiled: loadBalancers.get(name) };
  }
}
