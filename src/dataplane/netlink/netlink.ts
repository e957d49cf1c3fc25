// Netlink messages and attributes as bytes, so that the kernel can be asked without starting a program.
// Layouts: include/uapi/linux/netlink.h and include/uapi/linux/netfilter/nfnetlink.h.
import { endianness } from 'node:os';

const littleEndian = endianness() === 'LE';
const headerLength = 16;
const nfgenLength = 4;

/** Flags of a request; NLM_F_REQUEST is always set. `exclusive` and `create` are for what shall be made. */
export const flags = { ack: 0x4, dump: 0x300, exclusive: 0x200, create: 0x400 } as const;

/** On a message of a dump: what is listed changed meanwhile, and parts of it may be missing. */
const dumpInterrupted = 0x10;

/** Set on attributes that hold attributes. */
const nested = 0x8000;
const attributeTypeMask = 0x3fff;

export const messageType = { error: 2, done: 3 } as const;

/** One message of an answer. `body` is what follows the netfilter header; without one, what follows netlink's own. */
export interface Message {
  readonly type: number;
  readonly sequence: number;
  /** 0 for an acknowledgement, a positive errno for a refusal; absent for any other message. */
  readonly errno?: number;
  /** The dump which it belongs to was not of one piece; to be asked again. */
  readonly interrupted: boolean;
  readonly body: Buffer;
}

/** Attributes by type; of repeated ones the last, which no caller reads. */
export type Attributes = ReadonlyMap<number, Buffer>;

/** A 32-bit number in the machine's own byte order, as netlink headers, marks and class ids have it. */
export function nativeU32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  if (littleEndian) bytes.writeUInt32LE(value >>> 0);
  else bytes.writeUInt32BE(value >>> 0);
  return bytes;
}

/** A 16-bit number in the machine's own byte order. */
export function nativeU16(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(2);
  writeU16(bytes, value, 0);
  return bytes;
}

export function u32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}

export function u16(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

/** A name as the kernel wants it: closed by a zero byte. */
export function text(value: string): Buffer {
  return Buffer.from(`${value}\0`, 'latin1');
}

/** An attribute with its padding; several values are joined, which makes a nest of attributes. */
export function attribute(type: number, ...values: readonly Buffer[]): Buffer {
  const length = 4 + values.reduce((sum, value) => sum + value.length, 0);
  const bytes = Buffer.alloc(aligned(length));
  writeU16(bytes, length, 0);
  writeU16(bytes, type, 2);
  let at = 4;
  for (const value of values) at += value.copy(bytes, at);
  return bytes;
}

export function nest(type: number, ...attributes: readonly Buffer[]): Buffer {
  return attribute(type | nested, ...attributes);
}

/** A request to a netfilter subsystem; `family` is AF_INET (2), AF_INET6 (10), NFPROTO_INET (1) or 0. */
export function request(
  type: number,
  family: number,
  requestFlags: number,
  sequence: number,
  ...attributes: readonly Buffer[]
): Buffer {
  return requestOf(type, requestFlags, sequence, Buffer.of(family, 0, 0, 0), ...attributes);
}

/** A request whose message begins with a header of its own kind, and goes on with attributes. */
export function requestOf(
  type: number,
  requestFlags: number,
  sequence: number,
  ...parts: readonly Buffer[]
): Buffer {
  const bytes = Buffer.alloc(headerLength + parts.reduce((sum, part) => sum + part.length, 0));
  nativeU32(bytes.length).copy(bytes, 0);
  writeU16(bytes, type, 4);
  writeU16(bytes, 1 | requestFlags, 6);
  nativeU32(sequence).copy(bytes, 8);
  let at = headerLength;
  for (const part of parts) at += part.copy(bytes, at);
  return bytes;
}

/**
 * The messages of one datagram from the kernel. They share its memory. `skip` is the length in bytes of the header which
 * every message of this kind of netlink begins with.
 */
export function* messages(datagram: Buffer, skip: number = nfgenLength): Generator<Message> {
  let at = 0;
  while (at + headerLength <= datagram.length) {
    const length = readU32(datagram, at);
    if (length < headerLength || at + length > datagram.length) return;
    const type = readU16(datagram, at + 4);
    const interrupted = (readU16(datagram, at + 6) & dumpInterrupted) !== 0;
    const sequence = readU32(datagram, at + 8);
    const payload = datagram.subarray(at + headerLength, at + length);
    if (type === messageType.error || (type === messageType.done && payload.length >= 4)) {
      const code = readU32(payload, 0) | 0;
      yield { type, sequence, errno: -code, interrupted, body: payload };
    } else {
      yield { type, sequence, interrupted, body: payload.subarray(skip) };
    }
    at += aligned(length);
  }
}

/** The attributes in `bytes`; they share its memory. Stops quietly at the first malformed one. */
export function attributes(bytes: Buffer | undefined): Attributes {
  const found = new Map<number, Buffer>();
  for (const { type, value } of eachAttribute(bytes)) found.set(type, value);
  return found;
}

/** Like `attributes`, for lists whose entries all have one type. */
export function* eachAttribute(
  bytes: Buffer | undefined,
): Generator<{ readonly type: number; readonly value: Buffer }> {
  if (bytes === undefined) return;
  let at = 0;
  while (at + 4 <= bytes.length) {
    const length = readU16(bytes, at);
    if (length < 4 || at + length > bytes.length) return;
    yield { type: readU16(bytes, at + 2) & attributeTypeMask, value: bytes.subarray(at + 4, at + length) };
    at += aligned(length);
  }
}

function aligned(length: number): number {
  return (length + 3) & ~3;
}

/** In the machine's own byte order. */
export function readU32(bytes: Buffer, at: number): number {
  return littleEndian ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at);
}

/** In the machine's own byte order. */
export function readU16(bytes: Buffer, at: number): number {
  return littleEndian ? bytes.readUInt16LE(at) : bytes.readUInt16BE(at);
}

function writeU16(bytes: Buffer, value: number, at: number): void {
  if (littleEndian) bytes.writeUInt16LE(value, at);
  else bytes.writeUInt16BE(value, at);
}
