// Which established flows go on when rules come, go and change, and which are cut.
import { execa } from 'execa';
import { describe, expect, it } from 'vitest';
import { leadsElsewhere } from '../../forwarding/endings.ts';
import { ringNumber } from '../../forwarding/ring-numbers.ts';
import type { Entry, RingSize } from '../../forwarding/table.ts';
import { gatewayUnderTest, pause, untilAnswered } from './testing/gateway.ts';
import { address, balanced, endpoint, nat, ring, table, unchanged } from './testing/tables.ts';

const front4 = '203.0.113.1';
const other4 = '203.0.113.2';
const front6 = '2001:db8:f::1';
const gateway = gatewayUnderTest(3);

/** Who answers a sender from now on. What was on its way is let pass; then it may take a while until somebody does. */
async function answers(key: string): Promise<readonly string[]> {
  const { client } = gateway.lab;
  await pause(20);
  await client.heard(key);
  for (let left = 100; ; left -= 1) {
    await pause(50);
    const found = Object.keys((await client.heard(key)).answers);
    if (found.length > 0 || left === 0) return found;
  }
}

/** Another target in each entry's place, and the endings that go with it. */
function replacing(before: readonly Entry[], change: (entry: Entry) => Entry) {
  const replaced = before.map((entry) => ({ before: entry, after: change(entry) }));
  const ending = replaced
    .filter((pair) => leadsElsewhere(pair.before.target, pair.after.target))
    .map(({ before: { endpoint: at, target } }) =>
      target.kind === 'nat'
        ? ({ kind: 'nat', endpoint: at, backend: target.address } as const)
        : ({ kind: 'endpoint', endpoint: at } as const),
    );
  return { ...unchanged, replaced, ending };
}

