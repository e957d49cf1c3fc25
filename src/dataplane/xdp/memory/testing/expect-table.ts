// Compares what packets see with a forwarding table.
import { expect } from 'vitest';
import type { FiveTuple } from '../../../../forwarding/hash.ts';
import { lookup } from '../../../../forwarding/lookup.ts';
import type { Entry, ForwardingTable } from '../../../../forwarding/table.ts';
import { ip } from '../../../../forwarding/testing/declare.ts';
import type { IpAddress, Transport } from '../../../../resources/address.ts';
import { handedUpAs } from '../handed-up.ts';
import type { Reader } from './reader.ts';

/** Every packet goes where the table says, and where answers do not tell whose they are, flows are tracked. */
export function expectTable(reader: Reader, table: ForwardingTable, packets: readonly FiveTuple[]): void {
  for (const packet of [...packets, ...entriesOf(table).map(packetTo)]) {
    const expected = lookup(table, packet);
    const answer = reader.lookup(packet);
    if (expected !== undefined && isHandedUp(expected.entry)) expect(answer).toBe('handUp');
    else if (answer === 'handUp') expect(emptyRing(table, packet)).toBe(true);
    else expect(answer).toEqual(expected && { address: expected.address, port: expected.port });
  }
  for (const address of table.backends.keys()) expect(reader.machine(address)).toBeDefined();
  const doors = entriesOf(table).flatMap((entry) => doorsOf(table, entry));
  for (const door of doors) {
    if (door.entry.target.kind !== 'nat') continue;
    const { address, transport, port } = door.entry.endpoint;
    const others = doors.filter((other) => other.entry !== door.entry && overlap(door, other));
    const seen = reader.frontend(address, transport, port);
    if (others.length > 0) expect(seen?.target.kind).toBe('tracked');
    const owners = doors.filter(
      (other) => other.machine === door.machine && other.transport === transport && other.port === door.port,
    );
    if (owners.length === 1)
      expect(reader.back(door.machine, transport, door.port)?.index ?? seen?.place).toBe(seen?.place);
  }
}

function isHandedUp({ endpoint, target }: Entry): boolean {
  return handedUpAs(target, endpoint.transport) !== undefined;
}

/** Where the answers of an entry's flows come from; port 0: from every port. */
interface Door {
  readonly entry: Entry;
  readonly machine: IpAddress;
  readonly transport: Transport;
  readonly port: number;
}

function doorsOf(table: ForwardingTable, entry: Entry): readonly Door[] {
  const { endpoint, target } = entry;
  if (isHandedUp(entry)) return [];
  const door = {
    entry,
    transport: endpoint.transport,
    port: target.port === 0 ? endpoint.port : target.port,
  };
  if (target.kind === 'nat') return [{ ...door, machine: target.address }];
  const rings = [...table.loadBalancers.values()].flatMap((each) => [...each.rings.values()]);
  const members = rings.find(({ number }) => number === target.ring)?.members ?? [];
  return members.map(({ address }) => ({ ...door, machine: address }));
}

function overlap(a: Door, b: Door): boolean {
  const samePort = a.port === b.port || a.port === 0 || b.port === 0;
  return a.machine === b.machine && a.transport === b.transport && samePort;
}

export function entriesOf(table: ForwardingTable): readonly Entry[] {
  return [...table.loadBalancers.values()].flatMap(({ rules }) =>
    [...rules.values()].flatMap(({ entries }) => [...entries.values()]),
  );
}

function packetTo({ endpoint }: Entry): FiveTuple {
  return {
    sourceAddress: ip(endpoint.address.includes(':') ? '2001:db8::1' : '198.51.100.7'),
    sourcePort: 4711,
    destinationAddress: endpoint.address,
    destinationPort: endpoint.port === 0 ? 4712 : endpoint.port,
    transport: endpoint.transport,
  };
}

/** The reference has no answer where nobody gets new flows; what is handed up is nftables' to drop. */
function emptyRing(table: ForwardingTable, packet: FiveTuple): boolean {
  return lookup(table, packet) === undefined;
}
