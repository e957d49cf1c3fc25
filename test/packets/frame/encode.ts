// A packet as the bytes of its frame: all lengths and checksums from nothing.
import { addressBytes, macBytes } from './address.ts';
import { checksumOf, fold, sum } from './checksum.ts';
import type { Body, Icmp, Ip, Ipv4, Ipv6, Packet, Tag, Tcp, Udp } from './packet.ts';

const protocols = { tcp: 6, udp: 17 } as const;
const flagBits: Readonly<Record<string, number>> = { F: 1, S: 2, R: 4, P: 8, A: 16, U: 32, E: 64, C: 128 };

/** The frame, from the destination MAC address on. */
export function encode({ ethernet, ip, body, trailer = [] }: Packet): Uint8Array {
  return join(
    macBytes(ethernet.destination),
    macBytes(ethernet.source),
    ...ethernet.tags.map(tagBytes),
    short(ip.version === 4 ? 0x0800 : 0x86dd),
    encodeIp(ip, body),
    Uint8Array.from(trailer),
  );
}

/** From the IP header on. */
export function encodeIp(ip: Ip, body: Body): Uint8Array {
  const whole = encodeBody(ip, body);
  const part = ip.slice === undefined ? whole : whole.subarray(ip.slice.from, ip.slice.to);
  const more = ip.slice !== undefined && (ip.slice.more ?? ip.slice.to < whole.length);
  const protocol = protocolOf(ip, body);
  return ip.version === 4 ? encodeIpv4(ip, protocol, part, more) : encodeIpv6(ip, protocol, part, more);
}

function protocolOf(ip: Ip, body: Body): number {
  switch (body.kind) {
    case 'tcp':
    case 'udp':
      return protocols[body.kind];
    case 'icmp':
      return ip.version === 4 ? 1 : 58;
    case 'other':
      return body.protocol;
  }
}

function encodeIpv4(ip: Ipv4, protocol: number, part: Uint8Array, more: boolean): Uint8Array {
  const length = 20 + ip.options.length;
  const fragment = (ip.dontFragment ? 0x4000 : 0) | (more ? 0x2000 : 0) | ((ip.slice?.from ?? 0) >> 3);
  const header = join(
    Uint8Array.of(0x40 | (length / 4), ip.tos),
    short(length + part.length),
    short(ip.identification),
    short(fragment),
    Uint8Array.of(ip.ttl, protocol, 0, 0),
    addressBytes(ip.source),
    addressBytes(ip.destination),
    Uint8Array.from(ip.options),
  );
  put(header, 10, wrongBy(checksumOf(sum(header)), ip.checksumError));
  return join(header, part);
}

function encodeIpv6(ip: Ipv6, protocol: number, part: Uint8Array, more: boolean): Uint8Array {
  const types = [...ip.extensions.map(({ type }) => type), ...(ip.slice === undefined ? [] : [44]), protocol];
  const extensions = ip.extensions.map(({ body }, index) =>
    Uint8Array.of(types[index + 1] ?? 0, (body.length + 2) / 8 - 1, ...body),
  );
  const fragment =
    ip.slice === undefined
      ? new Uint8Array()
      : join(
          Uint8Array.of(protocol, 0),
          short(ip.slice.from | (more ? 1 : 0)),
          short(ip.identification >>> 16),
          short(ip.identification & 0xffff),
        );
  const payload = join(...extensions, fragment, part);
  return join(
    Uint8Array.of(0x60 | (ip.trafficClass >> 4), ((ip.trafficClass & 15) << 4) | (ip.flowLabel >> 16)),
    short(ip.flowLabel & 0xffff),
    short(payload.length),
    Uint8Array.of(types[0] ?? 0, ip.hopLimit),
    addressBytes(ip.source),
    addressBytes(ip.destination),
    payload,
  );
}

function encodeBody(ip: Ip, body: Body): Uint8Array {
  switch (body.kind) {
    case 'tcp':
      return encodeTcp(ip, body);
    case 'udp':
      return encodeUdp(ip, body);
    case 'icmp':
      return encodeIcmp(ip, body);
    case 'other':
      return Uint8Array.from(body.payload);
  }
}

function encodeTcp(ip: Ip, body: Tcp): Uint8Array {
  const flags = [...body.flags].reduce((bits, flag) => bits | (flagBits[flag] ?? 0), 0);
  const segment = join(
    short(body.sourcePort),
    short(body.destinationPort),
    short(body.sequence >>> 16),
    short(body.sequence & 0xffff),
    short(body.acknowledgement >>> 16),
    short(body.acknowledgement & 0xffff),
    Uint8Array.of((5 + body.options.length / 4) << 4, flags),
    short(0x2000),
    short(0),
    short(0),
    Uint8Array.from(body.options),
    Uint8Array.from(body.payload),
  );
  const right = checksumOf(sum(segment) + pseudoHeader(ip, 6, segment.length));
  put(segment, 16, wrongBy(right, body.checksumError));
  return segment;
}

function encodeUdp(ip: Ip, body: Udp): Uint8Array {
  const datagram = join(
    short(body.sourcePort),
    short(body.destinationPort),
    short(8 + body.payload.length),
    short(0),
    Uint8Array.from(body.payload),
  );
  if (body.noChecksum === true) return datagram;
  const right = checksumOf(sum(datagram) + pseudoHeader(ip, 17, datagram.length));
  // RFC 768: a checksum that comes out as zero is sent as all ones.
  const sent = wrongBy(right, body.checksumError);
  put(datagram, 6, sent === 0 ? 0xffff : sent);
  return datagram;
}

function encodeIcmp(ip: Ip, body: Icmp): Uint8Array {
  const quote =
    body.quote === undefined
      ? new Uint8Array()
      : encodeIp(body.quote.ip, body.quote.body).subarray(0, body.quote.bytes);
  const message = join(
    Uint8Array.of(body.type, body.code, 0, 0),
    short(body.rest >>> 16),
    short(body.rest & 0xffff),
    quote,
    Uint8Array.from(body.payload),
  );
  const pseudo = ip.version === 4 ? 0 : pseudoHeader(ip, 58, message.length);
  put(message, 2, wrongBy(checksumOf(sum(message) + pseudo), body.checksumError));
  return message;
}

/** Its sum. */
export function pseudoHeader(
  { source, destination }: Pick<Ip, 'source' | 'destination'>,
  protocol: number,
  length: number,
): number {
  return fold(sum(addressBytes(source)) + sum(addressBytes(destination)) + protocol + length);
}

function wrongBy(right: number, error = 0): number {
  return error === 0 ? right : fold(right + error);
}

function tagBytes({ protocol, id, priority = 0 }: Tag): Uint8Array {
  return join(short(protocol), short((priority << 13) | id));
}

function short(value: number): Uint8Array {
  return Uint8Array.of((value >>> 8) & 0xff, value & 0xff);
}

function put(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value & 0xff;
}

export function join(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
