// The state that a fake data plane leaves in its "kernel", and the checks that a real one would make.
import type { Change, RingChange } from '../forwarding/change.ts';
import { type FlowLimit, sameLimit } from '../forwarding/flow-limits.ts';
import { sameOutbound } from '../forwarding/outbound.ts';
import { sameTarget } from '../forwarding/same.ts';
import {
  type Entry,
  endpointKey,
  type OutboundEntry,
  type Ring,
  type RingMember,
} from '../forwarding/table.ts';
import { familyOf, type IpAddress, sourceKey } from '../resources/address.ts';
import { CommitFailed, type Counters, type Refusals, type Stamp } from './dataplane.ts';
import type { LiveFlow } from './live-flow.ts';

/** Survives the agent: hand one to several `FakeDataPlane`s, one after the other, to play restarts. */
export class FakeKernel {
  /** By `endpointKey`. */
  readonly entries = new Map<string, Entry>();
  /** By number. */
  readonly rings = new Map<number, Ring>();
  readonly backends = new Set<IpAddress>();
  /** By number, as `refusals`. */
  readonly limits = new Map<number, FlowLimit>();
  readonly refusals = new Map<number, Refusals>();
  readonly localAddresses = new Set<IpAddress>();
  /** By `sourceKey`. */
  readonly outbound = new Map<string, OutboundEntry>();
  /** By `endpointKey`; begins anew when an entry gets another target. */
  readonly counters = new Map<string, Counters>();
  /** By number of the ring and id of the member; begins anew when a member gets another address. */
  readonly memberCounters = new Map<number, ReadonlyMap<string, Counters>>();
  /** Plays traffic: what `flows` lists. */
  flows: readonly LiveFlow[] = [];
  /** Absent while the kernel holds nothing of ours. */
  stamp: Stamp | undefined;
  readonly #ringUses = new Map<number, number>();
  readonly #backendUses = new Map<IpAddress, number>();

