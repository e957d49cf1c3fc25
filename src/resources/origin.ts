// Finds where in the request a rule or member stands; only asked when something is to be refused.
import { parseAddress } from './address.ts';
import type { Origin } from './change.ts';
import { at, type Field, pathOf } from './field.ts';
import type { PoolEdit } from './member-edits.ts';
import type { Located, ParsedLoadBalancer } from './parse-load-balancer.ts';

/** `nearest` is what the request says of the load balancer at all. */
export function originOf(
  parsed: ParsedLoadBalancer | undefined,
  edits: ReadonlyMap<string, PoolEdit> | undefined,
  nearest: Field,
): Origin {
  const placed = new Map<string, ReadonlyMap<string, Field>>();
  const placedIn = (backendPool: string): ReadonlyMap<string, Field> => {
    const known = placed.get(backendPool) ?? placesOf(parsed, backendPool);
    placed.set(backendPool, known);
    return known;
  };
  const ruleField = (name: string) => fieldOf(parsed?.natRules, name);
  return {
    natRule: (name) => pathOf(ruleField(name) ?? nearest),
    balancingRule: (name) => pathOf(fieldOf(parsed?.balancingRules, name) ?? nearest),
    outboundRule: (name) => pathOf(fieldOf(parsed?.outboundRules, name) ?? nearest),
    natRuleSize: (name) => {
      const field = ruleField(name);
      return pathOf(field === undefined ? nearest : sizeField(parsed, field));
    },
    member: (backendPool, id) => {
      const edit = edits?.get(backendPool);
      return pathOf(edit?.puts.get(id)?.field ?? placedIn(backendPool).get(id) ?? edit?.field ?? nearest);
    },
  };
}

function fieldOf(
  rules: readonly Located<{ readonly name: string }>[] | undefined,
  name: string,
): Field | undefined {
  return rules?.find((rule) => rule.value.name === name)?.field;
}

function placesOf(parsed: ParsedLoadBalancer | undefined, backendPool: string): ReadonlyMap<string, Field> {
  const places = new Map<string, Field>();
  for (const part of parsed?.parts ?? []) {
    for (const [poolIndex, pool] of (part.draft.backendPools ?? []).entries()) {
      if (pool.name !== backendPool) continue;
      const field = at(part.field, 'backend_pools', poolIndex);
      for (const [index, { id, address = '' }] of (pool.members ?? []).entries()) {
        places.set(id || (parseAddress(address) ?? address), at(field, 'members', index));
      }
    }
  }
  return places;
}

/** Which of the two size fields the request uses for the pool rule at `field`. */
function sizeField(parsed: ParsedLoadBalancer | undefined, field: Field): Field {
  const part = parsed?.parts.find((candidate) => candidate.field === field.parent);
  const draft = part?.draft.inboundNatRules?.[field.index ?? -1];
  const hasMaximum = draft?.pool?.maximumMachines !== undefined && draft.pool.maximumMachines !== null;
  return at(at(field, 'pool'), hasMaximum ? 'maximum_machines' : 'frontend_port_range_end');
}
