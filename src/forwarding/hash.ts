// The flow hash: every data plane, and every gateway, picks the same slot of a ring for the same flow.
import type { IpAddress, Transport } from '../resources/address.ts';
import type { Affinity, RingSize } from './table.ts';

/** Fixed for all time and on all gateways ("Pens"): another seed would move every new flow. */
export const flowHashSeed = 0x50656e73;

/** IANA protocol numbers. */
export const protocolNumber: Readonly<Record<Transport, number>> = { tcp: 6, udp: 17 };

/** The fields of a packet that can choose a member; both addresses are of one family. */
export interface FiveTuple {
  readonly sourceAddress: IpAddress;
  /** 0 to 65535. */
  readonly sourcePort: number;
  readonly destinationAddress: IpAddress;
  /** 0 to 65535. */
  readonly destinationPort: number;
  readonly transport: Transport;
}

/**
 * The slot, 0 to `size - 1`, of a flow as the client sees it (destination: the frontend, before translation).
 *
 * It is nftables' `jhash CONCATENATION mod SIZE seed SEED` on a little-endian machine: fields in network byte order, each
 * padded with zero bytes to a multiple of four, and `reciprocal_scale` in place of a remainder.
 */
export function slotOf(size: RingSize, affinity: Affinity, flow: FiveTuple): number {
  // The product is below 2^49 and the divisor a power of two: exact.
  return Math.floor((jenkinsHash(hashedWords(affinity, flow), flowHashSeed) * size) / 0x1_0000_0000);
}

/**
 * Jenkins' lookup3 (2006) as in the kernel's include/linux/jhash.h, over bytes that come as little-endian 32-bit words.
 * The answer is 0 to 2^32 - 1.
 */
export function jenkinsHash(words: readonly number[], seed: number): number {
  let a = (0xdeadbeef + words.length * 4 + seed) | 0;
  let b = a;
  let c = a;
  let at = 0;
  for (; words.length - at > 3; at += 3) {
    a = (a + word(words, at)) | 0;
    b = (b + word(words, at + 1)) | 0;
    c = (c + word(words, at + 2)) | 0;
    a = ((a - c) | 0) ^ rotate(c, 4);
    c = (c + b) | 0;
    b = ((b - a) | 0) ^ rotate(a, 6);
    a = (a + c) | 0;
    c = ((c - b) | 0) ^ rotate(b, 8);
    b = (b + a) | 0;
    a = ((a - c) | 0) ^ rotate(c, 16);
    c = (c + b) | 0;
    b = ((b - a) | 0) ^ rotate(a, 19);
    a = (a + c) | 0;
    c = ((c - b) | 0) ^ rotate(b, 4);
    b = (b + a) | 0;
  }
  if (at === words.length) return c >>> 0;
  a = (a + word(words, at)) | 0;
  b = (b + word(words, at + 1)) | 0;
  c = (c + word(words, at + 2)) | 0;
  c = ((c ^ b) - rotate(b, 14)) | 0;
  a = ((a ^ c) - rotate(c, 11)) | 0;
  b = ((b ^ a) - rotate(a, 25)) | 0;
  c = ((c ^ b) - rotate(b, 16)) | 0;
  a = ((a ^ c) - rotate(c, 4)) | 0;
  b = ((b ^ a) - rotate(a, 14)) | 0;
  c = ((c ^ b) - rotate(b, 24)) | 0;
  return c >>> 0;
}

function hashedWords(affinity: Affinity, flow: FiveTuple): readonly number[] {
  const source = addressWords(flow.sourceAddress);
  const destination = addressWords(flow.destinationAddress);
  switch (affinity) {
    case 'five-tuple':
      return [
        ...source,
        portWord(flow.sourcePort),
        ...destination,
        portWord(flow.destinationPort),
        protocolNumber[flow.transport],
      ];
    case 'client-ip':
      return [...source, ...destination];
    case 'client-ip-protocol':
      return [...source, ...destination, protocolNumber[flow.transport]];
  }
}

/** Bytes in network order, read as little-endian words: one for IPv4, four for IPv6. */
function addressWords(address: IpAddress): readonly number[] {
  if (!address.includes(':')) {
    const [a = 0, b = 0, c = 0, d = 0] = address.split('.').map(Number);
    return [a | (b << 8) | (c << 16) | (d << 24)];
  }
  const [head = '', tail] = address.split('::');
  const left = groups(head);
  const right = groups(tail ?? '');
  const all = [...left, ...new Array<number>(8 - left.length - right.length).fill(0), ...right];
  return [0, 2, 4, 6].map((at) => portWord(word(all, at)) | (portWord(word(all, at + 1)) << 16));
}

function groups(text: string): readonly number[] {
  return text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16));
}

/** Two bytes in network order, read as a little-endian number. */
function portWord(port: number): number {
  return (port >>> 8) | ((port & 0xff) << 8);
}

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}

function word(words: readonly number[], at: number): number {
  return words[at] ?? 0;
}
