// Limits per rule (issue 5, item 11): who may begin flows, how many in a second and how many at once, and what was refused;
// by every kind of rule.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { GatewayClient, Message } from '../../src/wire/client.ts';
import type { Lab } from '../lab/lab.ts';
import type { Request } from '../lab/traffic/message.ts';
import type { Traffic } from '../lab/traffic/traffic.ts';
import { all, type Family, front, members, otherFront, tcp, udp } from './support/declare.ts';
import { until } from './support/endings.ts';
import { Flows } from './support/flows.ts';
import { connect, failureOf, listLoadBalancers, put } from './support/gateway.ts';
import { dataplane, upLab } from './support/lab.ts';
import { isLost } from './support/outcomes.ts';

let lab: Lab;
let client: GatewayClient;
let traffic: Traffic;

beforeAll(async () => {
  lab = await upLab({ name: `e2e-limits-${process.pid}`, backends: 2, agent: true });
  client = connect(lab);
  traffic = await lab.traffic();
});

afterAll(async () => {
  await traffic?.stop();
  client?.close();
  await lab?.down();
});

const haFront = { 4: '203.0.113.30', 6: '2001:db8:f::30' } as const;
/** Of the lab's client, and of its machines. */
const clients = { 4: '198.51.100.0/24', 6: '2001:db8:c::/64' } as const;
const machines = { 4: '10.0.0.0/24', 6: 'fd00:10::/64' } as const;
const nobody = { 4: '192.0.2.0/25', 6: '2001:db8:dead::/48' } as const;

type Limits = Message<'Limits'>;

/** One rule of each kind, all with these limits, and two without. */
function declaration(family: Family, limits: Limits, flow: Message<'FlowOptions'> = {}) {
  const common = { frontend: 'front', backendPort: 80, limits, flow };
  return {
    name: 'web',
    frontends: [
      { name: 'front', address: front[family] },
      { name: 'whole', address: otherFront[family] },
      { name: 'ha', address: haFront[family] },
    ],
    backendPools: [{ name: 'vms', members: members([1, 2], family) }],
    inboundNatRules: [
      {
        ...common,
        name: 'pool',
        protocol: tcp,
        pool: { backendPool: 'vms', frontendPortRangeStart: 500, maximumMachines: 10 },
      },
      {
        ...common,
        name: 'pool-udp',
        protocol: udp,
        backendPort: 5300,
        pool: { backendPool: 'vms', frontendPortRangeStart: 500, maximumMachines: 10 },
      },
      {
        ...common,
        name: 'single',
        protocol: all,
        backendPort: 0,
        frontend: 'whole',
        single: { member: 'vms/b1' },
      },
      {
        name: 'free',
        frontend: 'front',
        protocol: tcp,
        backendPort: 80,
        single: { frontendPort: 600, member: 'vms/b1' },
      },
    ],
    loadBalancingRules: [
      { ...common, name: 'web', protocol: tcp, frontendPort: 80, backendPool: 'vms' },
      { ...common, name: 'dns', protocol: udp, frontendPort: 53, backendPort: 5300, backendPool: 'vms' },
      { ...common, name: 'ha', frontend: 'ha', protocol: all, backendPort: 0, backendPool: 'vms' },
      {
        name: 'free',
        frontend: 'front',
        protocol: tcp,
        frontendPort: 81,
        backendPort: 80,
        backendPool: 'vms',
      },
    ],
  } satisfies Message<'LoadBalancer'>;
}