  /** Applies all of a change; or throws `CommitFailed` with every objection, and applies nothing. */
  apply(change: Change, stamp: Stamp): void {
    const objections = [...this.#objections(change)];
    if (objections.length > 0) {
      throw new CommitFailed(`The kernel refused revision ${stamp.revision}.`, objections.join('\n'));
    }
    for (const entry of change.removed) this.#forget(entry);
    for (const { before } of change.replaced) this.#forget(before);
    for (const { after } of change.replaced) this.#keep(after);
    for (const entry of change.added) this.#keep(entry);
    for (const { before, after } of change.rings) {
      for (const { address } of before?.members ?? []) count(this.#backendUses, address, -1);
      for (const { address } of after?.members ?? []) count(this.#backendUses, address, 1);
      if (after !== undefined) this.rings.set(after.number, after);
      else if (before !== undefined) this.rings.delete(before.number);
      if (before !== undefined) this.keepMemberCounters(before, after?.members ?? []);
    }
    for (const { before, after } of change.outbound ?? []) {
      if (before !== undefined) this.outbound.delete(sourceKey(before.machine, before.transport));
      if (after !== undefined) this.outbound.set(sourceKey(after.machine, after.transport), after);
    }
    for (const { before, after } of change.limits) {
      if (after !== undefined) this.limits.set(after.number, after);
      else if (before !== undefined) this.limits.delete(before.number);
      if (after === undefined || before === undefined) this.refusals.delete((before ?? after)?.number ?? 0);
    }
    for (const address of change.backendsRemoved) this.backends.delete(address);
    for (const address of change.backendsAdded) this.backends.add(address);
    for (const address of change.localAddressesRemoved) this.localAddresses.delete(address);
    for (const address of change.localAddressesAdded) this.localAddresses.add(address);
    this.stamp = stamp;
  }

  /** Forgets everything, as after `nft flush ruleset` by somebody else. */
  clear(): void {
    this.entries.clear();
    this.rings.clear();
    this.outbound.clear();
    this.limits.clear();
    this.refusals.clear();
    this.backends.clear();
    this.localAddresses.clear();
    this.counters.clear();
    this.memberCounters.clear();
    this.#ringUses.clear();
    this.#backendUses.clear();
    this.stamp = undefined;
  }

  #forget({ endpoint, target }: Entry): void {
    const key = endpointKey(endpoint);
    this.entries.delete(key);
    this.counters.delete(key);
    if (target.kind === 'nat') count(this.#backendUses, target.address, -1);
    else count(this.#ringUses, target.ring, -1);
  }

  /** Drops the counters of members that are gone, or have another address. */
  keepMemberCounters({ number, members }: Ring, after: readonly RingMember[]): void {
    const same = new Set(
      members.filter((one) => after.some((other) => sameMachine(one, other))).map(({ id }) => id),
    );
    const kept = [...(this.memberCounters.get(number) ?? [])].filter(([id]) => same.has(id));
    if (kept.length === 0) this.memberCounters.delete(number);
    else this.memberCounters.set(number, new Map(kept));
  }

  #keep(entry: Entry): void {
    this.entries.set(endpointKey(entry.endpoint), entry);
    if (entry.target.kind === 'nat') count(this.#backendUses, entry.target.address, 1);
    else count(this.#ringUses, entry.target.ring, 1);
  }

  *#objections(change: Change): Generator<string> {
    yield* this.#entryObjections(change);
    yield* this.#ringObjections(change);
    yield* this.#outboundObjections(change);
    yield* this.#limitObjections(change);
    yield* setObjections('backend', this.backends, change.backendsAdded, change.backendsRemoved);
    yield* setObjections(
      'local address',
      this.localAddresses,
      change.localAddressesAdded,
      change.localAddressesRemoved,
    );
    yield* this.#referenceObjections(change);
  }

  *#entryObjections({ added, removed, replaced }: Change): Generator<string> {
    const named = new Set<string>();
    for (const before of [...removed, ...replaced.map((pair) => pair.before)]) {
      const key = endpointKey(before.endpoint);
      const present = this.entries.get(key);
      if (named.has(key)) yield `entry ${key}: named twice`;
      if (present === undefined) yield `entry ${key}: cannot be removed or replaced, it does not exist`;
      else if (!sameTarget(present.target, before.target))
        yield `entry ${key}: leads elsewhere than the change says`;
      named.add(key);
    }
    for (const { before, after } of replaced) {
      if (endpointKey(before.endpoint) !== endpointKey(after.endpoint)) {
        yield `entry ${endpointKey(before.endpoint)}: replaced by ${endpointKey(after.endpoint)}`;
      }
    }
    for (const { endpoint } of added) {
      const key = endpointKey(endpoint);
      if (named.has(key)) yield `entry ${key}: named twice`;
      if (this.entries.has(key)) yield `entry ${key}: exists already`;
      named.add(key);
    }
  }

  *#ringObjections({ rings }: Change): Generator<string> {
    const named = new Set<number>();
    for (const { before, after } of rings) {
      const number = (before ?? after)?.number ?? 0;
      const present = this.rings.get(number);
      if (named.has(number)) yield `ring ${number}: named twice`;
      named.add(number);
      if (before === undefined && present !== undefined) yield `ring ${number}: exists already`;
      if (before !== undefined && (present === undefined || !sameRing(before, present))) {
        yield `ring ${number}: is not what the change says it was`;
      }
      if (after === undefined) continue;
      if (after.number !== number) yield `ring ${number}: becomes ring ${after.number}`;
      yield* shapeObjections(after);
    }
  }

  *#outboundObjections({ outbound = [] }: Change): Generator<string> {
    const named = new Set<string>();
    const after = new Map(this.outbound);
    for (const change of outbound) {
      const { machine, transport } = change.before ?? change.after;
      const key = sourceKey(machine, transport);
      const present = this.outbound.get(key);
      if (named.has(key)) yield `outbound ${key}: named twice`;
      named.add(key);
      if (change.before === undefined && present !== undefined) yield `outbound ${key}: exists already`;
      if (change.before !== undefined && (present === undefined || !sameOutbound(present, change.before))) {
        yield `outbound ${key}: is not what the change says it was`;
      }
      if (change.after === undefined) after.delete(key);
      else after.set(key, change.after);
      if (change.after !== undefined && sourceKey(change.after.machine, change.after.transport) !== key) {
        yield `outbound ${key}: becomes another's`;
      }
    }
    if (outbound.length > 0) yield* sharedPorts(after.values());
  }

  *#limitObjections({ added, replaced, limits }: Change): Generator<string> {
    const after = new Map(this.limits);
    for (const { before, after: limit } of limits) {
      const number = (before ?? limit)?.number ?? 0;
      const present = this.limits.get(number);
      if (before === undefined && present !== undefined) yield `limit ${number}: exists already`;
      if (before !== undefined && (present === undefined || !sameLimit(before, present)))
        yield `limit ${number}: is not what the change says it was`;
      if (limit !== undefined) after.set(number, limit);
      else after.delete(number);
    }
    for (const { endpoint, target } of [...added, ...replaced.map((pair) => pair.after)]) {
      if (target.limit === undefined) continue;
      const limit = after.get(target.limit);
      if (limit === undefined) yield `entry ${endpointKey(endpoint)}: limit ${target.limit} does not exist`;
      else if (limit.family !== familyOf(endpoint.address))
        yield `entry ${endpointKey(endpoint)}: limit ${target.limit} is of another address family`;
    }
  }

