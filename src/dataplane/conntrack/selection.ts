// Which flows end, said twice: as filters that the kernel applies, and as a test on flows that were read.
import { setImmediate } from 'node:timers/promises';
import type { FlowSelector } from '../../forwarding/change.ts';
import { groupOf, ringNumber } from '../../forwarding/ring-numbers.ts';
import type { Endpoint, OutboundEntry } from '../../forwarding/table.ts';
import { familyOf, type IpAddress, type Transport } from '../../resources/address.ts';
import { bitsTest, type ClientRange } from '../../resources/client-range.ts';
import { attribute, u32 } from '../netlink/netlink.ts';
import { addressBytes } from './address.ts';
import {
  AF_INET,
  AF_INET6,
  conntrackAttribute,
  statusDestinationNat,
  statusSeenReply,
  statusSourceNat,
  type Tuple,
  type TupleFilter,
  tupleFilters,
} from './tuple.ts';

/**
 * A selector of the forwarding table; or flows that were never translated because they began before their entry was there.
 * `knocking`: those to an endpoint. `unanswered`: those of a machine without an answer, which lacked an outbound rule. A
 * sender that never pauses would keep such a flow alive for ever.
 */
export type FlowSelection =
  | FlowSelector
  | { readonly kind: 'knocking'; readonly endpoint: Endpoint }
  | { readonly kind: 'unanswered'; readonly machine: IpAddress; readonly transport: Transport };

/** How the data plane marks its flows; see the nftables plane. */
export interface FlowMarks {
  /** The top nibble of every mark, as a whole mark. */
  readonly ours: number;
  /** Of NAT flows through one port, NAT flows through any port, and the lowest of the balanced ones. */
  readonly nat: number;
  readonly natAnyPort: number;
  readonly balanced: number;
  readonly balancedAnyPort: number;
  /** Of flows that machines begin themselves; the low 16 bits are the first of the machine's ports. */
  readonly outbound: number;
}

/** What the kernel compares by itself, to delete or to list. */
export interface KernelFilter {
  readonly family: number;
  readonly attributes: readonly Buffer[];
  /** False where more flows match than are meant: list them, and look at each. */
  readonly exact: boolean;
}

const oursMask = 0xf0000000;
const classMask = 0xff000000;
/** Of the class of a balanced flow, without the affinity. */
const balancedMask = 0xfc000000;
const ringMask = 0x00ffffff;
/** Of the ring's group. */
const groupMask = ringNumber(groupOf(ringMask), 0);
/** Of an outbound flow: the first port of its entry. */
const portMask = 0x0000ffff;
const protocols = { tcp: 6, udp: 17 } as const;

export function markFilter(value: number, mask: number): readonly Buffer[] {
  return [attribute(conntrackAttribute.mark, u32(value)), attribute(conntrackAttribute.markMask, u32(mask))];
}

/** Every flow of ours. */
export function allFlows(marks: FlowMarks): KernelFilter {
  return { family: 0, attributes: markFilter(marks.ours, oursMask), exact: true };
}

/** Every flow that a machine of an outbound rule began. */
export function outboundFlows(marks: FlowMarks): KernelFilter {
  return { family: 0, attributes: markFilter(marks.outbound, classMask), exact: true };
}

/** The filters that together match what `selection` names. */
export function kernelFilters(selection: FlowSelection, marks: FlowMarks): readonly KernelFilter[] {
  switch (selection.kind) {
    case 'nat': {
      const { endpoint, backend } = selection;
      // A flow may have lost the race for its mark against the commit; through one port it is known without.
      const mark =
        endpoint.port === 0 ? markFilter(marks.natAnyPort, classMask) : markFilter(0, otherClassBits(marks));
      return [filter(endpoint.address, mark, toEndpoint(endpoint), { source: addressBytes(backend) })];
    }
    case 'endpoint': {
      const { endpoint } = selection;
      const [nat, balanced] =
        endpoint.port === 0 ? [marks.natAnyPort, marks.balancedAnyPort] : [marks.nat, marks.balanced];
      return [
        filter(endpoint.address, markFilter(nat, classMask), toEndpoint(endpoint), {}),
        filter(endpoint.address, markFilter(balanced, balancedMask), toEndpoint(endpoint), {}),
      ];
    }
    case 'ring-member': {
      const { ring, backend, endpoints, udpOnly } = selection;
      const mark = markFilter(marks.ours + ringNumber(groupOf(ring), 0), oursMask + groupMask);
      const protocol = udpOnly ? { protocol: protocols.udp } : {};
      const made = filter(backend, mark, {}, { source: addressBytes(backend), ...protocol });
      return [{ ...made, exact: made.exact && endpoints === undefined }];
    }
    case 'outbound': {
      const { entry, first, last } = selection;
      const original = { source: addressBytes(entry.machine), protocol: protocols[entry.transport] };
      const mark = markFilter(outboundMark(entry, marks), classMask + portMask);
      const made = filter(entry.machine, mark, original, { destination: addressBytes(entry.address) });
      return [{ ...made, exact: made.exact && first === entry.first && last === entry.last }];
    }
    case 'unanswered': {
      const { machine, transport } = selection;
      const original = { source: addressBytes(machine), protocol: protocols[transport] };
      const made = filter(machine, [], original, { destination: addressBytes(machine) });
      return [{ ...made, exact: false }];
    }
    case 'clients':
      // Not even a mask of addresses could say who is not among several ranges.
      return [{ ...allFlows(marks), exact: false }];
    case 'knocking': {
      const { endpoint } = selection;
      // With the port, because an endpoint may lead to another port of its own address; the kernel reads no port without
      // a protocol.
      const { destination, destinationPort, protocol } = toEndpoint(endpoint);
      const itself = { source: destination, protocol, sourcePort: destinationPort };
      return [filter(endpoint.address, [], toEndpoint(endpoint), itself)];
    }
  }
}