/** Where each rule with limits is met, by TCP and by UDP as far as it has it. */
function doors(family: Family) {
  return [
    { rule: 'nat/pool', scheme: 'http', address: front[family], port: 501 },
    { rule: 'nat/pool-udp', scheme: 'udp', address: front[family], port: 500 },
    { rule: 'nat/single', scheme: 'http', address: otherFront[family], port: 80 },
    { rule: 'nat/single', scheme: 'udp', address: otherFront[family], port: 5300 },
    { rule: 'lb/web', scheme: 'http', address: front[family], port: 80 },
    { rule: 'lb/dns', scheme: 'udp', address: front[family], port: 53 },
    { rule: 'lb/ha', scheme: 'http', address: haFront[family], port: 80 },
    { rule: 'lb/ha', scheme: 'udp', address: haFront[family], port: 5300 },
  ] as const;
}

async function served(requests: readonly Request[], timeout = 1_500): Promise<readonly boolean[]> {
  const outcomes = await traffic.ask(
    requests.map((request) => ({ ...request, timeout })),
    64,
  );
  return outcomes.map((outcome) => !isLost(outcome));
}

/** What each rule has refused: clients, over the rate, over the concurrency. */
async function refused(): Promise<ReadonlyMap<string, readonly [number, number, number]>> {
  const found = new Map<string, readonly [number, number, number]>();
  for await (const { limitCounters } of client.listLoadBalancers({ withCounters: true })) {
    for (const each of limitCounters) {
      const rule = each.inboundNatRule ? `nat/${each.inboundNatRule}` : `lb/${each.loadBalancingRule}`;
      found.set(rule, [each.refusedByClient, each.refusedByRate, each.refusedByConcurrency]);
    }
  }
  return found;
}

async function declareAnew(family: Family, limits: Limits, flow: Message<'FlowOptions'> = {}): Promise<void> {
  await client.apply({ changes: { deleteLoadBalancers: ['web'] } }).catch(() => undefined);
  await put(client, declaration(family, limits, flow));
}

const free = (family: Family) =>
  [600, 81].map((port) => ({ scheme: 'http' as const, address: front[family], port }));

