// Idle timeouts: flows that are over in silence, connections of which both ends are told, and those that are left alone.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { GatewayClient, Message } from '../../src/wire/client.ts';
import type { Lab } from '../lab/lab.ts';
import { all, type Family, front, members, tcp, udp } from './support/declare.ts';
import { flowsOf, resetsAt, until } from './support/endings.ts';
import { Flows } from './support/flows.ts';
import { connect, listLoadBalancers, put } from './support/gateway.ts';
import { upLab } from './support/lab.ts';

let lab: Lab;
let client: GatewayClient;

beforeAll(async () => {
  lab = await upLab({ name: `e2e-idle-${process.pid}`, backends: 2, agent: true });
  client = connect(lab);
});

afterAll(async () => {
  client?.close();
  await lab?.down();
});

const nodes = ['b1', 'b2'] as const;

/** Connections that an RST has ended at the machines, in all. */
async function resets(): Promise<number> {
  const counts = await Promise.all(nodes.map((node) => resetsAt(lab, node)));
  return counts.reduce((sum, count) => sum + count, 0);
}

const balancing = (
  name: string,
  frontendPort: number,
  flow: Message<'FlowOptions'>,
  over: Message<'LoadBalancingRule'> = {},
): Message<'LoadBalancingRule'> => ({
  name,
  frontend: 'front',
  protocol: tcp,
  frontendPort,
  backendPort: 80,
  backendPool: 'vms',
  flow,
  ...over,
});

const mapping = (name: string, frontendPort: number, flow: Message<'FlowOptions'>) => ({
  name,
  frontend: 'front',
  protocol: tcp,
  backendPort: 80,
  single: { frontendPort, member: 'vms/b1' },
  flow,
});

function declaration(family: Family, over: Message<'LoadBalancer'>): Message<'LoadBalancer'> {
  return {
    name: 'web',
    frontends: [{ name: 'front', address: front[family] }],
    backendPools: [{ name: 'vms', members: members([1, 2], family) }],
    ...over,
  };
}

const seconds = (count: number) => ({ idleTimeout: { seconds: count } });
const resetAfter = (count: number) => ({ ...seconds(count), tcpReset: true });

describe.each([4, 6] as const)('IPv%i', (family) => {
  const here = front[family];

  it('3: tcp_reset: idle connections are reset at both ends, busy ones and those of other rules go on', async () => {
    await put(
      client,
      declaration(family, {
        loadBalancingRules: [balancing('web', 80, resetAfter(2)), balancing('patient', 81, seconds(600))],
        inboundNatRules: [
          mapping('direct', 500, resetAfter(2)),
          // Answers to this one come from the same port of the machine.
          mapping('plain', 501, {}),
          mapping('masked', 502, { ...resetAfter(2), sourceNat: 2 }),
        ],
      }),
    );
    await using flows = await Flows.start(lab);
    const before = await resets();
    const doomed = [80, 80, 80, 500, 502].map((port, index) => [`doomed-${index}`, port] as const);
    const kept = [81, 501].map((port, index) => [`kept-${index}`, port] as const);
    for (const [id, port] of [...doomed, ...kept, ['busy', 80], ['busy-nat', 500]] as const) {
      await flows.open(id, here, port);
      expect(await flows.ask(id)).toMatch(/^b[12]$/);
    }
    const begun = Date.now();
    await until(20, async () => {
      for (const id of ['busy', 'busy-nat']) expect(await flows.ask(id)).toMatch(/^b[12]$/);
      return (await resets()) - before >= doomed.length;
    });
    expect(Date.now() - begun).toBeGreaterThan(1_500);
    await until(5, async () => {
      const fates = await Promise.all(doomed.map(([id]) => flows.fate(id)));
      return fates.every((fate) => fate === 'reset');
    });
    for (const id of ['busy', 'busy-nat', ...kept.map(([id]) => id)]) {
      expect(await flows.fate(id)).toBe('open');
      expect(await flows.ask(id)).toMatch(/^b[12]$/);
    }
    expect((await resets()) - before).toBe(doomed.length);
  });

  it('3: without tcp_reset: a flow that is idle for as long is over, nobody is told, and a new one begins', async () => {
    await put(
      client,
      declaration(family, {
        loadBalancingRules: [balancing('web', 80, seconds(2)), balancing('patient', 81, seconds(600))],
      }),
    );
    await using flows = await Flows.start(lab);
    const before = await resets();
    const machine = new Map<string, string>();
    for (const [id, port] of [
      ['short', 80],
      ['long', 81],
    ] as const) {
      await flows.open(id, here, port);
      machine.set(id, await flows.ask(id));
    }
    const begun = [await flowsOf(client, 'web'), await flowsOf(client, 'patient')];
    await sleep(5_000);
    for (const id of ['short', 'long']) {
      expect(await flows.fate(id)).toBe('open');
      expect(await flows.ask(id)).toBe(machine.get(id));
    }
    const more = [await flowsOf(client, 'web'), await flowsOf(client, 'patient')];
    expect(more.map((count, at) => count - (begun[at] ?? 0))).toEqual([1, 0]);
    expect(await resets()).toBe(before);
  });

  it('3: of UDP: each datagram after the timeout begins a flow, within it they are one', async () => {
    const dns = { protocol: udp, backendPort: 5300 };
    await put(
      client,
      declaration(family, {
        loadBalancingRules: [
          balancing('short', 53, seconds(2), dns),
          balancing('long', 54, seconds(20), dns),
          balancing('both', 0, resetAfter(60), { protocol: all, backendPort: 0 }),
        ],
      }),
    );
    await using flows = await Flows.start(lab);
    for (const [id, port] of [
      ['short', 53],
      ['long', 54],
      ['both', 5300],
    ] as const) {
      await flows.send(id, here, port, 7_000);
    }
    await until(60, async () => (await flows.answers('both')).filter((each) => each !== null).length >= 3);
    const begun = [
      await flowsOf(client, 'short'),
      await flowsOf(client, 'long'),
      await flowsOf(client, 'both'),
    ];
    expect(begun[0]).toBeGreaterThanOrEqual(3);
    expect(begun.slice(1)).toEqual([1, 1]);
    for (const id of ['short', 'long', 'both']) expect(await flows.answers(id)).not.toContain(undefined);
  });
});