describe('flows that are not through a frontend', () => {
  it('stay when the first table is loaded, when it changes, and when it goes', async () => {
    const { lab, plane, stamp } = gateway;
    const [m1] = lab.machines;
    if (m1 === undefined) throw new Error('no machine');
    await lab.client.listen('tcp', '10.0.0.2', 6000);
    await lab.client.listen('udp', '10.0.0.2', 6000);
    for (const transport of ['tcp', 'udp'] as const) {
      await lab.client.connect(`direct-${transport}`, transport, '10.1.0.1', 8080);
      await lab.client.connect(`direct6-${transport}`, transport, 'fd01::1', 8080);
      await m1.connect(`own-${transport}`, transport, '10.0.0.2', 6000, 7070);
    }
    const goOn = async (): Promise<void> => {
      for (const transport of ['tcp', 'udp'] as const) {
        expect((await lab.client.ask(`direct-${transport}`)).peer).toMatch('10.0.0.2/');
        expect((await lab.client.ask(`direct6-${transport}`)).peer).toMatch('fd00::2/');
        expect((await m1.ask(`own-${transport}`)).peer).toBe('10.1.0.1/7070');
      }
    };
    await goOn();
    const entries = (['tcp', 'udp'] as const).flatMap((transport) => [
      nat(endpoint(front4, transport, 501), '10.1.0.1', 8080),
      nat(endpoint(front4, transport, 502), '10.1.0.1', 7070, true),
      nat(endpoint(front6, transport, 501), 'fd01::1', 8080),
      nat(endpoint(other4, transport, 0), '10.1.0.1', 0),
    ]);
    await plane.load(table(entries), stamp());
    await goOn();
    expect(await gateway.knock('tcp', front4, 501)).toBe('m1:8080');
    await plane.commit(
      {
        ...unchanged,
        removed: entries,
        backendsRemoved: [address('10.1.0.1'), address('fd01::1')],
        ending: entries.map(({ endpoint: at, target }) => ({
          kind: 'nat',
          endpoint: at,
          backend: target.address,
        })),
      },
      stamp(),
    );
    await goOn();
    await plane.commit({ ...unchanged, added: entries }, stamp());
    await goOn();
    await plane.flush();
    await goOn();
  });

  it('stay where another table translates them, also at a frontend address', async () => {
    const { lab, plane, stamp } = gateway;
    const foreign = `table ip other { chain pre {
      type nat hook prerouting priority -101; meta l4proto { tcp, udp } th dport 7000 dnat to 10.1.0.3:9090
    }
    }`;
    await execa('nft', ['-f', '-'], { input: foreign });
    try {
      const entries = (['tcp', 'udp'] as const).flatMap((transport) => [
        nat(endpoint(front4, transport, 501), '10.1.0.3', 9090),
        nat(endpoint(front4, transport, 0), '10.1.0.1', 0),
      ]);
      for (const transport of ['tcp', 'udp'] as const) {
        await lab.client.connect(`foreign-${transport}`, transport, front4, 7000);
      }
      const goOn = async (): Promise<void> => {
        for (const transport of ['tcp', 'udp'] as const) {
          expect((await lab.client.ask(`foreign-${transport}`)).name).toBe('m3:9090');
        }
      };
      await goOn();
      await plane.load(table(entries), stamp());
      await pause(100);
      await goOn();
      await plane.commit(
        {
          ...unchanged,
          removed: entries,
          ending: entries.map(({ endpoint: at, target }) => ({
            kind: 'nat',
            endpoint: at,
            backend: target.address,
          })),
        },
        stamp(),
      );
      await goOn();
      expect(await gateway.knock('tcp', front4, 7000)).toBe('m3:9090');
      await plane.flush();
      await goOn();
      for (const transport of ['tcp', 'udp'] as const) await lab.client.close(`foreign-${transport}`);
    } finally {
      await execa('nft', ['delete', 'table', 'ip', 'other']);
    }
  });

  it('stay where a helper expects them, beside the flow that asked for them', async () => {
    const { lab, plane, stamp, knock } = gateway;
    await lab.machines[0]?.recite('10.1.0.1', 2121, '227 Entering Passive Mode (10,1,0,1,31,144).\r\n');
    const helper = `table ip helping {
      ct helper ftp { type "ftp" protocol tcp; }
      chain pre { type filter hook prerouting priority -95; tcp dport 2121 ct helper set "ftp"; }
    }`;
    await plane.load(table([nat(endpoint(front4, 'tcp', 2121), '10.1.0.1', 2121)]), stamp());
    // What translates for it is a module of its own on some kernels, which nobody loads by asking for the helper.
    await execa('modprobe', ['--quiet', 'nf_nat_ftp'], { reject: false });
    await execa('nft', ['-f', '-'], { input: helper });
    try {
      await lab.client.connect('control', 'tcp', front4, 2121);
      // The helper looks from the second line on.
      await lab.client.question('control', 'USER\r\n');
      expect(await lab.client.question('control', 'PASV\r\n')).toContain('203,0,113,1,31,144');
      expect(await knock('tcp', front4, 8080)).toBe('m1:8080');
      await lab.client.close('control');
    } finally {
      await execa('nft', ['delete', 'table', 'ip', 'helping']);
    }
  });

  it('pass a filter that drops all but what is translated', async () => {
    const { lab, plane, stamp, knock } = gateway;
    const filter = `table inet filter {
      chain forward { type filter hook forward priority 0; policy drop; ct state established,related accept; ct status dnat accept; }
      chain post { type nat hook postrouting priority 100; oifname "machines" masquerade; }
    }`;
    await execa('nft', ['-f', '-'], { input: filter });
    try {
      const entries = (['tcp', 'udp'] as const).flatMap((transport) => [
        nat(endpoint(front4, transport, 501), '10.1.0.1', 8080),
        balanced(endpoint(front6, transport, 80), 8, 8080),
      ]);
      await plane.load(table(entries, [ring(8, ['fd01::2'])]), stamp());
      for (const transport of ['tcp', 'udp'] as const) {
        expect(await knock(transport, front4, 501)).toBe('m1:8080');
        expect(await knock(transport, front6, 80)).toBe('m2:8080');
        await expect(knock(transport, '10.1.0.1', 8080)).rejects.toThrow('timed out');
      }
      await lab.client.connect('masked', 'tcp', front4, 501);
      expect((await lab.client.ask('masked')).peer).toContain('10.1.0.254/');
      await lab.client.close('masked');
    } finally {
      await execa('nft', ['delete', 'table', 'inet', 'filter']);
    }
  });
});