describe.each([4, 6] as const)('limits per rule, IPv%i', (family) => {
  it('allowed_clients: every kind of rule serves whom it names, refuses others in silence, and counts them', async () => {
    await declareAnew(family, { allowedClients: [nobody[family]] });
    expect(await served(doors(family))).toEqual(doors(family).map(() => false));
    expect(await served(free(family))).toEqual([true, true]);
    const counts = await refused();
    expect([...counts.keys()].sort()).toEqual([
      'lb/dns',
      'lb/ha',
      'lb/web',
      'nat/pool',
      'nat/pool-udp',
      'nat/single',
    ]);
    for (const [rule, [byClient, byRate, byConcurrency]] of counts) {
      expect(byClient, rule).toBeGreaterThanOrEqual(1);
      expect([byRate, byConcurrency]).toEqual([0, 0]);
    }
    // One range within another, and one twice, are as good as one.
    const ranges = [
      nobody[family],
      clients[family],
      family === 4 ? '198.51.0.0/16' : '2001:db8::/32',
      clients[family],
    ];
    await put(client, declaration(family, { allowedClients: ranges }));
    expect(await served(doors(family))).toEqual(doors(family).map(() => true));
    // What was counted stays, and nothing was added but by what was still on its way.
    const after = await refused();
    for (const [rule, [byClient]] of counts) expect(after.get(rule)?.[0]).toBeGreaterThanOrEqual(byClient);
    const [found] = await listLoadBalancers(client);
    expect(found?.inboundNatRules[0]?.limits?.allowedClients).toEqual(ranges);
  });

  it('allowed_clients: flows of a client that is no longer allowed end, those of others go on', async () => {
    const both = { allowedClients: [clients[family], machines[family]] };
    await declareAnew(family, both);
    await using outside = await Flows.start(lab);
    await using inside = await Flows.start(lab, 'b2');
    const ways = [
      ['pool', front[family], 500],
      ['single', otherFront[family], 80],
      ['web', front[family], 80],
      ['ha', haFront[family], 80],
    ] as const;
    for (const [id, address, port] of ways) {
      for (const flows of [outside, inside]) {
        await flows.open(id, address, port);
        expect(await flows.ask(id)).toMatch(/^b[12]$/);
      }
    }
    // Another limit, and ranges that allow more, end nothing.
    await put(
      client,
      declaration(family, { ...both, allowedClients: [...both.allowedClients, nobody[family]] }),
    );
    await put(client, declaration(family, { ...both, newFlowsPerSecond: 1_000 }));
    for (const [id] of ways)
      for (const flows of [outside, inside]) expect(await flows.ask(id)).toMatch(/^b[12]$/);
    await put(client, declaration(family, { allowedClients: [machines[family]] }));
    for (const [id] of ways) {
      expect(await outside.ask(id, 700)).toBe('silence');
      expect(await inside.ask(id)).toMatch(/^b[12]$/);
    }
    for (const [rule, [byClient]] of await refused())
      if (!rule.includes('pool-udp') && rule !== 'lb/dns') expect(byClient, rule).toBeGreaterThanOrEqual(1);
    // Allowed again, they go on where their ends still try; and leave nothing that keeps trying when this is over.
    await put(client, declaration(family, both));
    for (const [id] of ways) expect(await outside.ask(id, 20_000)).toMatch(/^b[12]$/);
  });

  it('new_flows_per_second: as many as the burst at once, then as many as the rate, the rest is refused and counted', async () => {
    const burst = 5;
    await declareAnew(family, { newFlowsPerSecond: 1, newFlowsBurst: burst });
    for (const door of doors(family).filter(({ scheme }) => scheme === 'udp')) {
      const before = (await refused()).get(door.rule)?.[1] ?? 0;
      const begun = Date.now();
      // One datagram each, from a port of its own: so many attempts, and no more.
      const answered = (await served(Array.from({ length: 30 }, () => door))).filter(Boolean).length;
      const seconds = (Date.now() - begun) / 1_000;
      expect(answered, door.rule).toBeGreaterThanOrEqual(burst);
      expect(answered, door.rule).toBeLessThanOrEqual(burst + Math.ceil(seconds));
      const [byClient, byRate = 0, byConcurrency] = (await refused()).get(door.rule) ?? [];
      expect(byRate - before, door.rule).toBe(30 - answered);
      expect([byClient, byConcurrency]).toEqual([0, 0]);
    }
    for (const door of doors(family).filter(({ rule }) => rule === 'lb/web' || rule === 'nat/pool')) {
      const answered = (
        await served(
          Array.from({ length: 30 }, () => door),
          700,
        )
      ).filter(Boolean).length;
      expect(answered, door.rule).toBeGreaterThanOrEqual(burst);
      expect(answered, door.rule).toBeLessThan(30);
      expect((await refused()).get(door.rule)?.[1], door.rule).toBeGreaterThan(0);
    }
    // An established flow is none of it.
    await declareAnew(family, { newFlowsPerSecond: 1, newFlowsBurst: 1 });
    await using flows = await Flows.start(lab);
    await flows.open('one', front[family], 80);
    for (let count = 0; count < 20; count += 1) expect(await flows.ask('one')).toMatch(/^b[12]$/);
  });

  it('concurrent_flows: no more than so many at once by TCP, and others when some have ended', async () => {
    await declareAnew(family, { concurrentFlows: 3 });
    const ways = doors(family).filter(({ scheme }) => scheme === 'http');
    for (const door of ways) {
      {
        await using flows = await Flows.start(lab);
        for (const id of ['1', '2', '3']) {
          await flows.open(id, door.address, door.port);
          expect(await flows.ask(id)).toMatch(/^b[12]$/);
        }
        expect(await served([door, door], 700), door.rule).toEqual([false, false]);
        const [byClient, byRate, byConcurrency] = (await refused()).get(door.rule) ?? [];
        expect(byConcurrency, door.rule).toBeGreaterThanOrEqual(2);
        expect([byClient, byRate]).toEqual([0, 0]);
        for (const id of ['1', '2', '3']) expect(await flows.ask(id)).toMatch(/^b[12]$/);
      }
      await until(10, async () => (await served([door])).every(Boolean));
    }
    // Other rules have counts of their own, and those without limits none.
    expect(await served([...free(family), ...free(family), ...free(family)])).not.toContain(false);
  });

  it('concurrent_flows: UDP flows count until they are idle, and begin anew then', async () => {
    await declareAnew(family, { concurrentFlows: 2 }, { idleTimeout: { seconds: 3 } });
    for (const door of doors(family).filter(({ scheme }) => scheme === 'udp')) {
      const six = Array.from({ length: 6 }, () => door);
      expect((await served(six, 700)).filter(Boolean), door.rule).toEqual([true, true]);
      expect((await refused()).get(door.rule)?.[2], door.rule).toBe(4);
      await until(20, async () => (await served([door])).every(Boolean));
    }
  });

  it('limits are kept over a restart of the agent, with what they count, and come and go with an update of the rule', async () => {
    await declareAnew(family, { concurrentFlows: 2, allowedClients: [clients[family]] });
    await using flows = await Flows.start(lab);
    for (const id of ['1', '2']) await flows.open(id, front[family], 80);
    await lab.killAgent();
    const doorOfWeb = { scheme: 'http', address: front[family], port: 80 } as const;
    expect(await served([doorOfWeb], 700)).toEqual([false]);
    await lab.startAgent();
    client.close();
    client = connect(lab);
    const loaded = await client.getStatus();
    expect(loaded.warnings).toEqual([]);
    expect(await served([doorOfWeb], 700)).toEqual([false]);
    expect((await refused()).get('lb/web')?.[2]).toBeGreaterThanOrEqual(2);
    for (const id of ['1', '2']) expect(await flows.ask(id)).toMatch(/^b[12]$/);
    const first = await refused();
    await put(client, declaration(family, {}));
    expect(await served([doorOfWeb, ...doors(family)])).not.toContain(false);
    expect(first.size).toBe(6);
    expect((await refused()).size).toBe(0);
    for (const id of ['1', '2']) expect(await flows.ask(id)).toMatch(/^b[12]$/);
    await put(client, declaration(family, { allowedClients: [nobody[family]] }));
    for (const id of ['1', '2']) expect(await flows.ask(id, 700)).toBe('silence');
  });
});

