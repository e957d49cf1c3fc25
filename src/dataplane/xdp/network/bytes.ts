// Addresses between text, netlink's bytes, and the 16 bytes of bpf/abi.h.
import ipaddr from 'ipaddr.js';
import { type Family, familyOf, type IpAddress } from '../../../resources/address.ts';
import { addressBytes } from '../../conntrack/address.ts';
import { type Attributes, readU32 } from '../../netlink/netlink.ts';

/** ::ffff:0:0/96, RFC 4291, 2.5.5.2. */
const mappedPrefix = Buffer.from('00000000000000000000ffff', 'hex');

/** How many bits an IPv4 prefix gains when it is written as an IPv6 one. */
export const mappedBits = 96;

export const unspecified: Readonly<Record<Family, IpAddress>> = {
  4: '0.0.0.0' as IpAddress,
  6: '::' as IpAddress,
};

/** An address of 4 or 16 bytes; undefined for any other length. */
export function addressOf(bytes: Buffer | undefined): IpAddress | undefined {
  if (bytes?.length === 4) return bytes.join('.') as IpAddress;
  if (bytes?.length !== 16) return undefined;
  const address = ipaddr.fromByteArray([...bytes]);
  return (address instanceof ipaddr.IPv6 ? address.toRFC5952String() : address.toString()) as IpAddress;
}

/** 16 bytes in network order, IPv4 as ::ffff:a.b.c.d. */
export function mappedBytes(address: IpAddress): Buffer {
  const bytes = addressBytes(address);
  return familyOf(address) === 4 ? Buffer.concat([mappedPrefix, bytes]) : bytes;
}

export function mappedNumber(address: IpAddress): bigint {
  return BigInt(`0x${mappedBytes(address).toString('hex')}`);
}

export function bytesOfNumber(value: bigint): Buffer {
  return Buffer.from(value.toString(16).padStart(32, '0'), 'hex');
}

/** A 32-bit attribute in the machine's byte order. */
export function numberIn(attributes: Attributes, type: number): number | undefined {
  const bytes = attributes.get(type);
  return bytes === undefined || bytes.length < 4 ? undefined : readU32(bytes, 0);
}

/** A name, without the zero byte that closes it. */
export function textIn(attributes: Attributes, type: number): string | undefined {
  const bytes = attributes.get(type);
  if (bytes === undefined) return undefined;
  const end = bytes.indexOf(0);
  return bytes.toString('latin1', 0, end === -1 ? bytes.length : end);
}
