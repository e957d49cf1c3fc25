// Entries whose destination address stays, and their rings, as elements of the tables for floating addresses.
import type { BalancedTarget, Entry, Ring, RingMember } from '../../forwarding/table.ts';
import { familyOf, type IpAddress } from '../../resources/address.ts';
import { addressBytes } from '../conntrack/address.ts';
import type { Element } from './element.ts';
import { encapsulatedMark, floatingMark } from './floating-table.ts';
import { affinities, affinityNumber, hashChain } from './skeleton.ts';

/** Where the ring's number ends and the class begins in a mark. */
const ringBits = 24;

/** `key` is the endpoint's: address and protocol, and the port unless it is for every port. */
export function floatingElements(
  { endpoint }: Entry,
  target: BalancedTarget,
  key: readonly (string | number)[],
): readonly Element[] {
  const family = familyOf(endpoint.address);
  const any = endpoint.port === 0 ? '_any' : '';
  const topByte =
    (target.floating === 'ipip' ? encapsulatedMark : floatingMark) + affinityNumber[target.affinity];
  const elements: Element[] = [
    { set: `float${any}_begun${family}`, key },
    { set: `float${any}${family}`, key, value: [topByte * 2 ** ringBits + target.ring] },
  ];
  if (endpoint.port !== 0 && target.port !== 0 && target.port !== endpoint.port) {
    elements.unshift({ set: `float_port${family}`, key, value: [target.port] });
  }
  return elements;
}

/** How the flows to a ring are hashed to its slots. */
export function* floatingHashElements(ring: Ring): Generator<Element> {
  for (const affinity of affinities) {
    yield {
      set: `float_hash${ring.family}`,
      key: [affinityNumber[affinity] * 2 ** ringBits + ring.number],
      value: { jump: hashChain(affinity, ring.size, ring.family) },
    };
  }
}

/** Of a member and a protocol that may have flows. The member's number is what flows remember it by. */
export function floatingMemberElements(ring: Ring, member: RingMember, protocol: number): readonly Element[] {
  const key = [ring.number, numbersOf(ring).get(member.address) ?? 0, protocol];
  return [
    { set: `float_member${ring.family}`, key, value: [member.address] },
    { set: `float_live${ring.family}`, key },
  ];
}

export function floatingSlotElement(ring: Ring, slot: number, address: IpAddress): Element {
  const number = numbersOf(ring).get(address) ?? 0;
  return { set: `float_slot${ring.family}`, key: [ring.number, slot], value: [number] };
}

const numbers = new WeakMap<readonly RingMember[], ReadonlyMap<IpAddress, number>>();

/**
 * By address: 32 bits that stay the member's whoever else comes and goes. Of IPv4 the address itself; of IPv6 a hash of it,
 * and where two members share one, the next free number for the later of them: it alone may change when the other goes.
 */
export function numbersOf({ members }: Pick<Ring, 'members'>): ReadonlyMap<IpAddress, number> {
  const known = numbers.get(members);
  if (known !== undefined) return known;
  const taken = new Set<number>();
  const found = new Map<IpAddress, number>();
  for (const { address } of members) {
    let number = memberNumber(address);
    while (taken.has(number)) number = (number + 1) >>> 0;
    taken.add(number);
    found.set(address, number);
  }
  numbers.set(members, found);
  return found;
}

/** FNV-1a over IPv6, so that the same number comes out wherever and whenever it is computed. */
function memberNumber(address: IpAddress): number {
  const bytes = addressBytes(address);
  if (bytes.length === 4) return bytes.readUInt32BE();
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}
