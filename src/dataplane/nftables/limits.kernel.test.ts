// Limits of rules in the kernel: however they come there, what they refuse, and that nothing else notices.
import { execa } from 'execa';
import { describe, expect, it } from 'vitest';
import type { FlowLimit } from '../../forwarding/flow-limits.ts';
import type { Entry } from '../../forwarding/table.ts';
import type { ClientRange } from '../../resources/client-range.ts';
import { openNetlinkSocket } from '../netlink/socket.ts';
import { readShape } from './kernel.ts';
import type { NftablesDataPlane } from './plane.ts';
import { gatewayUnderTest, pause } from './testing/gateway.ts';
import { address, balanced, endpoint, nat, ring, table, unchanged } from './testing/tables.ts';

const gateway = gatewayUnderTest(2);
const families = [
  {
    family: 4,
    front: '203.0.113.1',
    other: '203.0.113.2',
    machine: '10.1.0.1',
    clients: '10.0.0.0/29',
    wider: '10.0.0.0/8',
    nobody: '192.0.2.0/24',
  },
  {
    family: 6,
    front: '2001:db8:f::1',
    other: '2001:db8:f::1',
    machine: 'fd01::1',
    clients: 'fd00::/64',
    wider: 'fd00::/8',
    nobody: '2001:db8:dead::/48',
  },
] as const;

const ranges = (...texts: readonly string[]): readonly ClientRange[] => texts as readonly ClientRange[];

function limited(entry: Entry, limit: number): Entry {
  return { ...entry, target: { ...entry.target, limit } };
}

const none = { byClient: 0, byRate: 0, byConcurrency: 0 };

async function refusals(plane: NftablesDataPlane, limit: FlowLimit) {
  return (await plane.refusals([limit])).get(limit);
}

/** Those that the kernel has on demand. */
async function chains(): Promise<readonly string[]> {
  const socket = await openNetlinkSocket();
  try {
    return [...readShape(socket).chains];
  } finally {
    socket.close();
  }
}

/** Sends so many datagrams, each from a port of its own; gives how many were answered. */
async function answered(front: string, port: number, count: number): Promise<number> {
  const { lab } = gateway;
  const keys = Array.from({ length: count }, (_, at) => `attempt-${at}`);
  let found = 0;
  for (const key of keys) {
    await lab.client.connect(key, 'udp', front, port);
    found += await lab.client.ask(key).then(
      () => 1,
      () => 0,
    );
  }
  for (const key of keys) await lab.client.close(key);
  return found;
}