it('limits: status says which data plane sees to them, and plans change nothing', async () => {
  await declareAnew(4, { concurrentFlows: 2 });
  await until(10, async () => {
    const { notes } = await client.getStatus();
    const said = notes.includes('nftables forwards what 6 rules lead on, for their limits');
    return said === (dataplane === 'xdp');
  });
  const changes = { putLoadBalancers: [declaration(4, { allowedClients: [nobody[4]] })] };
  await client.apply({ changes, validateOnly: true });
  expect(await served(doors(4))).not.toContain(false);
});

it('limits: what cannot be is refused, each field with its remedy', async () => {
  const limits = {
    allowedClients: ['198.51.100.7/24', '2001:db8::/32', '198.51.100.7'],
    newFlowsPerSecond: 1_000_001,
    concurrentFlows: 50_001,
  };
  const failure = await failureOf(put(client, declaration(4, limits)));
  expect(failure.reason).toBe('CLIENT_RANGE_INVALID');
  expect(failure.violations.map(({ field }) => field)).toContain(
    'put_load_balancers[0].inbound_nat_rules[0].limits.allowed_clients[0]',
  );
  const said = failure.violations.map(({ description }) => description).join('\n');
  expect(said).toContain('host bits must be zero: write 198.51.100.0/24');
  expect(said).toContain('for this address alone write 198.51.100.7/32');
  expect(said).toContain('new_flows_per_second 1000001: must be 1 to 1000000');
  expect(said).toContain('concurrent_flows 50001: must be 1 to 50000');
});