/** A flow that was read from the kernel, as far as a selection looks at it. */
export interface Flow {
  readonly original: Tuple;
  readonly reply: Tuple;
  readonly mark: number;
  readonly status: number;
  /** TCP_CONNTRACK_*; 0 of other protocols. */
  readonly state: number;
  /** Seconds until it is over if nothing comes. */
  readonly timeout: number;
}

/** A test for many selections at once; its cost does not grow with their number. */
export async function flowTest(
  selections: readonly FlowSelection[],
  marks: FlowMarks,
): Promise<(flow: Flow) => boolean> {
  const nat = new Set<string>();
  const endpoints = new Set<string>();
  const knocking = new Set<string>();
  const clients = new Map<string, ClientTest>();
  const members = new Map<string, MemberEnd[]>();
  const unanswered = new Set<string>();
  const outbound = new Map<string, { readonly first: number; readonly last: number }[]>();
  /** Many members end with the same endpoints. */
  const texts = new Map<readonly Endpoint[], ReadonlySet<string>>();
  const textsOf = (list: readonly Endpoint[]) => {
    const known = texts.get(list) ?? new Set(list.map(endpointText));
    texts.set(list, known);
    return known;
  };
  let count = 0;
  for (const selection of selections) {
    count += 1;
    // A selection takes a few microseconds, and there may be a hundred thousand.
    if (count % 2000 === 0) await setImmediate();
    switch (selection.kind) {
      case 'nat':
        nat.add(`${endpointText(selection.endpoint)}/${hex(selection.backend)}`);
        break;
      case 'endpoint':
        endpoints.add(endpointText(selection.endpoint));
        break;
      case 'knocking':
        knocking.add(endpointText(selection.endpoint));
        break;
      case 'unanswered':
        unanswered.add(`${hex(selection.machine)}/${protocols[selection.transport]}`);
        break;
      case 'outbound': {
        const key = `${sourceText(selection.entry)}/${outboundMark(selection.entry, marks)}`;
        outbound.set(key, [...(outbound.get(key) ?? []), selection]);
        break;
      }
      case 'clients': {
        const test = clientTest(selection.allowed);
        for (const { endpoint } of selection.entries.values()) clients.set(endpointText(endpoint), test);
        break;
      }
      case 'ring-member': {
        const key = `${groupOf(selection.ring)}/${hex(selection.backend)}`;
        const { udpOnly, endpoints } = selection;
        const end = { udpOnly, ...(endpoints && { endpoints: textsOf(endpoints) }) };
        members.set(key, [...(members.get(key) ?? []), end]);
        break;
      }
    }
  }
  return ({ original, reply, mark, status }) => {
    const onPort = `${original.destination}/${original.protocol}/${original.destinationPort}`;
    const onAnyPort = `${original.destination}/${original.protocol}/0`;
    if ((status & statusDestinationNat) === 0) {
      if (isOutbound(mark, marks) && (status & statusSourceNat) !== 0) {
        const ports = outbound.get(`${outboundText(original, reply)}/${mark >>> 0}`) ?? [];
        return ports.some(
          ({ first, last }) => first <= reply.destinationPort && reply.destinationPort <= last,
        );
      }
      if (reply.source === original.destination && (knocking.has(onPort) || knocking.has(onAnyPort)))
        return true;
      return (
        (status & (statusSourceNat | statusSeenReply)) === 0 &&
        unanswered.has(`${original.source}/${original.protocol}`)
      );
    }
    const through = isAnyPort(mark, marks) ? onAnyPort : onPort;
    if (nat.has(`${through}/${reply.source}`) && mayBeNat(mark, marks)) return true;
    if (!isOurs(mark, marks)) return false;
    if (endpoints.has(through) || clients.get(through)?.(original.source) === false) return true;
    const ends = members.get(`${groupOf(ringOf(mark))}/${reply.source}`) ?? [];
    return ends.some(
      ({ udpOnly, endpoints }) =>
        (!udpOnly || original.protocol === protocols.udp) && endpoints?.has(through) !== false,
    );
  };
}