describe('a rule for every port', () => {
  it.each([
    [
      'NAT',
      (transport: 'tcp' | 'udp', front: string, to: string) => nat(endpoint(front, transport, 0), to, 0),
    ],
    [
      'balanced',
      (transport: 'tcp' | 'udp', front: string, to: string) =>
        balanced(endpoint(front, transport, 0), to.includes(':') ? 8 : 7, 0),
    ],
  ])('keeps its flows while one for their port comes and goes: %s', async (_, general) => {
    const { lab, plane, stamp, knock } = gateway;
    const doors = [
      [front4, '10.1.0.1', '10.1.0.2'],
      [front6, 'fd01::1', 'fd01::2'],
    ] as const;
    for (const [front, machine, another] of doors) {
      const rings = [ring(7, ['10.1.0.1']), ring(8, ['fd01::1'])];
      const all = (['tcp', 'udp'] as const).map((transport) => general(transport, front, machine));
      await plane.load(table(all, rings), stamp());
      for (const transport of ['tcp', 'udp'] as const) {
        await lab.client.connect(transport, transport, front, 8080);
      }
      await lab.client.send('steady', front, 8080);
      const goOn = async (): Promise<void> => {
        for (const transport of ['tcp', 'udp'] as const) {
          expect((await lab.client.ask(transport)).name).toBe('m1:8080');
        }
        expect(await answers('steady')).toEqual(['m1:8080']);
      };
      await goOn();
      const counted = await plane.counters(all);
      for (const to of [machine, another]) {
        const special = (['tcp', 'udp'] as const).map((transport) =>
          nat(endpoint(front, transport, 8080), to, to === machine ? 8080 : 9090),
        );
        await plane.commit({ ...unchanged, added: special }, stamp());
        await goOn();
        expect(await knock('tcp', front, 8080)).toBe(to === machine ? 'm1:8080' : 'm2:9090');
        const ending = special.map(({ endpoint: at, target }) => ({
          kind: 'nat' as const,
          endpoint: at,
          backend: target.address,
        }));
        await plane.commit({ ...unchanged, removed: special, ending }, stamp());
        await goOn();
      }
      // None of them began anew.
      const after = await plane.counters(all);
      for (const entry of all) expect(after.get(entry)?.flows).toBe(counted.get(entry)?.flows);
      for (const transport of ['tcp', 'udp'] as const) await lab.client.close(transport);
      await lab.client.hush('steady');
    }
  });
});

