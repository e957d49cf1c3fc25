// Idle timeouts and resets, by the rules and by the agent that tends them.
import { execa } from 'execa';
import { describe, expect, it } from 'vitest';
import type { Idle } from '../../forwarding/idle.ts';
import type { Entry } from '../../forwarding/table.ts';
import { openNetlinkSocket } from '../netlink/socket.ts';
import { readShape } from './kernel.ts';
import { gatewayUnderTest, pause } from './testing/gateway.ts';
import { balanced, endpoint, nat, ring, table, unchanged } from './testing/tables.ts';
import { resetGrace } from './timeouts.ts';

const gateway = gatewayUnderTest(2);
const families = [
  { family: 4, front: '203.0.113.1', machine: '10.1.0.1', machines: ['10.1.0.1', '10.1.0.2'] },
  { family: 6, front: '2001:db8:f::1', machine: 'fd01::1', machines: ['fd01::1', 'fd01::2'] },
] as const;

function idle(entry: Entry, seconds: number, reset = false): Entry {
  const asked: Idle = { seconds, reset };
  return { ...entry, target: { ...entry.target, idle: asked } };
}

/** Seconds that the kernel keeps each flow through a port for, as far as it is established. */
async function timeouts(front: string, port: number, transport = 'tcp'): Promise<readonly number[]> {
  // As long as something is not acknowledged, the kernel waits for five minutes at most.
  await pause(200);
  const family = front.includes(':') ? 'ipv6' : 'ipv4';
  const { stdout } = await execa('conntrack', ['-L', '-f', family, '-d', front]);
  return stdout.split('\n').flatMap((line) => {
    const seconds = /^\w+\s+\d+\s+(\d+)/.exec(line)?.[1];
    return seconds !== undefined && line.startsWith(transport) && line.includes(`dport=${port} `)
      ? [Number(seconds)]
      : [];
  });
}

/** Tends as the gateway does, but more often, until something is so; at most some seconds. */
async function tendUntil(tended: ReturnType<typeof table>, isSo: () => Promise<boolean>): Promise<void> {
  for (let left = 100; left > 0; left -= 1) {
    gateway.plane.tend(tended);
    await pause(50);
    if (await isSo()) return;
  }
  throw new Error('it has not come to that');
}

