// What a data plane has to do to get from one table to another: work and answer grow with what differs.
import type { Map as PersistentMap } from 'immutable';
import type { IpAddress } from '../resources/address.ts';
import type { Change, OutboundChange, RingChange } from './change.ts';
import { emptyTable } from './compile.ts';
import { entriesThatDiffer, ringsThatDiffer } from './differences.ts';
import { endOfEntry, endOfOutbound, endsOfRing, leadsElsewhere } from './endings.ts';
import { diffLimits, endsOfLimits } from './limit-changes.ts';
import { sameOutbound } from './outbound.ts';
import { poolOfRing } from './ring-names.ts';
import { ringKey } from './ring-numbers.ts';
import { sameTarget } from './same.ts';
import {
  type CompiledLoadBalancer,
  type Entry,
  endpointKey,
  type ForwardingTable,
  type OutboundEntry,
  type Ring,
} from './table.ts';

/**
 * The change from one table to another; empty (see `isEmpty`) where they forward alike. An endpoint that moves from one rule
 * or load balancer to another is replaced, or not mentioned where it leads to the same target.
 */
export function diff(previous: ForwardingTable, next: ForwardingTable): Change {
  const touched: Touched = { backends: new Set(), localAddresses: new Set() };
  const differing = [...loadBalancersThatDiffer(previous, next)];
  const { added, removed, replaced } = diffEntries(differing, touched);
  const rings = diffRings(differing, touched);
  const outbound = diffOutbound(differing);
  return {
    added,
    removed,
    replaced,
    rings: rings.map(({ change }) => change),
    limits: diffLimits(differing),
    outbound,
    backendsAdded: missing(touched.backends, next.backends, previous.backends),
    backendsRemoved: missing(touched.backends, previous.backends, next.backends),
    localAddressesAdded: missing(touched.localAddresses, next.localAddresses, previous.localAddresses),
    localAddressesRemoved: missing(touched.localAddresses, previous.localAddresses, next.localAddresses),
    ending: [
      ...removed.map(endOfEntry),
      ...replaced.flatMap(({ before, after }) =>
        leadsElsewhere(before.target, after.target) ? [endOfEntry(before)] : [],
      ),
      ...rings.flatMap(({ change, samePool }) => endsOfRing(change, samePool)),
      ...differing.flatMap(endsOfLimits),
      ...outbound.flatMap(endOfOutbound),
    ],
  };
}

/** The change that brings a whole table into an empty kernel. */
export function wholeTable(next: ForwardingTable): Change {
  return diff(emptyTable(), next);
}

interface LoadBalancerDifference {
  readonly name: string;
  readonly before?: CompiledLoadBalancer | undefined;
  readonly after?: CompiledLoadBalancer | undefined;
}

/** Addresses whose number of uses may differ. */
interface Touched {
  readonly backends: Set<IpAddress>;
  readonly localAddresses: Set<IpAddress>;
}

function* loadBalancersThatDiffer(
  previous: ForwardingTable,
  next: ForwardingTable,
): Generator<LoadBalancerDifference, void, undefined> {
  if (previous.loadBalancers === next.loadBalancers) return;
  for (const [name, before] of previous.loadBalancers) {
    const after = next.loadBalancers.get(name);
    if (after !== before) yield { name, before, after };
  }
  for (const [name, after] of next.loadBalancers) {
    if (!previous.loadBalancers.has(name)) yield { name, after };
  }
}

function diffEntries(
  differing: readonly LoadBalancerDifference[],
  touched: Touched,
): Pick<Change, 'added' | 'removed' | 'replaced'> {
  const gone = new Map<string, Entry>();
  const come: Entry[] = [];
  const replaced: Change['replaced'][number][] = [];
  const replace = (before: Entry, after: Entry): void => {
    if (!sameTarget(before.target, after.target)) replaced.push({ before, after });
  };
  for (const { before, after } of differing) {
    for (const entry of entriesThatDiffer(before, after)) {
      touch(touched, entry.before);
      touch(touched, entry.after);
      if (entry.before !== undefined && entry.after !== undefined) replace(entry.before, entry.after);
      else if (entry.before !== undefined) gone.set(endpointKey(entry.before.endpoint), entry.before);
      else if (entry.after !== undefined) come.push(entry.after);
    }
    for (const address of before?.localAddresses ?? []) touched.localAddresses.add(address);
    for (const address of after?.localAddresses ?? []) touched.localAddresses.add(address);
  }
  if (gone.size === 0) return { added: come, removed: [], replaced };
  const added: Entry[] = [];
  for (const entry of come) {
    const key = endpointKey(entry.endpoint);
    const before = gone.get(key);
    if (before === undefined) added.push(entry);
    else replace(before, entry);
    gone.delete(key);
  }
  return { added, removed: [...gone.values()], replaced };
}

function touch(touched: Touched, entry: Entry | undefined): void {
  if (entry?.target.kind === 'nat') touched.backends.add(entry.target.address);
}

interface RingDifference {
  readonly change: RingChange;
  /** False where a number has gone from one pool to another. */
  readonly samePool: boolean;
}

function diffRings(
  differing: readonly LoadBalancerDifference[],
  touched: Touched,
): readonly RingDifference[] {
  const gone = new Map<number, Owned>();
  const come = new Map<number, Owned>();
  for (const { name, before, after } of differing) {
    for (const ring of ringsThatDiffer(before, after)) {
      const pool = ringKey(name, poolOfRing(ring.name));
      for (const member of ring.before?.members ?? []) touched.backends.add(member.address);
      for (const member of ring.after?.members ?? []) touched.backends.add(member.address);
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

/** A machine that goes from one load balancer to another has its entry replaced. */
function diffOutbound(differing: readonly LoadBalancerDifference[]): readonly OutboundChange[] {
  const gone = new Map<string, OutboundEntry>();
  const come = new Map<string, OutboundEntry>();
  for (const { before, after } of differing) {
    if (before?.outbound === after?.outbound) continue;
    for (const [key, entry] of before?.outbound ?? [])
      if (after?.outbound?.get(key) !== entry) gone.set(key, entry);
    for (const [key, entry] of after?.outbound ?? [])
      if (before?.outbound?.get(key) !== entry) come.set(key, entry);
  }
  const changes: OutboundChange[] = [];
  for (const [key, after] of come) {
    const before = gone.get(key);
    gone.delete(key);
    if (before === undefined) changes.push({ after });
    else if (!sameOutbound(before, after)) changes.push({ before, after });
  }
  for (const before of gone.values()) changes.push({ before });
  return changes;
}

interface Owned {
  readonly pool: string;
  readonly ring: Ring;
}

function missing(
  candidates: ReadonlySet<IpAddress>,
  present: PersistentMap<IpAddress, number>,
  absent: PersistentMap<IpAddress, number>,
): readonly IpAddress[] {
  return [...candidates].filter((address) => present.has(address) && !absent.has(address));
}