describe('a change under flows', () => {
  const sizes: readonly (readonly [string, RingSize, RingSize])[] = [
    ['10 to 11 members', 1021, 16381],
    ['100 to 101 members', 16381, 65537],
    ['back', 65537, 1021],
  ];
  it.each(sizes)('keeps those to members that stay: %s', async (_, small, large) => {
    const { lab, plane, stamp } = gateway;
    const machines = ['10.1.0.1', '10.1.0.2'];
    const before = ring(7, machines, small);
    const after = ring(7, [...machines, '10.1.0.3'], large);
    const entries = (['tcp', 'udp'] as const).map((transport) =>
      balanced(endpoint(front4, transport, 80), 7, 8080),
    );
    await plane.load(table(entries, [before]), stamp());
    const names = new Map<string, string>();
    for (let number = 0; number < 16; number += 1) {
      const transport = number % 2 === 0 ? 'tcp' : 'udp';
      await lab.client.connect(`${number}`, transport, front4, 80);
      names.set(`${number}`, (await lab.client.ask(`${number}`)).name);
    }
    expect(new Set(names.values()).size).toBe(2);
    await plane.commit({ ...unchanged, rings: [{ before, after }] }, stamp());
    for (const [key, name] of names) expect((await lab.client.ask(key)).name).toBe(name);
    await plane.commit({ ...unchanged, rings: [{ before: after, after: before }] }, stamp());
    for (const [key, name] of names) {
      expect((await lab.client.ask(key)).name).toBe(name);
      await lab.client.close(key);
    }
  });

  const [one, next, other] = [ringNumber(1, 0), ringNumber(1, 1), ringNumber(2, 0)];
  it.each([
    ['affinity', (entry: Entry): Entry => balanced(entry.endpoint, one, 8080, 'client-ip'), 'stay'],
    [
      'masquerading',
      (entry: Entry): Entry => balanced(entry.endpoint, one, 8080, 'five-tuple', true),
      'stay',
    ],
    ['backend port', (entry: Entry): Entry => balanced(entry.endpoint, one, 9090), 'end'],
    ['ring of the pool', (entry: Entry): Entry => balanced(entry.endpoint, next, 8080), 'stay'],
    ['pool', (entry: Entry): Entry => balanced(entry.endpoint, other, 8080), 'end'],
    // Ended, but the next packet of either end begins a flow to the same machine.
    [
      'kind, to the same machine',
      (entry: Entry): Entry => nat(entry.endpoint, '10.1.0.1', 8080),
      'begin anew',
    ],
  ])('of a balanced rule: %s', async (_, change, fate) => {
    const { lab, plane, stamp, knock } = gateway;
    const entries = (['tcp', 'udp'] as const).map((transport) =>
      balanced(endpoint(front4, transport, 80), one, 8080),
    );
    await plane.load(
      table(entries, [ring(one, ['10.1.0.1']), ring(next, ['10.1.0.1']), ring(other, ['10.1.0.2'])]),
      stamp(),
    );
    await lab.client.connect('old', 'tcp', front4, 80);
    expect((await lab.client.ask('old')).name).toBe('m1:8080');
    await lab.client.send('steady', front4, 80);
    await untilAnswered(lab.client, 'steady', 'm1:8080');
    const difference = replacing(entries, change);
    await plane.commit(difference, stamp());
    if (fate !== 'end') expect((await lab.client.ask('old')).name).toBe('m1:8080');
    else await expect(lab.client.ask('old')).rejects.toThrow('reset');
    expect(await answers('steady')).toEqual([await knock('udp', front4, 80)]);
    // One flow was just now; the steady one is counted again where it was ended.
    const [, udp] = difference.replaced.map(({ after }) => after);
    if (udp === undefined) throw new Error('no entry');
    expect((await plane.counters([udp])).get(udp)?.flows).toBe(fate === 'stay' ? 1 : 2);
    await lab.client.hush('steady');
    await lab.client.close('old');
  });

  it('of masquerading, to and fro, leaves those that run as they are', async () => {
    const { lab, plane, stamp } = gateway;
    const plain = [
      nat(endpoint(front4, 'tcp', 501), '10.1.0.1', 8080),
      nat(endpoint(other4, 'tcp', 0), '10.1.0.1', 0),
      nat(endpoint(front6, 'tcp', 501), 'fd01::1', 8080),
    ];
    const masking = ({ endpoint: at, target }: Entry): Entry => ({
      endpoint: at,
      target: { ...target, masquerade: !target.masquerade },
    });
    const doors = [
      [front4, 501],
      [other4, 8080],
      [front6, 501],
    ] as const;
    await plane.load(table(plain), stamp());
    const peers = new Map<string, string>();
    const open = async (prefix: string): Promise<void> => {
      for (const [to, port] of doors) {
        await lab.client.connect(`${prefix}${to}`, 'tcp', to, port);
        peers.set(`${prefix}${to}`, (await lab.client.ask(`${prefix}${to}`)).peer);
      }
    };
    const goOn = async (): Promise<void> => {
      for (const [key, peer] of peers) expect((await lab.client.ask(key)).peer).toBe(peer);
    };
    await open('plain ');
    const there = replacing(plain, masking);
    await plane.commit(there, stamp());
    await goOn();
    await open('masked ');
    expect(peers.get(`masked ${front4}`)).toContain('10.1.0.254/');
    const masked = there.replaced.map(({ after }) => after);
    await plane.commit(replacing(masked, masking), stamp());
    await goOn();
    for (const key of peers.keys()) await lab.client.close(key);
  });
});

