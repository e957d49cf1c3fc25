// Neighbour entries (ARP and IPv6 neighbour discovery) in rtnetlink messages. Layout: include/uapi/linux/neighbour.h.
import { familyOf, type IpAddress } from '../../../resources/address.ts';
import { addressBytes } from '../../conntrack/address.ts';
import { AF_INET, AF_INET6 } from '../../conntrack/tuple.ts';
import { attribute, attributes, nativeU32, readU16, readU32 } from '../../netlink/netlink.ts';
import { addressOf } from './bytes.ts';
import type { Neighbour, NeighbourState } from './model.ts';

const headerLength = 12;
const destination = 1;
/** NTF_USE: do as if a packet were sent there, which resolves the address or proves it again. */
const use = 1;
const states: readonly (readonly [bit: number, state: NeighbourState])[] = [
  [0x80, 'fixed'],
  [0x40, 'fixed'],
  [0x02, 'reachable'],
  [0x10, 'probe'],
  [0x08, 'delay'],
  [0x04, 'stale'],
  [0x01, 'incomplete'],
  [0x20, 'failed'],
];

/** The header of a request for all neighbours of both families. */
export function neighbourQuery(): Buffer {
  return Buffer.alloc(headerLength);
}

/** The parts of a request about one neighbour: to read it, or with `asUsed` to resolve it. */
export function neighbourRequest(link: number, address: IpAddress, asUsed: boolean): readonly Buffer[] {
  const header = Buffer.alloc(headerLength);
  header[0] = familyOf(address) === 4 ? AF_INET : AF_INET6;
  nativeU32(link).copy(header, 4);
  header[10] = asUsed ? use : 0;
  return [header, attribute(destination, addressBytes(address))];
}

/** The body of RTM_NEWNEIGH; undefined for a bridge's forwarding entries. */
export function parseNeighbour(body: Buffer): Neighbour | undefined {
  if (body.length < headerLength || (body[0] !== AF_INET && body[0] !== AF_INET6)) return undefined;
  const address = addressOf(attributes(body.subarray(headerLength)).get(destination));
  if (address === undefined) return undefined;
  const bits = readU16(body, 8);
  const state = states.find(([bit]) => (bits & bit) !== 0)?.[1] ?? 'none';
  return { link: readU32(body, 4), address, state };
}
