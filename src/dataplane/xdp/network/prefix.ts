// Prefixes of 128 bits, as the program compares them: IPv4 within ::ffff:0:0/96.
import type { IpAddress } from '../../../resources/address.ts';

const width = 128;
const allBits = (1n << BigInt(width)) - 1n;

export interface Prefix {
  /** The address; the bits behind `length` are 0. */
  readonly bits: bigint;
  /** 0 to 128. */
  readonly length: number;
}

/** One line of the list which the program reads. */
export type HopRoute = Prefix &
  (
    | { /** Neighbours on the link, or anything else that only the FIB can tell. */ readonly kind: 'ask' }
    | {
        readonly kind: 'gateway';
        readonly gateway: IpAddress /** Index of the interface. */;
        readonly link: number;
      }
  );

export function prefixOf(address: bigint, length: number): Prefix {
  return { bits: address & maskOf(length), length };
}

export function maskOf(length: number): bigint {
  return (allBits << BigInt(width - length)) & allBits;
}

export function contains(outer: Prefix, inner: Prefix): boolean {
  return outer.length <= inner.length && (inner.bits & maskOf(outer.length)) === outer.bits;
}

/** An IPv4 address or a prefix of such. */
export function isFour({ bits, length }: Prefix): boolean {
  return length >= 96 && bits >> 32n === 0xffffn;
}

export function overlap(a: Prefix, b: Prefix): boolean {
  return contains(a, b) || contains(b, a);
}

/** The longest prefix that holds both. */
export function common(a: Prefix, b: Prefix): Prefix {
  const different = (a.bits ^ b.bits).toString(2);
  const equal = different === '0' ? width : width - different.length;
  return prefixOf(a.bits, Math.min(a.length, b.length, equal));
}
