// What translation means, on a packet's fields; `encode` then makes all checksums anew.
import { encode } from './encode.ts';
import type { Body, End, Ethernet, Ip, Packet } from './packet.ts';

export interface Rewrite {
  /** New ends; port 0 keeps the port (and is all there is for ICMP). */
  readonly from?: End;
  readonly to?: End;
  /** The same for the packet that an ICMP error quotes. */
  readonly quote?: { readonly from?: End; readonly to?: End };
  /** 1: routed once. */
  readonly hops?: number;
  readonly ethernet?: Ethernet;
}

export function rewrite(packet: Packet, { from, to, quote, hops = 0, ethernet }: Rewrite): Packet {
  const body = withPorts(packet.body, from, to);
  return {
    ...packet,
    ethernet: ethernet ?? packet.ethernet,
    ip: routed(withAddresses(packet.ip, from, to), hops),
    body:
      body.kind === 'icmp' && body.quote !== undefined && quote !== undefined
        ? {
            ...body,
            quote: {
              ...body.quote,
              ip: withAddresses(body.quote.ip, quote.from, quote.to),
              body: withPorts(body.quote.body, quote.from, quote.to),
            },
          }
        : body,
  };
}

function withAddresses(ip: Ip, from: End | undefined, to: End | undefined): Ip {
  return { ...ip, source: from?.[0] ?? ip.source, destination: to?.[0] ?? ip.destination };
}

function routed(ip: Ip, hops: number): Ip {
  return ip.version === 4 ? { ...ip, ttl: ip.ttl - hops } : { ...ip, hopLimit: ip.hopLimit - hops };
}

function withPorts(body: Body, from: End | undefined, to: End | undefined): Body {
  if (body.kind !== 'tcp' && body.kind !== 'udp') return body;
  return {
    ...body,
    sourcePort: from?.[1] || body.sourcePort,
    destinationPort: to?.[1] || body.destinationPort,
  };
}

/**
 * The packet with its first two payload bytes such that the checksum of `seen(packet)` is `wanted` (TCP or UDP; for UDP 0
 * is sent as 0xffff). The payload must begin with two bytes to spare.
 */
export function steered(
  packet: Packet,
  wanted: number,
  seen: (packet: Packet) => Packet = (same) => same,
): Packet {
  const blank = withWord(packet, 0);
  const now = transportChecksum(seen(blank));
  const word = (now + (~wanted & 0xffff)) % 0xffff;
  return withWord(packet, word);
}

function withWord(packet: Packet, word: number): Packet {
  const { body } = packet;
  if (body.kind !== 'tcp' && body.kind !== 'udp') throw new TypeError(`a ${body.kind} has no such checksum`);
  return { ...packet, body: { ...body, payload: [word >> 8, word & 0xff, ...body.payload.slice(2)] } };
}

/** As it stands in the frame. */
export function transportChecksum(packet: Packet): number {
  const { ethernet, ip, body } = packet;
  const frame = encode(packet);
  const header = ip.version === 4 ? 20 + ip.options.length : 40;
  const at = 14 + ethernet.tags.length * 4 + header + (body.kind === 'udp' ? 6 : 16);
  return ((frame[at] ?? 0) << 8) | (frame[at + 1] ?? 0);
}