it.each([4, 6] as const)(
  '3: IPv%i: open connections go on when their rule gets an idle timeout, and when it loses it',
  async (family) => {
    const declared = (flow: Message<'FlowOptions'>) =>
      declaration(family, {
        loadBalancingRules: [balancing('web', 80, flow)],
        // Of two that lead to one port of a machine.
        inboundNatRules: [mapping('direct', 500, flow), mapping('plain', 501, {})],
      });
    await using flows = await Flows.start(lab);
    const machines: Record<string, string> = {};
    const open = async (when: string) => {
      for (const port of [80, 500, 501]) {
        const id = `${when}-${port}`;
        await flows.open(id, front[family], port);
        machines[id] = await flows.ask(id);
      }
    };
    const present = async () => {
      const found: Record<string, string> = {};
      for (const id of Object.keys(machines)) found[id] = await flows.ask(id);
      return found;
    };
    await put(client, declared({}));
    await open('before');
    await put(client, declared(seconds(20)));
    expect(await present()).toEqual(machines);
    await open('with');
    await put(client, declared({}));
    for (let round = 0; round < 2; round += 1) expect(await present()).toEqual(machines);
  },
);

it('3: a rule of half a minute, as XDP keeps it by itself: reset when it is over, and not before', async () => {
  const other = { name: 'front6', address: front[6] };
  const rules = [
    balancing('web', 80, resetAfter(30)),
    balancing('busy', 81, resetAfter(30)),
    balancing('silent', 82, seconds(30)),
  ];
  await put(
    client,
    declaration(4, { loadBalancingRules: rules }),
    declaration(6, {
      name: 'web6',
      frontends: [other],
      loadBalancingRules: rules.map((rule) => ({ ...rule, frontend: 'front6' })),
    }),
  );
  await using flows = await Flows.start(lab);
  const before = await resets();
  const ids = ([4, 6] as const).flatMap((family) =>
    [80, 80, 81, 82].map((port, index) => ({
      id: `${family}-${port}-${index}`,
      port,
      address: front[family],
    })),
  );
  for (const { id, address, port } of ids) {
    await flows.open(id, address, port);
    expect(await flows.ask(id)).toMatch(/^b[12]$/);
  }
  const of = (port: number) => ids.filter((each) => each.port === port).map(({ id }) => id);
  const begun = Date.now();
  await until(60, async () => {
    for (const id of of(81)) expect(await flows.ask(id)).toMatch(/^b[12]$/);
    return (await resets()) - before >= 4;
  });
  expect(Date.now() - begun).toBeGreaterThan(29_000);
  await until(5, async () =>
    (await Promise.all(of(80).map((id) => flows.fate(id)))).every((fate) => fate === 'reset'),
  );
  for (const id of [...of(81), ...of(82)]) expect(await flows.fate(id)).toBe('open');
  await sleep(2_000);
  expect((await resets()) - before).toBe(4);
});

it('3: rules give back what they were declared with', async () => {
  await put(client, declaration(4, { loadBalancingRules: [balancing('web', 80, resetAfter(86_400))] }));
  const [found] = await listLoadBalancers(client);
  expect(found?.loadBalancingRules[0]?.flow).toMatchObject({
    idleTimeout: { seconds: 86_400 },
    tcpReset: true,
  });
});
