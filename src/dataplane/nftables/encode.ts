// From the forwarding table to the elements that carry it out. Pure: no kernel, no process.
import type { Change, RingChange } from '../../forwarding/change.ts';
import type { FlowLimit } from '../../forwarding/flow-limits.ts';
import { groupOf, ringNumber } from '../../forwarding/ring-numbers.ts';
import type { Entry, ForwardingTable, OutboundEntry, Ring, RingMember } from '../../forwarding/table.ts';
import { familyOf, type IpAddress, type Transport } from '../../resources/address.ts';
import type { Element, Operation } from './element.ts';
import {
  floatingElements,
  floatingHashElements,
  floatingMemberElements,
  floatingSlotElement,
  numbersOf,
} from './encode-floating.ts';
import { limitElements, limitOperations } from './limit-elements.ts';
import { affinities, affinityNumber, flowClass, hashChain } from './skeleton.ts';
import { beginningChain } from './timeouts.ts';

/** IANA protocol numbers. */
export const protocolNumber: Readonly<Record<Transport, number>> = { tcp: 6, udp: 17 };

/** Where the ring's number ends and the flow's class begins in a ct mark. */
const ringBits = 24;

/** The elements of one entry. */
export function entryElements(entry: Entry): readonly Element[] {
  const { endpoint, target } = entry;
  const family = familyOf(endpoint.address);
  const protocol = protocolNumber[endpoint.transport];
  const beginning = beginningChain(entry);
  const elements: Element[] = [];
  if (endpoint.port === 0) {
    const key = [endpoint.address, protocol];
    if (target.port !== 0) throw new RangeError('an entry for every port cannot lead to one port');
    if (target.kind === 'balanced' && target.floating) return floatingElements(entry, target, key);
    if (target.kind === 'nat') {
      elements.push(
        { set: `nat_any_live${family}`, key: [...key, target.address] },
        { set: `nat_any${family}`, key, value: [target.address] },
      );
    } else {
      const mark = ringMark(flowClass.balancedAnyPort + affinityNumber[target.affinity], target.ring);
      elements.push(
        { set: `front_any_live${family}`, key: [groupMark(target.ring), ...key], value: [target.ring] },
        { set: `front_any${family}`, key, value: [mark] },
      );
    }
    if (target.masquerade) elements.push({ set: `masq_any${family}`, key });
    if (beginning !== undefined) elements.push({ set: `idle_any${family}`, key, value: { jump: beginning } });
    if (target.limit !== undefined) elements.push({ set: `limit_any${family}`, key, value: [target.limit] });
    return elements;
  }
  const key = [endpoint.address, protocol, endpoint.port];
  if (target.kind === 'balanced' && target.floating) return floatingElements(entry, target, key);
  const port = target.port === 0 ? endpoint.port : target.port;
  if (target.kind === 'nat') {
    elements.push(
      { set: `nat_live${family}`, key: [...key, target.address, port] },
      { set: `nat${family}`, key, value: [target.address, port] },
    );
  } else {
    const mark = ringMark(flowClass.balanced + affinityNumber[target.affinity], target.ring);
    elements.push(
      { set: `front_live${family}`, key: [groupMark(target.ring), ...key, port], value: [target.ring] },
      { set: `port${family}`, key, value: [port] },
      { set: `front${family}`, key, value: [mark] },
    );
  }
  if (target.masquerade) elements.push({ set: `masq${family}`, key });
  if (beginning !== undefined) elements.push({ set: `idle${family}`, key, value: { jump: beginning } });
  if (target.limit !== undefined) elements.push({ set: `limit${family}`, key, value: [target.limit] });
  return elements;
}

export function backendElement(address: IpAddress): Element {
  return { set: `backends${familyOf(address)}`, key: [address] };
}

/** All elements of a ring. */
export function* ringElements(ring: Ring): Generator<Element> {
  yield* hashElements(ring);
  for (const element of liveElements(ring).values()) yield element;
  for (let slot = 0; slot < ring.slots.length; slot += 1) yield slotElement(ring, slot);
}

/** The least set of operations between two states of a ring. */
export function* ringOperations({ before, after }: RingChange): Generator<Operation> {
  if (before === undefined || after === undefined || !sameSets(before, after)) {
    if (before !== undefined) yield* all('delete', ringElements(before));
    if (after !== undefined) yield* all('add', ringElements(after));
    return;
  }
  if (before.size !== after.size) {
    yield* all('delete', hashElements(before));
    yield* all('add', hashElements(after));
  }
  const liveBefore = liveElements(before);
  const liveAfter = liveElements(after);
  for (const [key, element] of liveBefore) if (!liveAfter.has(key)) yield { verb: 'delete', element };
  for (const [key, element] of liveAfter) if (!liveBefore.has(key)) yield { verb: 'add', element };
  const slots = Math.max(before.slots.length, after.slots.length);
  const changed: number[] = [];
  for (let slot = 0; slot < slots; slot += 1) {
    if (slotHolder(before, slot) !== slotHolder(after, slot)) changed.push(slot);
  }
  for (const slot of changed) {
    if (slot < before.slots.length) yield { verb: 'delete', element: slotElement(before, slot) };
  }
  for (const slot of changed) {
    if (slot < after.slots.length) yield { verb: 'add', element: slotElement(after, slot) };
  }
}

/** The elements of one outbound entry. */
export function outboundElements(entry: OutboundEntry): readonly Element[] {
  const { machine, transport, address, first, last } = entry;
  const family = familyOf(machine);
  const key = [machine, protocolNumber[transport]];
  const mark = flowClass.outbound * 2 ** ringBits + first;
  return [
    { set: `outbound_live${family}`, key: [...key, address, mark] },
    { set: `outbound_source${family}`, key, value: [address, { first, last }] },
    { set: `outbound_mark${family}`, key, value: [mark] },
    { set: `outbound_machines${family}`, key },
  ];
}