describe('one change after the other', () => {
  it('never confuses a sender that does not pause', async () => {
    const { lab, plane, stamp } = gateway;
    const entries = [
      nat(endpoint(front4, 'udp', 501), '10.1.0.1', 8080),
      nat(endpoint(front6, 'udp', 501), 'fd01::1', 8080),
    ];
    const ending = entries.map(({ endpoint: at, target }) => ({
      kind: 'nat' as const,
      endpoint: at,
      backend: target.address,
    }));
    await plane.load(table(entries), stamp());
    await lab.client.send('v4', front4, 501);
    await lab.client.send('v6', front6, 501);
    for (let times = 0; times < 20; times += 1) {
      void plane.commit({ ...unchanged, removed: entries, ending }, stamp());
      await plane.commit({ ...unchanged, added: entries }, stamp());
    }
    await pause(100);
    for (const key of ['v4', 'v6']) {
      expect(await answers(key)).toEqual(['m1:8080']);
      await lab.client.hush(key);
    }
    expect(await plane.verify()).toEqual({ kind: 'intact' });
  });

  it('compares the flows from before a load with that table, not those of the change after it', async () => {
    const { lab, plane, stamp } = gateway;
    await plane.load(table([]), stamp());
    await lab.client.flood('10.1.0.1', 15_000);
    await plane.load(table([]), stamp());
    const added = nat(endpoint(front4, 'udp', 501), '10.1.0.1', 8080);
    await plane.commit({ ...unchanged, added: [added] }, stamp());
    // Many, because a dump of all flows sees about half of those that begin under it.
    const keys = Array.from({ length: 40 }, (_, index) => `new ${index}`);
    for (const key of keys) {
      await lab.client.connect(key, 'udp', front4, 501);
      expect((await lab.client.ask(key)).name).toBe('m1:8080');
    }
    await pause(200);
    for (const key of keys) {
      expect((await lab.client.ask(key)).name).toBe('m1:8080');
      await lab.client.close(key);
    }
    expect((await plane.counters([added])).get(added)?.flows).toBe(keys.length);
  });

  it('lets an endpoint lead to another port of its own address', async () => {
    const { lab, plane, stamp } = gateway;
    await lab.gateway.listen('udp', front4, 6001);
    await plane.load(table([]), stamp());
    await lab.client.send('early', front4, 501);
    const added = nat(endpoint(front4, 'udp', 501), front4, 6001);
    await pause(30);
    await plane.commit({ ...unchanged, added: [added] }, stamp());
    await pause(100);
    expect(await answers('early')).toEqual([`${front4}:6001`]);
    // Adding what is there changes nothing, but who knocks is looked for again.
    await plane.commit({ ...unchanged, added: [added] }, stamp());
    await plane.load(table([added]), stamp());
    expect(await answers('early')).toEqual([`${front4}:6001`]);
    const ids = async (): Promise<string> =>
      (await execa('conntrack', ['-L', '-p', 'udp', '--orig-port-dst', '501', '-o', 'id'])).stdout.replace(
        /.* id=/g,
        '',
      );
    const before = await ids();
    expect(before).toMatch(/\d/);
    await plane.commit({ ...unchanged, added: [added] }, stamp());
    await plane.commit(unchanged, stamp());
    await pause(50);
    expect(await ids()).toBe(before);
    expect((await plane.counters([added])).get(added)?.flows).toBe(0);
    await lab.client.hush('early');
  });
});
