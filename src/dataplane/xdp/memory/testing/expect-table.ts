// Compares what packets see with a forwarding table.
import { expect } from 'vitest';
import type { FiveTuple } from '../../../../forwarding/hash.ts';
import { lookup } from '../../../../forwarding/lookup.ts';
import type { Entry, ForwardingTable } from '../../../../forwarding/table.ts';
import { ip } from '../../../../forwarding/testing/declare.ts';
import type { Reader } from './reader.ts';

/** Every packet goes where the table says. */
export function expectTable(reader: Reader, table: ForwardingTable, packets: readonly FiveTuple[]): void {
  for (const packet of [...packets, ...entriesOf(table).map(packetTo)]) {
    const expected = lookup(table, packet);
    const answer = reader.lookup(packet);
    if (expected?.entry.target.masquerade) expect(answer).toBe('handUp');
    else if (answer === 'handUp') expect(emptyRing(table, packet)).toBe(true);
    else expect(answer).toEqual(expected && { address: expected.address, port: expected.port });
  }
  for (const address of table.backends.keys()) expect(reader.machine(address)).toBeDefined();
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
