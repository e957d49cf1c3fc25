// TCP segments without data, with the IP header before them. Layouts: RFC 9293, 3.1; RFC 791, 3.1; RFC 8200, 3.
import type { End } from './connection.ts';

export const tcpFlag = { syn: 2, ack: 16 } as const;

export interface Segment {
  readonly from: End;
  readonly to: End;
  readonly flags: number;
  readonly sequence: number;
  readonly acknowledgement: number;
}

const protocolTcp = 6;
const hopLimit = 64;
const headerLength = 20;
const window = 1024;

/** The whole packet, of the family that the addresses have. */
export function packetOf(segment: Segment): Buffer {
  const { from, to } = segment;
  const tcp = headerOf(segment);
  const pseudo = Buffer.alloc(4);
  pseudo.writeUInt16BE(protocolTcp, 0);
  pseudo.writeUInt16BE(tcp.length, 2);
  tcp.writeUInt16BE(checksum(Buffer.concat([from.address, to.address, pseudo, tcp])), 16);
  return Buffer.concat([from.address.length === 4 ? ipv4(from, to) : ipv6(from, to), tcp]);
}

function headerOf({ from, to, flags, sequence, acknowledgement }: Segment): Buffer {
  const tcp = Buffer.alloc(headerLength);
  tcp.writeUInt16BE(from.port, 0);
  tcp.writeUInt16BE(to.port, 2);
  tcp.writeUInt32BE(sequence, 4);
  tcp.writeUInt32BE(acknowledgement, 8);
  tcp.writeUInt8((headerLength / 4) << 4, 12);
  tcp.writeUInt8(flags, 13);
  tcp.writeUInt16BE(window, 14);
  return tcp;
}

function ipv4(from: End, to: End): Buffer {
  const ip = Buffer.alloc(20);
  ip.writeUInt8(0x45, 0);
  ip.writeUInt16BE(ip.length + headerLength, 2);
  // Not to be fragmented, so it needs no identification (RFC 6864).
  ip.writeUInt16BE(0x4000, 6);
  ip.writeUInt8(hopLimit, 8);
  ip.writeUInt8(protocolTcp, 9);
  from.address.copy(ip, 12);
  to.address.copy(ip, 16);
  ip.writeUInt16BE(checksum(ip), 10);
  return ip;
}

function ipv6(from: End, to: End): Buffer {
  const ip = Buffer.alloc(40);
  ip.writeUInt8(0x60, 0);
  ip.writeUInt16BE(headerLength, 4);
  ip.writeUInt8(protocolTcp, 6);
  ip.writeUInt8(hopLimit, 7);
  from.address.copy(ip, 8);
  to.address.copy(ip, 24);
  return ip;
}

/** RFC 1071; of an even number of bytes. */
function checksum(bytes: Buffer): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += bytes.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