describe.each(families)('IPv$family', ({ family, front, machine, clients, wider, nobody }) => {
  const at = endpoint(front, 'udp', 500);
  const entry = limited(nat(at, machine, 8080), 1);
  const chain = `allowed${family}_1`;
  const limit = (over: Partial<FlowLimit>): FlowLimit => ({ number: 1, family, allowed: [], ...over });

  it('come by a first load, by a load over the same, by a change and by many at once, and go', async () => {
    const { plane, stamp } = gateway;
    const all = limit({ allowed: ranges(nobody), newFlows: { perSecond: 5, burst: 5 }, concurrentFlows: 5 });
    await plane.load(table([entry], [], [], [all]), stamp());
    expect(await answered(front, 500, 1)).toBe(0);
    expect(await refusals(plane, all)).toEqual({ ...none, byClient: 1 });
    expect(await plane.verify()).toEqual({ kind: 'intact' });
    const open = limit({ allowed: ranges(clients) });
    await plane.load(table([entry], [], [], [open]), stamp());
    expect(await answered(front, 500, 1)).toBe(1);
    await plane.commit(
      { ...unchanged, limits: [{ before: open, after: limit({ allowed: ranges(nobody) }) }] },
      stamp(),
    );
    expect(await answered(front, 500, 1)).toBe(0);
    expect(await plane.verify()).toEqual({ kind: 'intact' });
    await plane.commit(
      {
        ...unchanged,
        limits: [{ before: limit({ allowed: ranges(nobody) }) }],
        replaced: [{ before: entry, after: nat(at, machine, 8080) }],
      },
      stamp(),
    );
    expect(await answered(front, 500, 1)).toBe(1);
    expect((await plane.refusals([open])).size).toBe(0);
    await plane.load(table([]), stamp());
    const many = Array.from({ length: 6_000 }, (_, port) =>
      limited(nat(endpoint(front, 'udp', 1_000 + port), machine, 8080), 1),
    );
    await plane.commit(
      { ...unchanged, added: many, limits: [{ after: all }], backendsAdded: [address(machine)] },
      stamp(),
    );
    expect(await answered(front, 6_999, 1)).toBe(0);
    expect(await refusals(plane, all)).toEqual({ ...none, byClient: 1 });
  });

  it('let ranges be narrowed and widened in one transaction, whatever lies in what', async () => {
    const { plane, stamp } = gateway;
    const steps = [[wider], [clients], [wider, nobody], [nobody], [clients, nobody], [], [wider]];
    let before = limit({ allowed: ranges(...(steps[0] ?? [])) });
    await plane.load(table([entry], [], [], [before]), stamp());
    for (const step of steps) {
      const after = limit({ allowed: ranges(...step) });
      await plane.commit({ ...unchanged, limits: [{ before, after }] }, stamp());
      before = after;
      expect(await answered(front, 500, 1)).toBe(step.length === 1 && step[0] === nobody ? 0 : 1);
      expect(await plane.verify()).toEqual({ kind: 'intact' });
    }
  });

  it('keep the ranges of many rules apart, and let go of a thousand among ten thousand', async () => {
    const { plane, stamp } = gateway;
    const network = (at: number): string =>
      family === 4 ? `172.${16 + (at >> 8)}.${at & 255}.0/24` : `2001:db8:${at.toString(16)}::/48`;
    const thousand = Array.from({ length: 1_000 }, (_, at) => network(at)).sort();
    const ports = Array.from({ length: 11 }, (_, at) => 500 + at);
    // The last has the same set as the first.
    const numbers = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 33];
    const entries = ports.map((port, at) =>
      limited(nat(endpoint(front, 'udp', port), machine, 8080), numbers[at] ?? 0),
    );
    const limits = numbers.map((number) =>
      limit({ number, allowed: ranges(...thousand, ...(number === 5 || number === 33 ? [clients] : [])) }),
    );
    await plane.load(table(entries, [], [], limits), stamp());
    const served = async (): Promise<readonly number[]> => {
      const found: number[] = [];
      for (const [at, port] of ports.entries())
        if ((await answered(front, port, 1)) === 1) found.push(numbers[at] ?? 0);
      return found;
    };
    expect(await served()).toEqual([5, 33]);
    const changed = limits.flatMap((before) =>
      [5, 8].includes(before.number) ? [{ before, after: { ...before, allowed: ranges(clients) } }] : [],
    );
    await plane.commit({ ...unchanged, limits: changed }, stamp());
    expect(await served()).toEqual([5, 8, 33]);
    await plane.commit(
      { ...unchanged, limits: limits.filter(({ number }) => number === 33).map((before) => ({ before })) },
      stamp(),
    );
    expect(await plane.verify()).toEqual({ kind: 'intact' });
    expect((await refusals(plane, limits[0] as FlowLimit))?.byClient).toBe(2);
  });

  it('have sets of ranges while rules ask for them, in whose absence clients are not asked who they are', async () => {
    const { plane, stamp } = gateway;
    const all = limit({ newFlows: { perSecond: 5, burst: 5 }, concurrentFlows: 5 });
    await plane.load(table([entry], [], [], [all]), stamp());
    expect(await chains()).toEqual([]);
    const forbidding = limit({ ...all, allowed: ranges(nobody) });
    await plane.commit({ ...unchanged, limits: [{ before: all, after: forbidding }] }, stamp());
    expect(await chains()).toEqual([chain]);
    expect(await answered(front, 500, 1)).toBe(0);
    expect(await plane.verify()).toEqual({ kind: 'intact' });
    // As after a restart of the agent, with others in another set.
    const others = limit({ number: 2, allowed: ranges(clients) });
    await plane.load(table([limited(entry, 2)], [], [], [others]), stamp());
    expect(await chains()).toEqual([`allowed${family}_2`]);
    expect(await answered(front, 500, 1)).toBe(1);
    expect(await plane.verify()).toEqual({ kind: 'intact' });
    await plane.load(table([nat(at, machine, 8080)]), stamp());
    expect(await chains()).toEqual([]);
    expect(await plane.verify()).toEqual({ kind: 'intact' });
  });

  it.each([
    ['emptied', 'flush chain inet penstock CHAIN'],
    ['passed by', 'insert rule inet penstock CHAIN accept'],
    ['no more found', 'delete element inet penstock MAP { 1 }'],
    [
      'joined by a strange one',
      'add chain inet penstock allowed4_9; add rule inet penstock allowed4_9 accept',
    ],
  ])('notice that the chain which asks for ranges is %s', async (_, command) => {
    const { plane, stamp } = gateway;
    const loaded = table([entry], [], [], [limit({ allowed: ranges(nobody) })]);
    await plane.load(loaded, stamp());
    await execa('nft', [command.replaceAll('CHAIN', chain).replaceAll('MAP', `ranges${family}`)]);
    expect((await plane.verify()).kind).toBe('damaged');
    await plane.load(loaded, stamp());
    expect(await answered(front, 500, 1)).toBe(0);
    expect(await plane.verify()).toEqual({ kind: 'intact' });
  });

  it('are loaded anew where somebody has changed their chains while no agent ran', async () => {
    const { plane, stamp } = gateway;
    const loaded = table([entry], [], [], [limit({ allowed: ranges(nobody) })]);
    await plane.load(loaded, stamp());
    expect((await plane.open()).stamp).toBeDefined();
    await execa('nft', ['flush', 'chain', 'inet', 'penstock', chain]);
    expect((await plane.open()).stamp).toBeUndefined();
    // The set with its ranges is there still, and has to go.
    await plane.load(table([entry], [], [], [limit({ allowed: ranges(clients) })]), stamp());
    expect(await answered(front, 500, 1)).toBe(1);
    expect(await plane.verify()).toEqual({ kind: 'intact' });
  });

  it('keep a burst and nothing more while the rate gives no more', async () => {
    const { plane, stamp } = gateway;
    // One in a second, and three at once: a pause of some milliseconds between ten gives no fourth, a second may.
    const slow = limit({ newFlows: { perSecond: 1, burst: 3 } });
    await plane.load(table([entry], [], [], [slow]), stamp());
    const begun = performance.now();
    const got = await answered(front, 500, 10);
    const seconds = (performance.now() - begun) / 1_000;
    expect(got).toBeGreaterThanOrEqual(3);
    expect(got).toBeLessThanOrEqual(3 + Math.ceil(seconds));
    const counted = await refusals(plane, slow);
    expect(counted).toEqual({ ...none, byRate: 10 - got });
  });

  it('count flows over all endpoints of a rule, and forget what was refused', async () => {
    const { plane, lab, stamp } = gateway;
    const two = limit({ concurrentFlows: 2 });
    const entries = [entry, limited(balanced(endpoint(front, 'tcp', 80), 1, 8080), 1)];
    const rings = [ring(1, [machine])];
    await plane.load(table(entries, rings, [], [two]), stamp());
    await lab.client.connect('udp', 'udp', front, 500);
    await lab.client.ask('udp');
    await lab.client.connect('tcp', 'tcp', front, 80);
    await lab.client.ask('tcp');
    expect(await answered(front, 500, 2)).toBe(0);
    expect((await refusals(plane, two))?.byConcurrency).toBe(2);
    await expect(lab.client.connect('more', 'tcp', front, 80)).rejects.toThrow();
    await lab.client.ask('udp');
    await lab.client.ask('tcp');
    await lab.client.abort('tcp');
    // The rule is taken for full for a tenth of a second.
    await pause(200);
    expect(await answered(front, 500, 1)).toBe(1);
    expect(await plane.verify()).toEqual({ kind: 'intact' });
  });

  it('see to idle timeouts of the same rule', async () => {
    const { plane, lab, stamp } = gateway;
    const idle = { ...entry, target: { ...entry.target, idle: { seconds: 900, reset: false } } };
    const allowed = limit({ allowed: ranges(clients) });
    await plane.load(table([idle], [], [], [allowed]), stamp());
    await lab.client.connect('one', 'udp', front, 500);
    await lab.client.ask('one');
    await lab.client.ask('one');
    const listed = await execa('conntrack', ['-L', '-f', `ipv${family}`, '-d', front, '-p', 'udp']);
    expect(Number(/^udp\s+\d+\s+(\d+)/m.exec(listed.stdout)?.[1])).toBeGreaterThan(800);
    await plane.commit(
      {
        ...unchanged,
        limits: [{ before: allowed, after: limit({ allowed: ranges(nobody) }) }],
        ending: [{ kind: 'clients', entries: new Map([['', idle]]), allowed: ranges(nobody) }],
      },
      stamp(),
    );
    await expect(lab.client.ask('one')).rejects.toThrow();
    expect(await plane.verify()).toEqual({ kind: 'intact' });
  });

  it('end the flows of clients that a newly loaded table does not allow', async () => {
    const { plane, lab, stamp } = gateway;
    const free = endpoint(front, 'udp', 501);
    const entries = [entry, nat(free, machine, 8080)];
    await plane.load(table(entries, [], [], [limit({ allowed: ranges(clients) })]), stamp());
    for (const [key, port] of [
      ['limited', 500],
      ['free', 501],
    ] as const) {
      await lab.client.connect(key, 'udp', front, port);
      await lab.client.ask(key);
    }
    await plane.load(table(entries, [], [], [limit({ allowed: ranges(nobody) })]), stamp());
    await pause(500);
    await lab.client.ask('free');
    await expect(lab.client.ask('limited')).rejects.toThrow();
  });
});

it('is refused as a whole where it changes limits that are not there', async () => {
  const { plane, stamp } = gateway;
  const front = '203.0.113.1';
  const one: FlowLimit = { number: 1, family: 4, allowed: ranges('192.0.2.0/24') };
  await plane.load(
    table([limited(nat(endpoint(front, 'udp', 500), '10.1.0.1', 8080), 1)], [], [], [one]),
    stamp(),
  );
  const limits = [{ before: one, after: { ...one, allowed: [] } }, { before: { ...one, number: 2 } }];
  await expect(plane.commit({ ...unchanged, limits }, stamp())).rejects.toThrow(
    'the kernel refused the transaction',
  );
  expect(await answered(front, 500, 1)).toBe(0);
  expect(await plane.verify()).toEqual({ kind: 'intact' });
});
