// Packets that are not plain: fragments, ICMP, clients that use one port twice, and what comes by a bridge.
import { execa } from 'execa';
import { describe, expect, it } from 'vitest';
import { gatewayUnderTest } from './testing/gateway.ts';
import { balanced, endpoint, nat, ring, table, unchanged } from './testing/tables.ts';

const front4 = '203.0.113.1';
const other4 = '203.0.113.2';
const front6 = '2001:db8:f::1';
const gateway = gatewayUnderTest(2);

describe('fragments', () => {
  it('arrive whole, both ways, through every kind of rule', async () => {
    const { lab, plane, stamp } = gateway;
    const entries = [
      nat(endpoint(front4, 'udp', 501), '10.1.0.1', 8080),
      nat(endpoint(front6, 'udp', 501), 'fd01::1', 8080),
      nat(endpoint(front4, 'udp', 502), '10.1.0.1', 8080, true),
      nat(endpoint(other4, 'udp', 0), '10.1.0.2', 0),
      balanced(endpoint(front4, 'udp', 80), 7, 8080),
      balanced(endpoint(front6, 'udp', 80), 8, 8080),
    ];
    await plane.load(table(entries, [ring(7, ['10.1.0.2']), ring(8, ['fd01::2'])]), stamp());
    for (const [to, port, name] of [
      [front4, 501, 'm1:8080'],
      [front6, 501, 'm1:8080'],
      [front4, 502, 'm1:8080'],
      [other4, 9090, 'm2:9090'],
      [front4, 80, 'm2:8080'],
      [front6, 80, 'm2:8080'],
    ] as const) {
      await lab.client.connect('big', 'udp', to, port);
      for (let times = 0; times < 3; times += 1) {
        expect(await lab.client.ask('big', 3000)).toMatchObject({ name, length: 3000 });
      }
      await lab.client.close('big');
    }
  });
});

describe('ICMP', () => {
  it('tells both ends of a narrower path as if there were no translation', async () => {
    const { lab, plane, stamp } = gateway;
    const size = 300_000;
    for (const [far, near] of [
      ['10.2.0.1', '10.1.0.1'],
      ['fd02::1', 'fd01::1'],
    ] as const) {
      await lab.far.offer(far, 5000);
      await lab.machines[0]?.offer(near, 5000);
    }
    const entries = [
      nat(endpoint(front4, 'tcp', 501), '10.2.0.1', 5000),
      nat(endpoint(front6, 'tcp', 501), 'fd02::1', 5000),
      balanced(endpoint(front4, 'tcp', 502), 7, 5000),
      balanced(endpoint(front6, 'tcp', 502), 8, 5000),
    ];
    const rings = [ring(7, ['10.2.0.1']), ring(8, ['fd02::1'])];
    await plane.load(table(entries, rings), stamp());
    await lab.client.watch(4);
    await lab.client.watch(6);
    const expected = [
      [front4, 3, 4],
      [front6, 2, 0],
    ] as const;
    for (const [front, type, code] of expected) {
      for (const port of [501, 502]) {
        await lab.client.forgetPaths();
        await lab.client.transfer(front, port, size, 1000);
        const errors = new Set((await lab.client.noted()).map((error) => error.join(' ')));
        expect([...errors]).toEqual([`${front} ${type} ${code} ${front}`]);
      }
    }
    // From a machine to a client behind the hop: the error is addressed to the frontend and belongs to the machine.
    const back = [
      nat(endpoint(front4, 'tcp', 503), '10.1.0.1', 5000),
      nat(endpoint(front6, 'tcp', 503), 'fd01::1', 5000),
    ];
    await plane.load(table(back), stamp());
    for (const [front, type, code] of expected) {
      await lab.machines[0]?.watch(front === front4 ? 4 : 6);
      await lab.far.transfer(front, 503, 1000, size);
      const [from, about] = front === front4 ? ['10.1.0.200', '10.2.0.1'] : ['fd01::c8', 'fd02::1'];
      const errors = new Set(((await lab.machines[0]?.noted()) ?? []).map((error) => error.join(' ')));
      expect([...errors]).toEqual([`${from} ${type} ${code} ${about}`]);
    }
  });

  it('reaches the gateway itself at a frontend address, whatever is forwarded', async () => {
    const { lab, plane, stamp } = gateway;
    const entries = (['tcp', 'udp'] as const).flatMap((transport) => [
      nat(endpoint(front4, transport, 501), '10.1.0.1', 8080),
      nat(endpoint(other4, transport, 0), '10.1.0.1', 0),
      balanced(endpoint(front6, transport, 0), 8, 0),
    ]);
    await plane.load(table(entries, [ring(8, ['fd01::1'])]), stamp());
    for (const to of [front4, other4, front6]) {
      expect(await lab.client.ping(to)).toBe(true);
      expect(await lab.machines[0]?.ping(to)).toBe(true);
    }
    for (const to of ['10.1.0.1', 'fd01::1', 'fd02::1']) expect(await lab.client.ping(to)).toBe(true);
  });
});

