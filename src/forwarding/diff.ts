// What a data plane has to do to get from one table to another: work and answer grow with what differs.
import type { Map as PersistentMap } from 'immutable';
import type { IpAddress } from '../resources/address.ts';
import type { Change, OutboundChange } from './change.ts';
import { emptyTable } from './compile.ts';
import { entriesThatDiffer } from './differences.ts';
import { endOfEntry, endOfOutbound, leadsElsewhere } from './endings.ts';
import { diffLimits, endsOfLimits } from './limit-changes.ts';
import { sameOutbound } from './outbound.ts';
import { diffRings, endsOfRings, type LoadBalancerDifference } from './ring-changes.ts';
import { sameTarget } from './same.ts';
import { type Entry, endpointKey, type ForwardingTable, type OutboundEntry } from './table.ts';

/**
 * The change from one table to another; empty (see `isEmpty`) where they forward alike. An endpoint that moves from one rule
 * or load balancer to another is replaced, or not mentioned where it leads to the same target.
 */
export function diff(previous: ForwardingTable, next: ForwardingTable): Change {
  const touched: Touched = { backends: new Set(), localAddresses: new Set() };
  const differing = [...loadBalancersThatDiffer(previous, next)];
  const { added, removed, replaced } = diffEntries(differing, touched);
  const rings = diffRings(differing, touched.backends);
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
      ...endsOfRings(differing, rings, replaced),
      ...differing.flatMap((each) => endsOfLimits(each, replaced)),
      ...outbound.flatMap(endOfOutbound),
    ],
  };
}

/** The change that brings a whole table into an empty kernel. */
export function wholeTable(next: ForwardingTable): Change {
  return diff(emptyTable(), next);
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

function missing(
  candidates: ReadonlySet<IpAddress>,
  present: PersistentMap<IpAddress, number>,
  absent: PersistentMap<IpAddress, number>,
): readonly IpAddress[] {
  return [...candidates].filter((address) => present.has(address) && !absent.has(address));
}