interface MemberEnd {
  readonly udpOnly: boolean;
  /** Absent: all. */
  readonly endpoints?: ReadonlySet<string>;
}

export function isOurs(mark: number, marks: FlowMarks): boolean {
  return (mark & oursMask) >>> 0 === marks.ours;
}

/** Of flows that an entry has made: they are the entry's as long as its first port stays. */
export function outboundMark({ first }: OutboundEntry, marks: FlowMarks): number {
  return marks.outbound + first;
}

/** True where a machine of an outbound rule began it. */
export function isOutbound(mark: number, marks: FlowMarks): boolean {
  return (mark & classMask) >>> 0 === marks.outbound;
}

/** True where the flow came in by an entry for every port. */
export function isAnyPort(mark: number, marks: FlowMarks): boolean {
  return (
    (mark & classMask) >>> 0 === marks.natAnyPort || (mark & balancedMask) >>> 0 === marks.balancedAnyPort
  );
}

/** True where the flow is of an entry of NAT, or has missed its mark. */
function mayBeNat(mark: number, marks: FlowMarks): boolean {
  return (mark & otherClassBits(marks)) === 0 || (mark & classMask) >>> 0 === marks.natAnyPort;
}

/** The ring that a balanced flow came by, 0 of any other; its group is still the pool's. */
export function ringOf(mark: number): number {
  return mark & ringMask;
}

function filter(
  address: IpAddress,
  mark: readonly Buffer[],
  original: TupleFilter,
  reply: TupleFilter,
): KernelFilter {
  if (familyOf(address) === 4) {
    return { family: AF_INET, attributes: [...mark, ...tupleFilters(original, reply)], exact: true };
  }
  // The kernel (5.8 to 6.18 at least) takes IPv6 addresses that are the same for different, and the other way round:
  // nf_conntrack_netlink.c, ctnetlink_filter_match_tuple.
  const attributes = [...mark, ...tupleFilters(withoutAddresses(original), withoutAddresses(reply))];
  return { family: AF_INET6, attributes, exact: false };
}

function withoutAddresses({ protocol, sourcePort, destinationPort }: TupleFilter): TupleFilter {
  return { protocol, sourcePort, destinationPort };
}

function toEndpoint({ address, transport, port }: Endpoint): TupleFilter {
  const destination = addressBytes(address);
  const protocol = protocols[transport];
  return port === 0 ? { destination, protocol } : { destination, protocol, destinationPort: port };
}

/** The bits in which the other classes differ from that of NAT through one port, and which foreign marks lack. */
function otherClassBits({ nat, natAnyPort, balanced, balancedAnyPort }: FlowMarks): number {
  return ((nat ^ natAnyPort) | (nat ^ balanced) | (nat ^ balancedAnyPort)) >>> 0;
}

/** Machine, protocol and frontend address of an outbound entry; and the same of a flow. */
export function sourceText({ machine, transport, address }: OutboundEntry): string {
  return `${hex(machine)}/${protocols[transport]}/${hex(address)}`;
}

export function outboundText(original: Tuple, reply: Tuple): string {
  return `${original.source}/${original.protocol}/${reply.destination}`;
}

/** The address in hexadecimal, the protocol's number, and the port. */
export function endpointText({ address, transport, port }: Endpoint): string {
  return `${hex(address)}/${protocols[transport]}/${port}`;
}

/** Whether a client's address, as flows have it, is allowed. */
export type ClientTest = (address: string) => boolean;

export function clientTest(allowed: readonly ClientRange[]): ClientTest {
  const test = bitsTest(allowed);
  return (address) => test(address.length === 8 ? 4 : 6, BigInt(`0x${address}`));
}

/** The address as the kernel's flows are read: hexadecimal. */
export function hex(address: IpAddress): string {
  return addressBytes(address).toString('hex');
}