describe('a client port that is used twice', () => {
  it.each([
    ['plain', false],
    ['masqueraded', true],
  ])('leads each flow to where its frontend says, %s', async (_, masquerade) => {
    const { lab, plane, stamp } = gateway;
    const entries = (['tcp', 'udp'] as const).flatMap((transport) => [
      nat(endpoint(front4, transport, 501), '10.1.0.1', 8080, masquerade),
      nat(endpoint(other4, transport, 502), '10.1.0.1', 8080, masquerade),
      nat(endpoint(other4, transport, 0), '10.1.0.1', 0, masquerade),
      balanced(endpoint(front4, transport, 80), 7, 8080, 'five-tuple', masquerade),
    ]);
    await plane.load(table(entries, [ring(7, ['10.1.0.1'])]), stamp());
    const doors = [
      [front4, 501],
      [other4, 502],
      [other4, 8080],
      [front4, 80],
    ] as const;
    for (const transport of ['tcp', 'udp'] as const) {
      const peers = new Set<string>();
      for (const [to, port] of doors) {
        await lab.client.connect(`${to}/${port}`, transport, to, port, 44_000);
        peers.add((await lab.client.ask(`${to}/${port}`)).peer);
      }
      expect(peers.size).toBe(doors.length);
      for (const [to, port] of doors) {
        for (let times = 0; times < 3; times += 1) {
          expect((await lab.client.ask(`${to}/${port}`)).name).toBe('m1:8080');
        }
      }
      const counted = entries.filter(({ endpoint: at }) => at.transport === transport);
      const counters = await plane.counters(counted);
      for (const entry of counted) {
        expect(counters.get(entry)?.flows).toBe(1);
        if (transport === 'udp') expect(counters.get(entry)?.packets).toBe(8);
      }
      // Those that were re-ported are cut by their own rule, and by no other.
      const [gone] = counted;
      if (gone === undefined || gone.target.kind !== 'nat') throw new Error('no entry');
      await plane.commit(
        {
          ...unchanged,
          removed: [gone],
          ending: [{ kind: 'nat', endpoint: gone.endpoint, backend: gone.target.address }],
        },
        stamp(),
      );
      await expect(lab.client.ask(`${front4}/501`)).rejects.toThrow();
      for (const [to, port] of doors.slice(1)) {
        expect((await lab.client.ask(`${to}/${port}`)).name).toBe('m1:8080');
      }
      for (const [to, port] of doors) await lab.client.close(`${to}/${port}`);
    }
  });

  it('may come again while the flow before lingers, also from a machine to its own frontends', async () => {
    const { lab, plane, stamp } = gateway;
    const [m1] = lab.machines;
    if (m1 === undefined) throw new Error('no machine');
    await plane.load(
      table([
        nat(endpoint(front4, 'tcp', 501), '10.1.0.1', 8080),
        nat(endpoint(other4, 'tcp', 502), '10.1.0.1', 8080),
        nat(endpoint(front6, 'tcp', 501), 'fd01::1', 8080),
        nat(endpoint(front6, 'tcp', 502), 'fd01::1', 8080),
      ]),
      stamp(),
    );
    for (const host of [lab.client, m1]) {
      for (const [first, second] of [
        [front4, other4],
        [front6, front6],
      ] as const) {
        for (let times = 0; times < 3; times += 1) {
          await host.connect('a', 'tcp', first, 501, 45_000);
          expect((await host.ask('a')).name).toBe('m1:8080');
          await host.connect('b', 'tcp', second, 502, 45_000);
          expect((await host.ask('b')).name).toBe('m1:8080');
          expect((await host.ask('a')).name).toBe('m1:8080');
          await host.abort('a');
          await host.abort('b');
        }
      }
    }
  });
});

describe('a bridge that shows its packets to netfilter', () => {
  it('does not disturb what machines on it ask of their own frontends', async () => {
    const { plane, stamp, knock, lab } = gateway;
    const calls = ['net.bridge.bridge-nf-call-iptables', 'net.bridge.bridge-nf-call-ip6tables'];
    // A module on most kernels, and part of others.
    await execa('sh', ['-c', 'modprobe br_netfilter 2>/dev/null || true']);
    await execa('sysctl', ['-qw', ...calls.map((name) => `${name}=1`)]);
    // Such a bridge takes translated packets to their machine by itself, but only so to where they came from.
    for (const port of ['tom1', 'tom2']) await execa('bridge', ['link', 'set', 'dev', port, 'hairpin', 'on']);
    try {
      const entries = (['tcp', 'udp'] as const).flatMap((transport) => [
        nat(endpoint(front4, transport, 501), '10.1.0.2', 8080),
        nat(endpoint(front6, transport, 501), 'fd01::2', 8080),
        balanced(endpoint(front4, transport, 80), 7, 8080),
      ]);
      await plane.load(table(entries, [ring(7, ['10.1.0.1', '10.1.0.2'])]), stamp());
      for (const host of [lab.client, ...lab.machines, lab.gateway]) {
        for (const transport of ['tcp', 'udp'] as const) {
          expect(await knock(transport, front4, 501, host)).toBe('m2:8080');
          expect(await knock(transport, front6, 501, host)).toBe('m2:8080');
          expect(await knock(transport, front4, 80, host)).toMatch(/^m[12]:8080$/);
        }
      }
    } finally {
      await execa('sysctl', ['-qw', ...calls.map((name) => `${name}=0`)]);
    }
  });
});
