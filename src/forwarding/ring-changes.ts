// How rings differ between two tables, and which flows end by it.
import type { IpAddress } from '../resources/address.ts';
import type { Change, FlowSelector, RingChange } from './change.ts';
import { ringsThatDiffer } from './differences.ts';
import { endsOfRing, leadsElsewhere, type RingFlows } from './endings.ts';
import { poolOfRing } from './ring-names.ts';
import { groupOf, ringKey } from './ring-numbers.ts';
import type { CompiledLoadBalancer, Endpoint, Ring } from './table.ts';

/** A load balancer in two tables. */
export interface LoadBalancerDifference {
  readonly name: string;
  readonly before?: CompiledLoadBalancer | undefined;
  readonly after?: CompiledLoadBalancer | undefined;
}

export interface RingDifference {
  readonly change: RingChange;
  /** False where a number has gone from one pool to another. */
  readonly samePool: boolean;
}

interface Owned {
  readonly pool: string;
  readonly ring: Ring;
}

/** Adds to `backends` the machines of which the number of uses may differ. */
export function diffRings(
  differing: readonly LoadBalancerDifference[],
  backends: Set<IpAddress>,
): readonly RingDifference[] {
  const gone = new Map<number, Owned>();
  const come = new Map<number, Owned>();
  for (const { name, before, after } of differing) {
    for (const ring of ringsThatDiffer(before, after)) {
      const pool = ringKey(name, poolOfRing(ring.name));
      for (const member of ring.before?.members ?? []) backends.add(member.address);
      for (const member of ring.after?.members ?? []) backends.add(member.address);
      if (ring.before !== undefined) gone.set(ring.before.number, { pool, ring: ring.before });
      if (ring.after !== undefined) come.set(ring.after.number, { pool, ring: ring.after });
    }
  }
  const differences: RingDifference[] = [];
  for (const [number, { pool, ring }] of come) {
    const before = gone.get(number);
    gone.delete(number);
    // Under another name, with another probe that finds the same.
    if (before?.ring === ring && before.pool === pool) continue;
    differences.push(
      before === undefined
        ? { change: { after: ring }, samePool: true }
        : { change: { before: before.ring, after: ring }, samePool: before.pool === pool },
    );
  }
  for (const { ring } of gone.values()) differences.push({ change: { before: ring }, samePool: true });
  return differences;
}

/** Flows that end because rings differ, and because entries have come to another ring of their pool. */
export function endsOfRings(
  differing: readonly LoadBalancerDifference[],
  rings: readonly RingDifference[],
  replaced: Change['replaced'],
): readonly FlowSelector[] {
  const sharing = new Sharing(differing);
  const changed = rings.flatMap(({ change: { before, after }, samePool }) => {
    if (before === undefined || after === undefined) return [];
    const endpoints = sharing.endpointsOf(after.number);
    return endsOfRing({ before, after, ...(endpoints && { endpoints }) }, samePool);
  });
  return [...changed, ...moves(replaced, sharing).flatMap((flows) => endsOfRing(flows, true))];
}

/** Entries that lead to another ring of the same pool than before, by the two rings. */
function moves(replaced: Change['replaced'], sharing: Sharing): readonly RingFlows[] {
  const found = new Map<string, RingFlows & { readonly endpoints: Endpoint[] }>();
  for (const { before, after } of replaced) {
    if (before.target.kind !== 'balanced' || after.target.kind !== 'balanced') continue;
    if (before.target.ring === after.target.ring || leadsElsewhere(before.target, after.target)) continue;
    const key = `${before.target.ring} ${after.target.ring}`;
    const known = found.get(key);
    if (known !== undefined) {
      known.endpoints.push(after.endpoint);
      continue;
    }
    const [from, to] = [sharing.before.get(before.target.ring), sharing.after.get(after.target.ring)];
    if (from && to) found.set(key, { before: from, after: to, endpoints: [after.endpoint] });
  }
  return [...found.values()];
}

/** Which rings of the load balancers that differ are not alone in their group: flows do not tell them apart. */
class Sharing {
  readonly before: ReadonlyMap<number, Ring>;
  readonly after: ReadonlyMap<number, Ring>;
  readonly #differing: readonly LoadBalancerDifference[];
  readonly #ringsOfGroup = new Map<number, number>();
  #endpoints: Map<number, Endpoint[]> | undefined;

  constructor(differing: readonly LoadBalancerDifference[]) {
    const byNumber = (side: 'before' | 'after') =>
      new Map(
        differing.flatMap((each) =>
          Array.from(each[side]?.rings.values() ?? [], (ring) => [ring.number, ring]),
        ),
      );
    this.#differing = differing;
    this.before = byNumber('before');
    this.after = byNumber('after');
    for (const number of new Set([...this.before.keys(), ...this.after.keys()])) {
      const group = groupOf(number);
      this.#ringsOfGroup.set(group, (this.#ringsOfGroup.get(group) ?? 0) + 1);
    }
  }

  /** Those that lead to a ring; absent where it is alone in its group. */
  endpointsOf(ring: number): readonly Endpoint[] | undefined {
    if ((this.#ringsOfGroup.get(groupOf(ring)) ?? 0) <= 1) return undefined;
    this.#endpoints ??= this.#endpointsByRing();
    return this.#endpoints.get(ring) ?? [];
  }

  #endpointsByRing(): Map<number, Endpoint[]> {
    const found = new Map<number, Endpoint[]>();
    for (const { after } of this.#differing) {
      for (const [name, { entries }] of after?.rules ?? []) {
        if (!name.startsWith('lb/')) continue;
        for (const { endpoint, target } of entries.values()) {
          if (target.kind !== 'balanced') continue;
          const known = found.get(target.ring);
          if (known === undefined) found.set(target.ring, [endpoint]);
          else known.push(endpoint);
        }
      }
    }
    return found;
  }
}
