// Ranges of client addresses: CIDR prefixes in canonical text.
import ipaddr from 'ipaddr.js';
import { type Family, familyOf, type IpAddress, parseAddress } from './address.ts';
import type { Field } from './field.ts';
import { quoted } from './names.ts';
import type { Report } from './report.ts';

declare const brand: unique symbol;

/** `203.0.113.0/24`: the address as `IpAddress` has it, its host bits zero, and the prefix length. */
export type ClientRange = string & { readonly [brand]: 'ClientRange' };

const widths = { 4: 32, 6: 128 } as const;

/** Undefined, and reported with what to write instead, for anything that is not a prefix with host bits zero. */
export function parseClientRange(text: string, field: Field, report: Report): ClientRange | undefined {
  const fault = (remedy: string): undefined => {
    report(field, 'CLIENT_RANGE_INVALID', `client range ${quoted(text)}: ${remedy}`);
  };
  const slash = text.indexOf('/');
  const address = parseAddress(slash < 0 ? text : text.slice(0, slash));
  if (address === undefined) return fault('must be a prefix such as 203.0.113.0/24 or 2001:db8::/32');
  const width = widths[familyOf(address)];
  if (slash < 0) return fault(`has no prefix length: for this address alone write ${address}/${width}`);
  const digits = text.slice(slash + 1);
  const length = Number(digits);
  if (!/^(0|[1-9]\d{0,2})$/.test(digits) || length > width)
    return fault(`the prefix length of IPv${familyOf(address)} must be 0 to ${width}`);
  const network = networkOf(address, length);
  if (network !== address) return fault(`host bits must be zero: write ${network}/${length}`);
  return `${address}/${length}` as ClientRange;
}

export function rangeParts(range: ClientRange): { readonly address: IpAddress; readonly length: number } {
  const slash = range.indexOf('/');
  return { address: range.slice(0, slash) as IpAddress, length: Number(range.slice(slash + 1)) };
}

export function rangeFamily(range: ClientRange): Family {
  return familyOf(rangeParts(range).address);
}

/** Without those that lie within another one, sorted by text: what is allowed is the same. */
export function reducedRanges(ranges: readonly ClientRange[]): readonly ClientRange[] {
  const kept: ClientRange[] = [];
  const networks = new Networks();
  // The wider first, so that each is looked for among all that it can lie in.
  const wide = Array.from(new Set(ranges), (range) => ({ range, ...networkBits(range) }));
  for (const { range, family, bits, length } of wide.sort((a, b) => a.length - b.length)) {
    if (networks.contain(family, bits)) continue;
    kept.push(range);
    networks.add(family, bits, length);
  }
  return kept.sort();
}

/** Whether an address lies within any of `ranges`; costs as much as there are different lengths, not ranges. */
export function rangeTest(ranges: readonly ClientRange[]): (address: IpAddress) => boolean {
  const test = bitsTest(ranges);
  return (address) => test(familyOf(address), numberOf(address));
}

/** The same for the 32 or 128 bits of an address as a number. */
export function bitsTest(ranges: readonly ClientRange[]): (family: Family, bits: bigint) => boolean {
  const networks = new Networks();
  for (const range of ranges) {
    const { family, bits, length } = networkBits(range);
    networks.add(family, bits, length);
  }
  return (family, bits) => networks.contain(family, bits);
}

/** By family and length, so that a look-up takes as many steps as there are different lengths. */
class Networks {
  readonly #byLength = { 4: new Map<number, Set<bigint>>(), 6: new Map<number, Set<bigint>>() } as const;

  add(family: Family, bits: bigint, length: number): void {
    const found = this.#byLength[family].get(length) ?? new Set();
    this.#byLength[family].set(length, found.add(highBits(bits, family, length)));
  }

  contain(family: Family, bits: bigint): boolean {
    for (const [length, networks] of this.#byLength[family])
      if (networks.has(highBits(bits, family, length))) return true;
    return false;
  }
}

function networkBits(range: ClientRange): {
  readonly family: Family;
  readonly bits: bigint;
  readonly length: number;
} {
  const { address, length } = rangeParts(range);
  return { family: familyOf(address), bits: numberOf(address), length };
}

function highBits(bits: bigint, family: Family, length: number): bigint {
  return bits >> BigInt(widths[family] - length);
}

function numberOf(address: IpAddress): bigint {
  return BigInt(`0x${Buffer.from(ipaddr.parse(address).toByteArray()).toString('hex')}`);
}

function networkOf(address: IpAddress, length: number): IpAddress {
  const width = widths[familyOf(address)];
  const shift = BigInt(width - length);
  const hex = ((numberOf(address) >> shift) << shift).toString(16).padStart(width / 4, '0');
  const network = ipaddr.fromByteArray([...Buffer.from(hex, 'hex')]);
  const text = network instanceof ipaddr.IPv6 ? network.toRFC5952String() : network.toString();
  return text as IpAddress;
}