  /** What the kernel would hold after the change must lead somewhere. */
  *#referenceObjections(change: Change): Generator<string> {
    const rings = new Map(change.rings.map((ring) => [numberOf(ring), ring.after]));
    const ringUses = new Map<number, number>();
    const backendUses = new Map<IpAddress, number>();
    const use = ({ target }: Entry, by: number): void => {
      if (target.kind === 'nat') count(backendUses, target.address, by);
      else count(ringUses, target.ring, by);
    };
    for (const entry of change.removed) use(entry, -1);
    for (const { before, after } of change.replaced) {
      use(before, -1);
      use(after, 1);
    }
    for (const entry of change.added) use(entry, 1);
    for (const { before, after } of change.rings) {
      for (const { address } of before?.members ?? []) count(backendUses, address, -1);
      for (const { address } of after?.members ?? []) count(backendUses, address, 1);
    }
    for (const { endpoint, target } of [...change.added, ...change.replaced.map(({ after }) => after)]) {
      if (target.kind === 'nat') {
        if (familyOf(target.address) !== familyOf(endpoint.address)) {
          yield `entry ${endpointKey(endpoint)}: leads to another address family`;
        }
        continue;
      }
      const ring = rings.has(target.ring) ? rings.get(target.ring) : this.rings.get(target.ring);
      if (ring === undefined) yield `entry ${endpointKey(endpoint)}: ring ${target.ring} does not exist`;
      else if (ring.family !== familyOf(endpoint.address)) {
        yield `entry ${endpointKey(endpoint)}: ring ${target.ring} is of another address family`;
      }
    }
    for (const [number, after] of rings) {
      const uses = (this.#ringUses.get(number) ?? 0) + (ringUses.get(number) ?? 0);
      if (after === undefined && uses > 0) yield `ring ${number}: ${uses} entries still lead to it`;
    }
    const [added, removed] = [new Set(change.backendsAdded), new Set(change.backendsRemoved)];
    for (const address of new Set([...backendUses.keys(), ...added, ...removed])) {
      const uses = (this.#backendUses.get(address) ?? 0) + (backendUses.get(address) ?? 0);
      const present = added.has(address) || (this.backends.has(address) && !removed.has(address));
      if (uses > 0 && !present) yield `backend ${address}: is led to, and not among the backends`;
      if (uses === 0 && present) yield `backend ${address}: stays, although nothing leads to it`;
    }
  }
}

/** Two machines would answer for one port. */
function* sharedPorts(entries: Iterable<OutboundEntry>): Generator<string> {
  const groups = Map.groupBy(entries, ({ address, transport }) => sourceKey(address, transport));
  for (const [key, group] of groups) {
    const sorted = group.toSorted((one, other) => one.first - other.first);
    for (const [index, entry] of sorted.entries()) {
      if (familyOf(entry.machine) !== familyOf(entry.address)) yield `outbound ${key}: of two families`;
      const before = sorted[index - 1];
      if (before !== undefined && before.last >= entry.first) {
        yield `outbound ${key}: ${before.machine} and ${entry.machine} share ports`;
      }
    }
  }
}

function numberOf({ before, after }: RingChange): number {
  return (before ?? after)?.number ?? 0;
}

function* shapeObjections({ number, size, members, slots, family }: Ring): Generator<string> {
  const eligible = members.some((member) => member.eligible);
  if (slots.length !== (eligible ? size : 0))
    yield `ring ${number}: ${slots.length} slots instead of ${size}`;
  if (slots.some((owner) => members[owner]?.eligible !== true)) {
    yield `ring ${number}: a slot leads to no eligible member`;
  }
  if (members.some(({ address }) => familyOf(address) !== family)) {
    yield `ring ${number}: a member is of another address family`;
  }
}

function* setObjections(
  what: string,
  present: ReadonlySet<IpAddress>,
  added: readonly IpAddress[],
  removed: readonly IpAddress[],
): Generator<string> {
  const named = new Set<IpAddress>();
  for (const address of [...added, ...removed]) {
    if (named.has(address)) yield `${what} ${address}: named twice`;
    named.add(address);
  }
  for (const address of added) if (present.has(address)) yield `${what} ${address}: exists already`;
  for (const address of removed) if (!present.has(address)) yield `${what} ${address}: does not exist`;
}

function sameRing(a: Ring, b: Ring): boolean {
  if (a === b) return true;
  return (
    a.number === b.number &&
    a.family === b.family &&
    a.size === b.size &&
    a.members.length === b.members.length &&
    a.slots.length === b.slots.length &&
    a.slots.every((owner, slot) => b.slots[slot] === owner) &&
    a.members.every((member, index) => {
      const other = b.members[index];
      return (
        other?.id === member.id &&
        other.address === member.address &&
        other.weight === member.weight &&
        other.eligible === member.eligible &&
        other.keepsUdp === member.keepsUdp
      );
    })
  );
}

function count<K>(counts: Map<K, number>, key: K, by: number): void {
  const sum = (counts.get(key) ?? 0) + by;
  if (sum === 0) counts.delete(key);
  else counts.set(key, sum);
}

function sameMachine(one: RingMember, other: RingMember): boolean {
  return one.id === other.id && one.address === other.address;
}
