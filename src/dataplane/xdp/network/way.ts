// Through whom the kernel sends packets to an address: itself, where it is on a link, or a gateway.
import { familyOf, type IpAddress } from '../../../resources/address.ts';
import { flags, requestOf } from '../../netlink/netlink.ts';
import type { NetlinkSocket } from '../../netlink/socket.ts';
import { ask } from './read.ts';
import { parseWay, wayQuery } from './route.ts';

/** Somebody on a link. */
export interface Hop {
  readonly link: number;
  readonly address: IpAddress;
}

const newRoute = 24;

/**
 * Asks for each address; null for those that are the host's own or have no route. One exchange, about 10 µs for each
 * address, in which the event loop waits.
 */
export function waysTo(socket: NetlinkSocket, addresses: readonly IpAddress[]): readonly (Hop | null)[] {
  if (addresses.length === 0) return [];
  const numbers = addresses.map(() => socket.nextSequence());
  // Answers and refusals come without being asked for; the acknowledgement of the last one ends it.
  const requests = addresses.map((address, i) =>
    requestOf(ask.routes, i === addresses.length - 1 ? flags.ack : 0, numbers[i] ?? 0, ...wayQuery(address)),
  );
  const found = new Map<number, Hop>();
  const asked = new Map(numbers.map((number, i) => [number, addresses[i]]));
  socket.exchange(Buffer.concat(requests), numbers.at(-1) ?? 0, ({ type, sequence, body }) => {
    const address = asked.get(sequence);
    if (type !== newRoute || address === undefined) return;
    const way = parseWay(body);
    if (way?.type !== 'unicast' || way.link === undefined) return;
    const hop = way.gateway ?? address;
    if (familyOf(hop) === familyOf(address)) found.set(sequence, { link: way.link, address: hop });
  });
  return numbers.map((number) => found.get(number) ?? null);
}
