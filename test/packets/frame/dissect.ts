// Takes a frame apart: named fields with their bytes, and which of its checksums are right.
import { addressText, macText } from './address.ts';
import { fold, sum } from './checksum.ts';

export interface Field {
  /** Such as `ip.ttl`, `tcp.checksum`, `inner.udp.source port`. */
  readonly name: string;
  readonly at: number;
  readonly bytes: Uint8Array;
}

export interface Checksum {
  /** `ip`, `tcp`, `udp`, `icmp`, with `inner.` before those of a quoted packet. */
  readonly name: string;
  /** Absent: the sender left it out, or the packet is not whole. */
  readonly right?: boolean;
  /**
   * The ones' complement sum over what there is, 0 to 0xfffe, of which 0 is right. What translates must leave it as it is,
   * also where it is wrong. Absent: the sender left the checksum out.
   */
  readonly sum?: number;
}

export interface Dissection {
  /** In the order of the frame, every byte in one of them. */
  readonly fields: readonly Field[];
  readonly checksums: readonly Checksum[];
  /** The frame has all headers that it announces. */
  readonly whole: boolean;
}

/** Never throws: what cannot be told apart is one field `rest`. */
export function dissect(frame: Uint8Array): Dissection {
  const reader = new Reader(frame);
  const whole = ethernet(reader);
  reader.rest('rest');
  return { fields: reader.fields, checksums: reader.checksums, whole };
}

class Reader {
  readonly fields: Field[] = [];
  readonly checksums: Checksum[] = [];
  readonly frame: Uint8Array;
  at = 0;
  prefix = '';

  constructor(frame: Uint8Array) {
    this.frame = frame;
  }

  /** Says whether so many bytes follow. */
  has(length: number): boolean {
    return this.at + length <= this.frame.length;
  }

  take(name: string, length: number): Uint8Array {
    const bytes = this.frame.subarray(this.at, this.at + length);
    if (length > 0) this.fields.push({ name: this.prefix + name, at: this.at, bytes });
    this.at += length;
    return bytes;
  }

  number(name: string, length: number): number {
    return this.take(name, length).reduce((value, byte) => value * 256 + byte, 0);
  }

  peek(offset: number): number {
    return this.frame[this.at + offset] ?? 0;
  }

  rest(name: string): void {
    if (this.at < this.frame.length) this.take(name, this.frame.length - this.at);
  }

  check(name: string, total: number, complete: boolean): void {
    const right = fold(total) === 0xffff;
    this.checksums.push({ name: this.prefix + name, sum: total % 0xffff, ...(complete ? { right } : {}) });
  }
}

function ethernet(reader: Reader): boolean {
  if (!reader.has(14)) return false;
  reader.take('ethernet.destination', 6);
  reader.take('ethernet.source', 6);
  let type = reader.number('ethernet.type', 2);
  for (let tags = 0; (type === 0x8100 || type === 0x88a8) && reader.has(4); tags += 1) {
    reader.take(`tag ${tags}.id`, 2);
    type = reader.number(`tag ${tags}.type`, 2);
  }
  if (type === 0x0800) return ipv4(reader, reader.frame.length);
  return type === 0x86dd && ipv6(reader, reader.frame.length);
}

interface Layer {
  readonly protocol: number;
  readonly pseudo: number;
  /** Where the IP packet ends. */
  readonly end: number;
  /** The frame holds all of the transport's bytes. */
  readonly complete: boolean;
}

function ipv4(reader: Reader, available: number): boolean {
  const length = (reader.peek(0) & 15) * 4;
  if (!reader.has(20) || length < 20 || !reader.has(length) || reader.peek(0) >> 4 !== 4) return false;
  const start = reader.at;
  reader.take('ip.version', 1);
  reader.take('ip.tos', 1);
  const total = reader.number('ip.length', 2);
  reader.take('ip.identification', 2);
  const fragment = reader.number('ip.fragment', 2);
  reader.take('ip.ttl', 1);
  const protocol = reader.number('ip.protocol', 1);
  reader.take('ip.checksum', 2);
  const source = sum(reader.take('ip.source', 4));
  const destination = sum(reader.take('ip.destination', 4));
  reader.take('ip.options', length - 20);
  reader.check('ip', sum(reader.frame, start, start + length), true);
  // What is quoted need not be whole, and some hosts change its length: whatever is there belongs to it.
  const quoted = reader.prefix !== '';
  if (total < length && !quoted) return false;
  const end = quoted ? available : Math.min(start + total, available);
  const complete = start + total <= available && (fragment & 0x3fff) === 0;
  if ((fragment & 0x1fff) !== 0) return body(reader, end, false);
  const pseudo = source + destination + protocol + Math.max(total - length, 0);
  return transport(reader, { protocol, pseudo, end, complete });
}

