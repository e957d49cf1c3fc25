// Where a new flow goes, in plain words: the reference that every data plane is tested against.
import type { IpAddress, Port } from '../resources/address.ts';
import { type FiveTuple, slotOf } from './hash.ts';
import { type Entry, endpointKey, type ForwardingTable, type Ring } from './table.ts';

/** Who gets a flow. */
export interface Destination {
  readonly entry: Entry;
  readonly address: IpAddress;
  readonly port: Port;
}

/**
 * Where a table sends a new flow. Absent where no entry claims it, or its ring has no eligible member. An entry for the very
 * port wins over one for all ports.
 */
export function lookup(table: ForwardingTable, packet: FiveTuple): Destination | undefined {
  const loadBalancers = [...table.loadBalancers.values()];
  const rules = loadBalancers.flatMap((loadBalancer) => [...loadBalancer.rules.values()]);
  const rings = loadBalancers.flatMap((loadBalancer) => [...loadBalancer.rings.values()]);
  return resolve(
    packet,
    (key) => rules.find(({ entries }) => entries.has(key))?.entries.get(key),
    (number) => rings.find((ring) => ring.number === number),
  );
}

/** The same for entries by `endpointKey` and rings by number, wherever they are kept. */
export function resolve(
  packet: FiveTuple,
  entryAt: (key: string) => Entry | undefined,
  ringOf: (number: number) => Ring | undefined,
): Destination | undefined {
  const { destinationAddress: address, transport, destinationPort } = packet;
  const entry =
    entryAt(endpointKey({ address, transport, port: destinationPort })) ??
    entryAt(endpointKey({ address, transport, port: 0 }));
  if (entry === undefined) return undefined;
  const port = entry.target.port === 0 ? destinationPort : entry.target.port;
  if (entry.target.kind === 'nat') return { entry, address: entry.target.address, port };
  const ring = ringOf(entry.target.ring);
  const owner = ring?.slots[slotOf(ring.size, entry.target.affinity, packet)];
  const member = owner === undefined ? undefined : ring?.members[owner];
  return member && { entry, address: member.address, port };
}
