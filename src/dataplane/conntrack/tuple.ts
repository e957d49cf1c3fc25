// The attributes of a flow in ctnetlink. Layout: include/uapi/linux/netfilter/nfnetlink_conntrack.h.
import { type Attributes, attribute, attributes, nativeU32, nest, u16 } from '../netlink/netlink.ts';

export const conntrackSubsystem = 1 << 8;
export const conntrackMessage = { get: 1, delete: 2 } as const;
export const AF_INET = 2;
export const AF_INET6 = 10;

export const conntrackAttribute = {
  original: 1,
  reply: 2,
  status: 3,
  protocolInfo: 4,
  timeout: 7,
  mark: 8,
  countersOriginal: 9,
  countersReply: 10,
  id: 12,
  zone: 18,
  markMask: 21,
  filter: 25,
} as const;

/** IPS_SEEN_REPLY */
export const statusSeenReply = 0x02;
/** IPS_SRC_NAT */
export const statusSourceNat = 0x10;
/** IPS_DST_NAT */
export const statusDestinationNat = 0x20;

/** Fields of a tuple that a filter compares (CTA_FILTER_F_CTA_*). */
const filterFlag = { source: 1, destination: 2, protocol: 8, sourcePort: 16, destinationPort: 32 } as const;

/** The wanted fields of one direction of a flow. Addresses are 4 or 16 bytes. */
export interface TupleFilter {
  readonly source?: Buffer;
  readonly destination?: Buffer;
  readonly protocol?: number;
  readonly sourcePort?: number;
  readonly destinationPort?: number;
}

/** The attributes that make the kernel act only on flows whose directions match. It refuses a filter of nothing. */
export function tupleFilters(original: TupleFilter, reply: TupleFilter): readonly Buffer[] {
  if (filterFlags(original) === 0 && filterFlags(reply) === 0) return [];
  const found = [
    nest(
      conntrackAttribute.filter,
      attribute(1, nativeU32(filterFlags(original))),
      attribute(2, nativeU32(filterFlags(reply))),
    ),
  ];
  if (filterFlags(original) !== 0) found.push(tuple(conntrackAttribute.original, original));
  if (filterFlags(reply) !== 0) found.push(tuple(conntrackAttribute.reply, reply));
  return found;
}

/** TCP_CONNTRACK_ESTABLISHED */
export const tcpEstablished = 3;

/** TCP_CONNTRACK_*, of the attribute for the protocol; 0 where there is none. */
export function readTcpState(bytes: Buffer | undefined): number {
  return attributes(attributes(bytes).get(1)).get(1)?.[0] ?? 0;
}

/** One direction of a flow, as far as it is needed here. Addresses are as hexadecimal text. */
export interface Tuple {
  readonly source: string;
  readonly destination: string;
  readonly protocol: number;
  readonly sourcePort: number;
  readonly destinationPort: number;
}

export function readTuple(bytes: Buffer | undefined): Tuple {
  const parts: Attributes = attributes(bytes);
  const ip = attributes(parts.get(1));
  const transport = attributes(parts.get(2));
  return {
    source: (ip.get(1) ?? ip.get(3))?.toString('hex') ?? '',
    destination: (ip.get(2) ?? ip.get(4))?.toString('hex') ?? '',
    protocol: transport.get(1)?.[0] ?? 0,
    sourcePort: transport.get(2)?.readUInt16BE() ?? 0,
    destinationPort: transport.get(3)?.readUInt16BE() ?? 0,
  };
}

function filterFlags(wanted: TupleFilter): number {
  return (
    (wanted.source ? filterFlag.source : 0) |
    (wanted.destination ? filterFlag.destination : 0) |
    (wanted.protocol !== undefined ? filterFlag.protocol : 0) |
    (wanted.sourcePort !== undefined ? filterFlag.sourcePort : 0) |
    (wanted.destinationPort !== undefined ? filterFlag.destinationPort : 0)
  );
}

function tuple(type: number, wanted: TupleFilter): Buffer {
  const { source, destination, protocol, sourcePort, destinationPort } = wanted;
  const length = source?.length ?? destination?.length;
  const ip: Buffer[] = [];
  if (source) ip.push(attribute(length === 16 ? 3 : 1, source));
  if (destination) ip.push(attribute(length === 16 ? 4 : 2, destination));
  const transport: Buffer[] = [];
  if (protocol !== undefined) transport.push(attribute(1, Buffer.of(protocol)));
  if (sourcePort !== undefined) transport.push(attribute(2, u16(sourcePort)));
  if (destinationPort !== undefined) transport.push(attribute(3, u16(destinationPort)));
  const parts: Buffer[] = [];
  if (ip.length > 0) parts.push(nest(1, ...ip));
  if (transport.length > 0) parts.push(nest(2, ...transport));
  return nest(type, ...parts);
}
