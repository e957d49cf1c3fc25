// The flowtable: which packets leave the way through the rules, and that nobody sees a difference but by the counters.
import { execa } from 'execa';
import { beforeEach, describe, expect, it } from 'vitest';
import { gatewayUnderTest } from '../../../src/dataplane/nftables/testing/gateway.ts';
import { balanced, endpoint, nat, ring, table } from '../../../src/dataplane/nftables/testing/tables.ts';
import type { Entry } from '../../../src/forwarding/table.ts';
import { flowsTo, slowPackets, untilFast } from './support/flows.ts';

const front4 = '203.0.113.1';
const other4 = '203.0.113.2';
const front6 = '2001:db8:f::1';
const gateway = gatewayUnderTest(2, { flowtable: 'auto' });
const rings = [ring(7, ['10.1.0.2']), ring(8, ['fd01::2'])];

beforeEach(async () => {
  await execa('sysctl', ['-qw', 'net.netfilter.nf_conntrack_acct=1']);
});

const ways: readonly (readonly [string, Entry, string])[] = (['tcp', 'udp'] as const).flatMap(
  (transport) =>
    [
      [`${transport} NAT`, nat(endpoint(front4, transport, 501), '10.1.0.1', 8080), 'm1:8080'],
      [`${transport} NAT, IPv6`, nat(endpoint(front6, transport, 501), 'fd01::1', 8080), 'm1:8080'],
      [
        `${transport} NAT, masqueraded`,
        nat(endpoint(front4, transport, 502), '10.1.0.1', 8080, true),
        'm1:8080',
      ],
      [
        `${transport} NAT, masqueraded, IPv6`,
        nat(endpoint(front6, transport, 502), 'fd01::1', 8080, true),
        'm1:8080',
      ],
      [`${transport} NAT on every port`, nat(endpoint(other4, transport, 0), '10.1.0.2', 0), 'm2:9090'],
      [`${transport} balanced`, balanced(endpoint(front4, transport, 80), 7, 8080), 'm2:8080'],
      [`${transport} balanced, IPv6`, balanced(endpoint(front6, transport, 80), 8, 8080), 'm2:8080'],
    ] as const,
);

