// What is counted for rules and members: packets and bytes of both directions, and new flows.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { bytes, type End, type Packet, tcp, udp } from './frame/packet.ts';
import { from } from './rows/row.ts';
import { Gateway } from './world/gateway.ts';
import { balanced, balanced6, chosen, doors, front, twin } from './world/rules.ts';

const client: End = ['198.51.100.10', 40000];
const machine: End = ['10.1.0.1', 8080];
const door: End = [front, doors.machine];

let gateway: Gateway;
beforeAll(async () => {
  gateway = await Gateway.open();
});
afterAll(() => {
  gateway?.close();
});
beforeEach(async () => {
  await gateway.reset(false);
});

function send(...packets: readonly Packet[]): void {
  for (const packet of packets) gateway.send(from(packet));
}

/** What packets add to the figures of an endpoint. */
function added(transport: 'tcp' | 'udp', [address, port]: End, packets: readonly Packet[]) {
  const before = gateway.counters(transport, address, port);
  send(...packets);
  const after = gateway.counters(transport, address, port);
  return {
    packets: after.packets - before.packets,
    bytes: after.bytes - before.bytes,
    flows: after.flows - before.flows,
  };
}

describe('of a mapping', () => {
  it('both directions, by the length of the IP packet', () => {
    const packets = [
      tcp(client, door, { flags: 'S', payload: [] }),
      tcp(machine, client, { flags: 'SA', payload: [] }),
      tcp(client, door, { payload: bytes(1000) }),
      tcp(machine, client, { payload: bytes(100), trailer: bytes(6) }),
    ];
    expect(added('tcp', door, packets)).toEqual({ packets: 4, bytes: 40 + 40 + 1040 + 140, flows: 1 });
  });

  it('without Ethernet and VLAN tags', () => {
    const packets = [tcp(['198.51.110.10', 1], door, { flags: 'S', payload: [] })];
    expect(added('tcp', door, packets)).toEqual({ packets: 1, bytes: 40, flows: 1 });
  });

  it('a UDP flow once', () => {
    const packets = [udp(client, door), udp(machine, client), udp(client, door), udp(client, door)];
    expect(added('udp', door, packets)).toEqual({ packets: 4, bytes: 4 * 52, flows: 1 });
  });

  it('a UDP flow again after a long silence', () => {
    send(udp(client, door));
    gateway.wait(200);
    expect(added('udp', door, [udp(client, door)])).toMatchObject({ packets: 1, flows: 1 });
  });

  it('marked packets, which the kernel routes', () => {
    const silent: End = [front, doors.silent];
    expect(added('tcp', silent, [tcp(client, silent, { payload: [] })])).toEqual({
      packets: 1,
      bytes: 40,
      flows: 0,
    });
  });

  it('nothing that is handed up', () => {
    const packets = [
      tcp(client, door, { ttl: 1 }),
      tcp(['10.1.0.1', 5], door, { flags: 'S' }),
      tcp(machine, ['10.1.0.2', 9]),
      udp(client, door, { slice: { from: 0, to: 8 } }),
    ];
    expect(added('tcp', door, packets)).toEqual({ packets: 0, bytes: 0, flows: 0 });
    expect(added('udp', door, [])).toMatchObject({ packets: 0 });
  });

  it('of each of two that lead to one port', () => {
    const [one, two]: readonly End[] = [
      [twin, 701],
      [twin, 702],
    ];
    if (one === undefined || two === undefined) throw new Error('there are two');
    const shared: End = ['10.1.0.6', 8080];
    const first = [
      tcp(client, one, { flags: 'S', payload: [] }),
      tcp(shared, client, { flags: 'SA', payload: [] }),
    ];
    const second = [tcp(['198.51.100.11', 4], two, { flags: 'S', payload: [] })];
    expect(added('tcp', one, [...first, ...second])).toEqual({ packets: 2, bytes: 80, flows: 1 });
    expect(added('tcp', two, second)).toMatchObject({ packets: 1, flows: 0 });
  });
});

describe('of a balanced rule', () => {
  it('and of its member', () => {
    const to: End = [balanced, 80];
    const member = chosen(gateway.table, 'tcp', client, to);
    const packets = [
      tcp(client, to, { flags: 'S', payload: [] }),
      tcp(client, to, { flags: 'S', payload: [] }),
      tcp(member, client, { flags: 'SA', payload: [] }),
      tcp(client, to, { payload: bytes(60) }),
    ];
    const before = gateway.memberCounters(to[0], member[0]);
    expect(added('tcp', to, packets)).toEqual({ packets: 4, bytes: 220, flows: 1 });
    const after = gateway.memberCounters(to[0], member[0]);
    expect([after.packets - before.packets, after.bytes - before.bytes, after.flows - before.flows]).toEqual([
      4, 220, 1,
    ]);
  });

  it('over IPv6, by UDP', () => {
    const to: End = [balanced6, 80];
    const visitor: End = ['2001:db8:1::a', 40000];
    const member = chosen(gateway.table, 'udp', visitor, to);
    const packets = [udp(visitor, to, { payload: [] }), udp(member, visitor, { payload: [] })];
    expect(added('udp', to, packets)).toEqual({ packets: 2, bytes: 96, flows: 1 });
  });

  it('and of its member: every fragment of an answer', () => {
    const to: End = [balanced, 80];
    const member = chosen(gateway.table, 'udp', client, to);
    const answer = { payload: bytes(1592) };
    const packets = [
      udp(client, to, { payload: [] }),
      udp(member, client, { ...answer, slice: { from: 0, to: 1200 } }),
      udp(member, client, { ...answer, slice: { from: 1200, to: 1600 } }),
    ];
    const before = gateway.memberCounters(to[0], member[0]);
    expect(added('udp', to, packets)).toEqual({ packets: 3, bytes: 28 + 1220 + 420, flows: 1 });
    const after = gateway.memberCounters(to[0], member[0]);
    expect(after.packets - before.packets).toBe(3);
  });

  it('nothing for flows that nobody knows', () => {
    expect(added('tcp', [balanced, 80], [tcp(client, [balanced, 80])])).toEqual({
      packets: 0,
      bytes: 0,
      flows: 0,
    });
  });
});
