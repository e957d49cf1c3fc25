// Flows that have been idle for as long as a rule with `tcp_reset` lets them: found while the kernel still has them.
import type { CompiledRule, ForwardingTable } from '../../forwarding/table.ts';
import { endpointText, type Flow, type FlowMarks, isAnyPort, isOurs } from '../conntrack/selection.ts';
import { resetGrace } from './timeouts.ts';

/** What the rules of a table ask for. */
export interface IdleRules {
  /** Whether a rule asks for an idle timeout at all. */
  readonly some: boolean;
  /** For each rule with resets its TCP endpoints, as `endpointText` has them. */
  readonly resetting: readonly ReadonlySet<string>[];
}

interface Known {
  readonly some: boolean;
  readonly resetting: ReadonlySet<string> | undefined;
}

/** A rule that did not change is the same object, and is not looked at again. */
const known = new WeakMap<CompiledRule, Known>();

export function idleRules(table: ForwardingTable): IdleRules {
  let some = false;
  const resetting: ReadonlySet<string>[] = [];
  for (const { rules } of table.loadBalancers.values()) {
    for (const rule of rules.values()) {
      const found = known.get(rule) ?? lookAt(rule);
      known.set(rule, found);
      some ||= found.some;
      if (found.resetting !== undefined) resetting.push(found.resetting);
    }
  }
  return { some, resetting };
}

function lookAt({ entries }: CompiledRule): Known {
  let some = false;
  const resetting = new Set<string>();
  for (const { endpoint, target } of entries.values()) {
    if (target.idle === undefined) continue;
    some = true;
    if (target.idle.reset) resetting.add(endpointText(endpoint));
  }
  return { some, resetting: resetting.size > 0 ? resetting : undefined };
}

/** A test for established flows that shall be reset now. */
export function isOver({ resetting }: IdleRules, marks: FlowMarks): (flow: Flow) => boolean {
  return ({ original, mark, timeout }) => {
    // The kernel rounds down.
    if (timeout >= resetGrace || !isOurs(mark, marks)) return false;
    const port = isAnyPort(mark, marks) ? 0 : original.destinationPort;
    const key = `${original.destination}/${original.protocol}/${port}`;
    return resetting.some((endpoints) => endpoints.has(key));
  };
}