describe('packets of an established flow', () => {
  it.each(ways)('leave the way through the rules: %s', async (_, entry, name) => {
    const { lab, plane, stamp } = gateway;
    await plane.load(table([entry], rings), stamp());
    const at = { ...entry.endpoint, port: entry.endpoint.port || 9090 };
    await lab.client.connect('flow', at.transport, at.address, at.port);
    await untilFast(gateway, { at, key: 'flow' });
    const slow = await slowPackets(gateway, entry);
    const tracked = (await flowsTo(at))[0]?.packets ?? 0;

    for (let times = 0; times < 20; times += 1) expect((await lab.client.ask('flow')).name).toBe(name);

    expect(await slowPackets(gateway, entry)).toBe(slow);
    const [flow] = await flowsTo(at);
    expect(flow?.fast).toBe(true);
    expect(flow?.packets).toBeGreaterThanOrEqual(tracked + 40);
    expect((await plane.counters([entry])).get(entry)?.flows).toBe(1);
    const { notes } = await plane.report();
    expect(notes).toEqual([
      'established flows take the flowtable fast path on machines, toclient; ' +
        'counters of packets and bytes leave it out',
    ]);
    await lab.client.close('flow');
  });

  it('are the machine’s own too, when it knocks at its frontend', async () => {
    const { lab, plane, stamp } = gateway;
    const entry = nat(endpoint(front4, 'tcp', 501), '10.1.0.1', 8080);
    await plane.load(table([entry]), stamp());
    const [machine] = lab.machines;
    await machine?.connect('own', 'tcp', front4, 501);
    await expect
      .poll(async () => {
        await plane.verify();
        await machine?.ask('own');
        return (await flowsTo(entry.endpoint)).some(({ fast }) => fast);
      })
      .toBe(true);
    for (let times = 0; times < 5; times += 1) expect((await machine?.ask('own'))?.name).toBe('m1:8080');
    await machine?.close('own');
  });

  it('leave with a hop less to live', async () => {
    const { lab, plane, stamp } = gateway;
    const entry = nat(endpoint(front4, 'udp', 501), '10.1.0.1', 8080);
    const entry6 = nat(endpoint(front6, 'udp', 501), 'fd01::1', 8080);
    await plane.load(table([entry, entry6]), stamp());
    // What leaves for the machines, behind all that the flowtable does.
    await execa('nft', ['-f', '-'], {
      input: `table netdev seen {
        chain sent {
          type filter hook egress device machines priority 0
          udp dport 8080 ip ttl 64 counter comment "as sent"
          udp dport 8080 ip6 hoplimit 64 counter comment "as sent"
          udp dport 8080 ip ttl 63 counter comment "less"
          udp dport 8080 ip6 hoplimit 63 counter comment "less"
        }
      }`,
    });
    try {
      for (const { endpoint: at } of [entry, entry6]) {
        await lab.client.connect('flow', at.transport, at.address, at.port);
        await untilFast(gateway, { at, key: 'flow' });
        for (let times = 0; times < 5; times += 1) await lab.client.ask('flow');
        await lab.client.close('flow');
      }
      const { stdout } = await execa('nft', ['list', 'table', 'netdev', 'seen']);
      const counted = [...stdout.matchAll(/counter packets (\d+) bytes \d+ comment "(.*)"/g)];
      expect(counted.filter(([, , what]) => what === 'as sent').map(([, packets]) => packets)).toEqual([
        '0',
        '0',
      ]);
      for (const [, packets] of counted.filter(([, , what]) => what === 'less')) {
        expect(Number(packets)).toBeGreaterThanOrEqual(5);
      }
    } finally {
      await execa('nft', ['delete', 'table', 'netdev', 'seen']);
    }
  });

  it('arrive whole when they come in fragments', async () => {
    const { lab, plane, stamp } = gateway;
    const entries = [
      nat(endpoint(front4, 'udp', 501), '10.1.0.1', 8080),
      nat(endpoint(front6, 'udp', 501), 'fd01::1', 8080),
    ];
    await plane.load(table(entries), stamp());
    for (const entry of entries) {
      await lab.client.connect('flow', 'udp', entry.endpoint.address, 501);
      await untilFast(gateway, { at: entry.endpoint, key: 'flow' });
      for (let times = 0; times < 3; times += 1) {
        expect(await lab.client.ask('flow', 3000)).toMatchObject({ name: 'm1:8080', length: 3000 });
        expect((await lab.client.ask('flow')).name).toBe('m1:8080');
      }
      await lab.client.close('flow');
    }
  });

  it('that are too large for the way out go the way through the rules, and their sender is told', async () => {
    const { lab, plane, stamp } = gateway;
    const entries = [
      nat(endpoint(front4, 'udp', 501), '10.2.0.1', 8080),
      nat(endpoint(front6, 'udp', 501), 'fd02::1', 8080),
    ];
    await execa('ip', ['route', 'change', '10.2.0.0/24', 'via', '10.1.0.200', 'mtu', 'lock', '1300']);
    await execa('ip', ['-6', 'route', 'change', 'fd02::/64', 'via', 'fd01::c8', 'mtu', 'lock', '1300']);
    await lab.far.listen('udp', '10.2.0.1', 8080);
    await lab.far.listen('udp', 'fd02::1', 8080);
    await plane.load(table(entries), stamp());
    await lab.client.watch(4);
    await lab.client.watch(6);
    for (const [entry, error] of [
      [entries[0], [front4, 3, 4, front4]],
      [entries[1], [front6, 2, 0, front6]],
    ] as const) {
      if (entry === undefined) throw new Error('unreachable');
      await lab.client.connect('flow', 'udp', entry.endpoint.address, 501);
      await untilFast(gateway, { at: entry.endpoint, key: 'flow' });
      await lab.client.ask('flow', 1350).catch(() => {});
      expect(await lab.client.noted()).toEqual([error]);
      // Now that the client knows, it sends fragments. The answer is as long, and passes the narrow hop in one piece.
      await expect
        .poll(() => lab.client.ask('flow', 1350).catch(String), { timeout: 60_000 })
        .toMatchObject({ length: 1350 });
      expect((await flowsTo(entry.endpoint))[0]?.fast).toBe(true);
      await lab.client.close('flow');
    }
  });
});

describe('a connection', () => {
  it('that is closed leaves the fast path, and is over', async () => {
    const { lab, plane, stamp } = gateway;
    const entries = [
      nat(endpoint(front4, 'tcp', 501), '10.1.0.1', 8080),
      nat(endpoint(front6, 'tcp', 501), 'fd01::1', 8080),
    ];
    await plane.load(table(entries), stamp());
    for (const { endpoint: at } of entries) {
      await lab.client.connect('flow', 'tcp', at.address, 501);
      await untilFast(gateway, { at, key: 'flow' });
      await lab.client.close('flow');
      await expect.poll(async () => (await flowsTo(at))[0]?.state).toBe('TIME_WAIT');
      await lab.client.connect('flow', 'tcp', at.address, 501);
      await expect
        .poll(async () => {
          await lab.client.ask('flow');
          return (await flowsTo(at)).filter(({ fast }) => fast).length;
        })
        .toBe(1);
      await lab.client.abort('flow');
      // What conntrack makes of the reset is its own affair: it has not seen the numbers before.
      await expect.poll(async () => (await flowsTo(at)).filter(({ fast }) => fast)).toEqual([]);
    }
  });
});
