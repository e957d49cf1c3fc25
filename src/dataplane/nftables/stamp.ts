// The stamp as the kernel keeps it: instance, sequence and revision in one element of 128 bits.
import type { Stamp } from '../dataplane.ts';
import type { Element } from './element.ts';
import { shapeVersion } from './shape-version.ts';

/** A stamp with the number of the transaction that wrote it, so that an outcome can be found out afterwards. */
export interface KernelStamp {
  readonly stamp: Stamp;
  /** 1 to 65535, then again from 1. */
  readonly sequence: number;
}

const instancePattern = /^[0-9a-f]{16}$/;
const revisionLimit = 2 ** 48;

/**
 * The element that says what the kernel runs. The value is an IPv6 address only to nft: 64 bits of instance, 16 of
 * sequence, 48 of revision. The sequence is never 0, which keeps its text free of dotted decimals.
 */
export function stampElement({ stamp, sequence }: KernelStamp): Element {
  if (!instancePattern.test(stamp.instance)) throw new RangeError('an instance is 16 hexadecimal digits');
  if (!(stamp.revision >= 0 && stamp.revision < revisionLimit)) throw new RangeError('revision out of range');
  const hex = `${stamp.instance}${pad(sequence, 4)}${pad(stamp.revision, 12)}`;
  return { set: 'stamp', key: [shapeVersion], value: [(hex.match(/.{4}/g) ?? []).join(':')] };
}

/** Reads back the 16 bytes of the element's value. */
export function readStamp(value: Buffer): KernelStamp | undefined {
  if (value.length !== 16) return undefined;
  return {
    stamp: { instance: value.toString('hex', 0, 8), revision: value.readUIntBE(10, 6) },
    sequence: value.readUInt16BE(8),
  };
}

/** The number of the transaction after the one numbered `sequence`. */
export function nextSequence(sequence: number): number {
  return (sequence % 0xffff) + 1;
}

function pad(value: number, digits: number): string {
  return value.toString(16).padStart(digits, '0');
}
