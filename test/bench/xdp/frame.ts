// The frames that programs are timed with: one frame as the pattern, and the flows whose packets look like it.

export interface Frame {
  readonly family: 4 | 6;
  readonly protocol: 'tcp' | 'udp';
  /** Six bytes each, as `02:00:00:00:00:01`. */
  readonly destinationMac: string;
  readonly sourceMac: string;
  /** The first 12 bytes of both addresses; only of IPv6. */
  readonly prefix?: readonly [source: readonly number[], destination: readonly number[]];
  /** Default ACK. */
  readonly tcpFlags?: number;
  /** Of UDP. Default true, with no particular one: programs take differences of it. */
  readonly checksum?: boolean;
}

export const tcpFlag = { fin: 0x01, syn: 0x02, rst: 0x04, ack: 0x10 } as const;

/** Addresses as numbers, of IPv6 the last four bytes. */
export interface Flow {
  readonly source: number;
  readonly destination: number;
  readonly sourcePort: number;
  readonly destinationPort: number;
}

/** With headers whose lengths fit. Longer than 80 bytes, which the wrapper writes. */
const frameLength = 98;
const ethernetLength = 14;
export const flowBytes = 16;

export function frameOf(frame: Frame): Uint8Array {
  const bytes = new Uint8Array(frameLength);
  const view = new DataView(bytes.buffer);
  bytes.set(macBytes(frame.destinationMac), 0);
  bytes.set(macBytes(frame.sourceMac), 6);
  const headerLength = frame.family === 4 ? 20 : 40;
  const inner = ethernetLength + headerLength;
  const protocol = frame.protocol === 'tcp' ? 6 : 17;
  if (frame.family === 4) {
    view.setUint16(12, 0x0800);
    view.setUint8(14, 0x45);
    view.setUint16(16, frameLength - ethernetLength);
    view.setUint16(20, 0x4000);
    view.setUint8(22, 64);
    view.setUint8(23, protocol);
  } else {
    view.setUint16(12, 0x86dd);
    view.setUint8(14, 0x60);
    view.setUint16(18, frameLength - inner);
    view.setUint8(20, protocol);
    view.setUint8(21, 64);
    bytes.set(frame.prefix?.[0] ?? [], 22);
    bytes.set(frame.prefix?.[1] ?? [], 38);
  }
  if (frame.protocol === 'tcp') {
    view.setUint8(inner + 12, 0x50);
    view.setUint8(inner + 13, frame.tcpFlags ?? tcpFlag.ack);
    view.setUint16(inner + 14, 0xffff);
    view.setUint16(inner + 16, 0x4321);
  } else {
    view.setUint16(inner + 4, frameLength - inner);
    view.setUint16(inner + 6, frame.checksum === false ? 0 : 0x4321);
  }
  return bytes;
}

/** The sum of an IPv4 header without addresses and checksum, as the wrapper adds to it: of words as this machine has them. */
export function headerSum(frame: Uint8Array): number {
  const header = new Uint16Array(frame.slice(ethernetLength, ethernetLength + 12).buffer);
  return header.reduce((sum, word) => sum + word, 0);
}

/** As `struct flow` of the wrapper, 16 bytes each. */
export function encodeFlows(flows: readonly Flow[]): Uint8Array {
  const bytes = new Uint8Array(flows.length * flowBytes);
  const view = new DataView(bytes.buffer);
  for (const [index, { source, destination, sourcePort, destinationPort }] of flows.entries()) {
    const at = index * flowBytes;
    view.setUint32(at, source);
    view.setUint32(at + 4, destination);
    view.setUint16(at + 8, sourcePort);
    view.setUint16(at + 10, destinationPort);
  }
  return bytes;
}

/** As a number, 0 to 2^32 - 1. */
export function addressNumber(address: string): number {
  return address.split('.').reduce((sum, byte) => sum * 256 + Number(byte), 0);
}

function macBytes(text: string): readonly number[] {
  return text.split(':').map((byte) => Number.parseInt(byte, 16));
}