describe.each(families)('IPv$family', ({ front, machine, machines }) => {
  const rings = [ring(1, machines)];

  it('flows get the timeout of their rule, of whatever kind it is', async () => {
    const { lab, plane, stamp } = gateway;
    const entries = [
      idle(nat(endpoint(front, 'tcp', 500), machine, 8080), 1_000),
      idle(nat(endpoint(front, 'udp', 500), machine, 8080), 2_000),
      idle(balanced(endpoint(front, 'tcp', 80), 1, 8080), 3_000),
      idle(balanced(endpoint(front, 'udp', 80), 1, 8080), 4_000, false),
      balanced(endpoint(front, 'tcp', 81), 1, 8080),
      balanced(endpoint(front, 'udp', 81), 1, 8080),
      nat(endpoint(front, 'tcp', 501), machine, 8080),
      idle(nat(endpoint(front, 'tcp', 0), machine, 0), 5_000),
      idle(nat(endpoint(front, 'tcp', 502), machine, 8080), 6_000, true),
    ];
    await plane.load(table(entries, rings), stamp());
    const cases = [
      ['tcp', 500, 1_000],
      ['udp', 500, 2_000],
      ['tcp', 80, 3_000],
      ['udp', 80, 4_000],
      ['tcp', 81, 240],
      ['udp', 81, 30],
      ['tcp', 501, 432_000],
      ['tcp', 9090, 5_000],
      ['tcp', 502, 6_000 + resetGrace],
    ] as const;
    for (const [transport, port, seconds] of cases) {
      const key = `${transport}-${port}`;
      await lab.client.connect(key, transport, front, port);
      await lab.client.ask(key);
      await lab.client.ask(key);
      const [found = 0] = await timeouts(front, port, transport);
      // UDP that both sides have spoken in gets more after two seconds.
      expect([key, found <= seconds && found > seconds * 0.9]).toEqual([key, true]);
      await lab.client.close(key);
    }
  });

  it('a change gives another to new flows, and those who leave it to the kernel again', async () => {
    const { lab, plane, stamp } = gateway;
    const before = nat(endpoint(front, 'tcp', 500), machine, 8080);
    await plane.load(table([before]), stamp());
    await lab.client.connect('old', 'tcp', front, 500);
    await lab.client.ask('old');
    const after = idle(before, 777);
    await plane.commit({ ...unchanged, replaced: [{ before, after }] }, stamp());
    await lab.client.connect('new', 'tcp', front, 500);
    await lab.client.ask('new');
    await lab.client.ask('old');
    const found = (await timeouts(front, 500)).toSorted((a, b) => a - b);
    expect(found.map((each) => (each > 1_000 ? 'kernel' : each > 700))).toEqual([true, 'kernel']);
    await plane.commit({ ...unchanged, replaced: [{ before: after, after: before }] }, stamp());
    await lab.client.connect('later', 'tcp', front, 500);
    await lab.client.ask('later');
    expect((await timeouts(front, 500)).filter((each) => each > 1_000)).toHaveLength(2);
    await plane.load(table([before]), stamp());
    const socket = await openNetlinkSocket();
    expect([...readShape(socket).chains]).toEqual([]);
    socket.close();
    for (const key of ['old', 'new', 'later']) await lab.client.close(key);
  });

  it('a flow that is idle for as long is over, and begins anew with what comes then', async () => {
    const { lab, plane, stamp } = gateway;
    const entry = idle(balanced(endpoint(front, 'udp', 80), 1, 8080), 1);
    const lasting = balanced(endpoint(front, 'udp', 81), 1, 8080);
    await plane.load(table([entry, lasting], rings), stamp());
    for (const [key, port] of [
      ['short', 80],
      ['long', 81],
    ] as const) {
      await lab.client.connect(key, 'udp', front, port);
      await lab.client.ask(key);
    }
    await pause(2_500);
    for (const key of ['short', 'long']) await lab.client.ask(key);
    const counters = await plane.counters([entry, lasting]);
    expect(counters.get(entry)?.flows).toBe(2);
    expect(counters.get(lasting)?.flows).toBe(1);
    for (const key of ['short', 'long']) await lab.client.close(key);
  });

  it.each([
    ['NAT', (seconds: number) => idle(nat(endpoint(front, 'tcp', 80), machine, 8080), seconds, true)],
    ['balanced', (seconds: number) => idle(balanced(endpoint(front, 'tcp', 80), 1, 8080), seconds, true)],
    [
      'masquerading',
      (seconds: number) => idle(nat(endpoint(front, 'tcp', 80), machine, 8080, true), seconds, true),
    ],
    ['for every port', (seconds: number) => idle(nat(endpoint(front, 'tcp', 0), machine, 0), seconds, true)],
  ])(
    '%s: an established connection that is idle is reset at both ends, a busy one is not',
    async (_name, entry) => {
      const { lab, plane, stamp } = gateway;
      const other = nat(endpoint(front, 'tcp', 501), machine, 8080);
      const whole = table([entry(3), other], rings);
      await plane.load(whole, stamp());
      const port = entry(3).endpoint.port === 0 ? 8080 : 80;
      const before = await Promise.all(lab.machines.map((each) => each.fates()));
      for (const key of ['idle', 'idle-2', 'busy']) {
        await lab.client.connect(key, 'tcp', front, port);
        await lab.client.ask(key);
      }
      await lab.client.connect('quiet', 'tcp', front, 501);
      await lab.client.ask('quiet');
      const resets = async () => {
        const after = await Promise.all(lab.machines.map((each) => each.fates()));
        return after.reduce((sum, { reset }, at) => sum + reset - (before[at]?.reset ?? 0), 0);
      };
      await tendUntil(whole, async () => {
        await lab.client.ask('busy');
        return (await resets()) >= 2;
      });
      expect(await lab.client.fate('idle')).toBe('reset');
      expect(await lab.client.fate('idle-2')).toBe('reset');
      expect(await lab.client.fate('quiet')).toBe('open');
      await pause(1_500);
      expect((await lab.client.ask('busy')).name).toMatch(/^m\d:8080$/);
      expect(await resets()).toBe(2);
      for (const key of ['idle', 'idle-2', 'busy', 'quiet']) await lab.client.close(key);
    },
  );
});

it('members whose drain is over lose their connections, with an RST, and no others', async () => {
  const { lab, plane, stamp } = gateway;
  const front = '203.0.113.1';
  const entries = [
    balanced(endpoint(front, 'tcp', 80), 1, 8080),
    balanced(endpoint(front, 'udp', 80), 1, 8080),
  ];
  const machines = ['10.1.0.1', '10.1.0.2'];
  const draining = ring(1, machines, 1021, { '10.1.0.1': { eligible: false, keepsUdp: true } });
  const over = ring(1, machines, 1021, { '10.1.0.1': { eligible: false, keepsUdp: false, drained: true } });
  await plane.load(table(entries, [ring(1, machines)]), stamp());
  const byMachine = new Map<string, string[]>();
  for (let number = 0; number < 12; number += 1) {
    const key = `c${number}`;
    await lab.client.connect(key, 'tcp', front, 80);
    const { name } = await lab.client.ask(key);
    byMachine.set(name, [...(byMachine.get(name) ?? []), key]);
  }
  await plane.commit({ ...unchanged, rings: [{ before: ring(1, machines), after: draining }] }, stamp());
  const [gone = [], kept = []] = [byMachine.get('m1:8080'), byMachine.get('m2:8080')];
  expect(gone.length * kept.length).toBeGreaterThan(0);
  for (const key of gone) expect((await lab.client.ask(key)).name).toBe('m1:8080');
  const ended = {
    kind: 'ring-member',
    ring: 1,
    backend: draining.members[0]?.address ?? '',
    udpOnly: false,
    reset: true,
  };
  const before = await lab.machines[0]?.fates();
  await plane.commit(
    { ...unchanged, rings: [{ before: draining, after: over }], ending: [ended as never] },
    stamp(),
  );
  for (const key of gone) expect(await lab.client.fate(key)).toBe('reset');
  // The machine notes it in threads of its own, each in its turn.
  const resets = async () => ((await lab.machines[0]?.fates())?.reset ?? 0) - (before?.reset ?? 0);
  await expect.poll(resets).toBe(gone.length);
  for (const key of kept) expect((await lab.client.ask(key)).name).toBe('m2:8080');
  for (const key of [...gone, ...kept]) await lab.client.close(key);
});