function ipv6(reader: Reader, available: number): boolean {
  if (!reader.has(40) || reader.peek(0) >> 4 !== 6) return false;
  reader.take('ip.class', 4);
  const length = reader.number('ip.length', 2);
  let protocol = reader.number('ip.next', 1);
  reader.take('ip.ttl', 1);
  const source = sum(reader.take('ip.source', 16));
  const destination = sum(reader.take('ip.destination', 16));
  const announced = reader.at + length;
  const end = reader.prefix === '' ? Math.min(announced, available) : available;
  let complete = announced <= available;
  for (;;) {
    if (protocol === 44) {
      if (!reader.has(8)) return false;
      protocol = reader.number('ip.fragment header', 2) >> 8;
      const offset = reader.number('ip.fragment', 2);
      reader.take('ip.identification', 4);
      if ((offset & ~7) !== 0) return body(reader, end, false);
      if ((offset & 1) !== 0) complete = false;
      continue;
    }
    if (protocol !== 0 && protocol !== 43 && protocol !== 60) break;
    const size = (reader.peek(1) + 1) * 8;
    if (!reader.has(size)) return false;
    protocol = reader.number('ip.extension', 1);
    reader.take('ip.extension', size - 1);
  }
  const pseudo = source + destination + protocol + Math.max(announced - reader.at, 0);
  return transport(reader, { protocol, pseudo, end, complete });
}

function transport(reader: Reader, layer: Layer): boolean {
  const icmp = layer.protocol === 1 || layer.protocol === 58;
  if (layer.protocol === 6) return tcp(reader, layer);
  if (layer.protocol === 17) return udp(reader, layer);
  return icmp ? icmpMessage(reader, layer) : body(reader, layer.end, true);
}

function tcp(reader: Reader, { pseudo, end, complete }: Layer): boolean {
  const start = reader.at;
  if (start + 8 > end) return body(reader, end, false);
  reader.take('tcp.source port', 2);
  reader.take('tcp.destination port', 2);
  if (start + 18 > end) return body(reader, end, false);
  reader.take('tcp.sequence', 4);
  reader.take('tcp.acknowledgement', 4);
  reader.take('tcp.flags', 2);
  reader.take('tcp.window', 2);
  reader.take('tcp.checksum', 2);
  reader.check('tcp', sum(reader.frame, start, end) + pseudo, complete);
  return body(reader, end, end - start >= 20);
}

function udp(reader: Reader, { pseudo, end, complete }: Layer): boolean {
  const start = reader.at;
  if (start + 8 > end) return body(reader, end, false);
  reader.take('udp.source port', 2);
  reader.take('udp.destination port', 2);
  reader.take('udp.length', 2);
  const checksum = reader.number('udp.checksum', 2);
  if (checksum === 0) reader.checksums.push({ name: `${reader.prefix}udp` });
  else reader.check('udp', sum(reader.frame, start, end) + pseudo, complete);
  return body(reader, end, true);
}

function icmpMessage(reader: Reader, { protocol, pseudo, end, complete }: Layer): boolean {
  const start = reader.at;
  if (start + 8 > end) return body(reader, end, false);
  const type = reader.number('icmp.type', 1);
  reader.take('icmp.code', 1);
  reader.take('icmp.checksum', 2);
  reader.take('icmp.rest', 4);
  reader.check('icmp', sum(reader.frame, start, end) + (protocol === 58 ? pseudo : 0), complete);
  const isError = protocol === 58 ? type < 128 : [3, 4, 5, 11, 12].includes(type);
  if (isError && reader.prefix === '') {
    reader.prefix = 'inner.';
    if (protocol === 58) ipv6(reader, end);
    else ipv4(reader, end);
    reader.prefix = '';
  }
  return body(reader, end, true);
}

function body(reader: Reader, end: number, whole: boolean): boolean {
  if (reader.at < end) reader.take('payload', end - reader.at);
  if (reader.prefix === '') reader.rest('trailer');
  return whole;
}

/** One line per field. */
export function explain(frame: Uint8Array): string {
  const { fields, checksums } = dissect(frame);
  const lines = fields.map((field) => `${field.name.padEnd(24)} ${shown(field)}`);
  const wrong = checksums
    .filter(({ right }) => right === false)
    .map(({ name }) => `${name} checksum is wrong`);
  return [...lines, ...wrong].join('\n');
}

/** Fields that differ, one line each; empty when the frames are equal. */
export function differences(actual: Uint8Array, expected: Uint8Array): string {
  const one = dissect(actual).fields;
  const other = dissect(expected).fields;
  const lines: string[] = [];
  for (let index = 0; index < Math.max(one.length, other.length); index += 1) {
    const [a, b] = [one[index], other[index]];
    if (a?.name === b?.name && a !== undefined && b !== undefined && Buffer.compare(a.bytes, b.bytes) === 0)
      continue;
    lines.push(
      `${(b ?? a)?.name}: ${a === undefined ? 'nothing' : nameAnd(a, b)} instead of ${b === undefined ? 'nothing' : shown(b)}`,
    );
  }
  return lines.join('\n');
}

function nameAnd(field: Field, other: Field | undefined): string {
  return field.name === other?.name ? shown(field) : `${field.name} ${shown(field)}`;
}

function shown({ name, bytes }: Field): string {
  if (/ethernet\.(source|destination)$/.test(name)) return macText(bytes);
  if (/ip\.(source|destination)$/.test(name)) return addressText(bytes);
  if (/port$|length$|ttl$/.test(name)) return `${bytes.reduce((value, byte) => value * 256 + byte, 0)}`;
  return Buffer.from(bytes).toString('hex');
}
