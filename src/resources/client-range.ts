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
  const wide = [...new Set(ranges)].sort((a, b) => rangeParts(a).length - rangeParts(b).length);
  let within = rangeTest([]);
  for (const range of wide) {
    if (within(rangeParts(range).address)) continue;
    kept.push(range);
    within = rangeTest(kept);
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
  const byLength = new Map<string, Set<bigint>>();
  for (const range of ranges) {
    const { address, length } = rangeParts(range);
    const key = `${familyOf(address)}/${length}`;
    const networks = byLength.get(key) ?? new Set();
    byLength.set(key, networks.add(highBits(numberOf(address), familyOf(address), length)));
  }
  const tests = [...byLength].map(([key, networks]) => {
    const [family, length] = key.split('/').map(Number);
    return { family, length: length ?? 0, networks };
  });
  return (own, bits) =>
    tests.some(({ family, length, networks }) => family === own && networks.has(highBits(bits, own, length)));
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