/** All operations of a change. What goes is deleted before what comes, so that a key can be in both. */
export function* changeOperations(change: Change): Generator<Operation> {
  for (const entry of change.removed) yield* all('delete', entryElements(entry));
  for (const { before } of change.replaced) yield* all('delete', entryElements(before));
  for (const { before } of change.outbound ?? [])
    if (before !== undefined) yield* all('delete', outboundElements(before));
  for (const address of change.backendsRemoved) yield { verb: 'delete', element: backendElement(address) };
  for (const limit of change.limits) yield* limitOperations(limit);
  for (const ring of change.rings) yield* ringOperations(ring);
  for (const address of change.backendsAdded) yield { verb: 'add', element: backendElement(address) };
  for (const { after } of change.outbound ?? [])
    if (after !== undefined) yield* all('add', outboundElements(after));
  for (const { after } of change.replaced) yield* all('add', entryElements(after));
  for (const entry of change.added) yield* all('add', entryElements(entry));
}

/**
 * True where the guard may drop flows after the change that it let pass before: something live goes, be it that something
 * else comes in its place.
 */
export function cutsFlows({ removed, replaced, rings, ending }: Change): boolean {
  if (removed.length > 0 || replaced.length > 0 || ending.some(({ kind }) => kind === 'clients')) return true;
  return rings.some(({ before, after }) => {
    if (before === undefined) return false;
    if (after === undefined || !sameSets(before, after)) return true;
    const live = liveElements(after);
    return [...liveElements(before).keys()].some((key) => !live.has(key));
  });
}

/** Every entry of a table. */
export function* tableEntries(table: ForwardingTable): Generator<Entry> {
  for (const loadBalancer of table.loadBalancers.values()) {
    for (const rule of loadBalancer.rules.values()) yield* rule.entries.values();
  }
}

/** Every ring of a table. */
export function* tableRings(table: ForwardingTable): Generator<Ring> {
  for (const loadBalancer of table.loadBalancers.values()) yield* loadBalancer.rings.values();
}

/** Every outbound entry of a table. */
export function* tableOutbound(table: ForwardingTable): Generator<OutboundEntry> {
  for (const loadBalancer of table.loadBalancers.values()) yield* loadBalancer.outbound?.values() ?? [];
}

/** Every limit of a table. */
export function* tableLimits(table: ForwardingTable): Generator<FlowLimit> {
  for (const loadBalancer of table.loadBalancers.values()) yield* loadBalancer.limits.values();
}

/** Every element of a table, set by set as far as that is cheap: entries, then rings, then backends. */
export function* tableElements(table: ForwardingTable): Generator<Element> {
  for (const entry of tableEntries(table)) yield* entryElements(entry);
  for (const limit of tableLimits(table)) yield* limitElements(limit);
  for (const ring of tableRings(table)) yield* ringElements(ring);
  for (const entry of tableOutbound(table)) yield* outboundElements(entry);
  for (const address of table.backends.keys()) yield backendElement(address);
}

function* all(verb: Operation['verb'], elements: Iterable<Element>): Generator<Operation> {
  for (const element of elements) yield { verb, element };
}

function ringMark(topByte: number, ring: number): number {
  return topByte * 2 ** ringBits + ring;
}

/** What marks of flows have in common that came by rings of one group. */
export function groupMark(ring: number): number {
  return ringNumber(groupOf(ring), 0);
}

/** How the flows to a ring are hashed to its slots: by ring, so that a ring may change its size alone. */
function* hashElements(ring: Ring): Generator<Element> {
  if (ring.floating) return yield* floatingHashElements(ring);
  for (const affinity of affinities) {
    yield {
      set: `ring_hash${ring.family}`,
      key: [ringMark(affinityNumber[affinity], ring.number)],
      value: { jump: hashChain(affinity, ring.size, ring.family) },
    };
  }
}

/** True where both are elements of the same sets. */
function sameSets(one: Ring, other: Ring): boolean {
  return one.family === other.family && one.floating === other.floating;
}

function liveElements(ring: Ring): ReadonlyMap<string, Element> {
  const elements = new Map<string, Element>();
  for (const member of ring.members) {
    for (const protocol of liveProtocols(member)) {
      const found = ring.floating
        ? floatingMemberElements(ring, member, protocol)
        : [{ set: `ring_live${ring.family}`, key: [ring.number, member.address, protocol] }];
      for (const element of found)
        elements.set(`${member.address}/${element.set}/${element.key.join('/')}`, element);
    }
  }
  return elements;
}

function liveProtocols(member: RingMember): readonly number[] {
  if (member.drained) return [];
  return member.eligible || member.keepsUdp ? [protocolNumber.tcp, protocolNumber.udp] : [protocolNumber.tcp];
}

function slotAddress(ring: Ring, slot: number): IpAddress | undefined {
  const index = ring.slots[slot];
  return index === undefined ? undefined : ring.members[index]?.address;
}

/** What tells whether a slot's element has to be written anew. */
function slotHolder(ring: Ring, slot: number): string | number | undefined {
  const address = slotAddress(ring, slot);
  return ring.floating && address !== undefined ? numbersOf(ring).get(address) : address;
}

function slotElement(ring: Ring, slot: number): Element {
  const address = slotAddress(ring, slot);
  if (address === undefined) throw new RangeError(`ring ${ring.number}: slot ${slot} names no member`);
  if (ring.floating) return floatingSlotElement(ring, slot, address);
  return { set: `ring${ring.family}`, key: [ring.number, slot], value: [address] };
}
