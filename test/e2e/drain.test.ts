// Drain periods: a member that drains keeps its flows until the period of the rule has passed, over restarts of the agent too.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { GatewayClient, Message } from '../../src/wire/client.ts';
import type { Lab } from '../lab/lab.ts';
import type { Traffic } from '../lab/traffic/traffic.ts';
import { adminState, type Family, front, members, webAndDns } from './support/declare.ts';
import { resetsAt, until } from './support/endings.ts';
import { Flows, reachAll } from './support/flows.ts';
import { connect, listLoadBalancers, put } from './support/gateway.ts';
import { listHealth, probe } from './support/health.ts';
import { upLab } from './support/lab.ts';
import { machines } from './support/outcomes.ts';

let lab: Lab;
let client: GatewayClient;
let traffic: Traffic;

beforeAll(async () => {
  lab = await upLab({ name: `e2e-drain-${process.pid}`, backends: 3, agent: true });
  client = connect(lab);
  traffic = await lab.traffic();
});

afterAll(async () => {
  await traffic?.stop();
  client?.close();
  await lab?.down();
});

beforeEach(async () => {
  await client.apply({
    changes: { deleteLoadBalancers: (await listLoadBalancers(client)).map(({ name }) => name) },
  });
});

/**
 * Rules on ports 80 and 53 drain for so long, the one on port 81 as long as flows last; without a period all do. With `probed`
 * those on ports 80 and 53 have a probe.
 */
function declaration(family: Family, period?: number, probed = false): Message<'LoadBalancer'> {
  const [web] = webAndDns;
  return {
    name: 'web',
    frontends: [{ name: 'front', address: front[family] }],
    backendPools: [{ name: 'vms', members: members([1, 2, 3], family) }],
    ...(probed && { probes: [probe('alive')] }),
    loadBalancingRules: [
      ...webAndDns.map((rule) => ({
        ...rule,
        ...(period && { drainPeriod: { seconds: period } }),
        ...(probed && { probe: 'alive' }),
      })),
      { ...web, name: 'ever', frontendPort: 81 },
    ],
  };
}

/** The same while `b2` drains. */
function draining(family: Family, period?: number, probed = false): Message<'LoadBalancer'> {
  const list = members([1, 2, 3], family).map((member) =>
    member.id === 'b2' ? { ...member, adminState: adminState.drain } : member,
  );
  return { ...declaration(family, period, probed), backendPools: [{ name: 'vms', members: list }] };
}

async function setState(name: string, family: Family, state: keyof typeof adminState): Promise<void> {
  const changed = members([1, 2, 3], family)
    .filter(({ id }) => id === name)
    .map((member) => ({ ...member, adminState: adminState[state] }));
  await client.apply({
    changes: { putMembers: [{ loadBalancer: 'web', backendPool: 'vms', members: changed }] },
  });
}

async function newFlows(address: string, count = 40): Promise<ReadonlySet<string>> {
  const request = { scheme: 'http', address, port: 80, timeout: 1_500 } as const;
  return new Set(machines(await traffic.ask(Array.from({ length: count }, () => request))));
}

/** Connections by the rule without a period, until one is with `machine`; its id. */
async function reachEver(flows: Flows, address: string, machine: string): Promise<string> {
  for (let count = 0; count < 60; count += 1) {
    await flows.open(`ever-${count}`, address, 81);
    if ((await flows.ask(`ever-${count}`)) === machine) return `ever-${count}`;
  }
  throw new Error(`no flow has reached ${machine}`);
}

/** Milliseconds since 1970, as the agent tells it. */
async function endOf(member: string, rule: string): Promise<number> {
  const found = (await listHealth(client)).find((each) => each.member === member && each.rule === rule);
  return (found?.drainEnds?.seconds ?? 0) * 1_000 + (found?.drainEnds?.nanos ?? 0) / 1_000_000;
}

describe.each([4, 6] as const)('IPv%i', (family) => {
  const here = front[family];

  it('2: flows go on until the period has passed; then both ends are reset, UDP moves, and others never notice', async () => {
    await put(client, declaration(family, 4));
    await using flows = await Flows.start(lab);
    const { connection, sender } = await reachAll(flows, here);
    const lasting = await reachEver(flows, here, 'b2');
    const before = await resetsAt(lab, 'b2');
    const others = [await resetsAt(lab, 'b1'), await resetsAt(lab, 'b3')];

    const begun = Date.now();
    await setState('b2', family, 'drain');

    expect(Math.abs((await endOf('b2', 'web')) - begun - 4_000)).toBeLessThan(2_000);
    expect(await newFlows(here)).toEqual(new Set(['b1', 'b3']));
    expect(await flows.ask(connection('b2'))).toBe('b2');
    expect(await flows.fate(connection('b2'))).toBe('open');

    await until(30, async () => (await flows.fate(connection('b2'))) !== 'open');
    expect(Date.now() - begun).toBeGreaterThan(3_900);
    expect(await flows.fate(connection('b2'))).toBe('reset');
    await until(5, async () => (await resetsAt(lab, 'b2')) > before);

    const after = await flows.sent(sender('b2'));
    const moved = await flows.settled(sender('b2'), after);
    expect(moved).not.toContain('b2');
    expect(moved).not.toContain(null);
    for (const machine of ['b1', 'b3']) {
      expect(await flows.ask(connection(machine))).toBe(machine);
      const since = await flows.sent(sender(machine));
      expect(new Set(await flows.settled(sender(machine), since))).toEqual(new Set([machine]));
    }
    // By a rule that gives it all the time it takes.
    expect(await flows.ask(lasting)).toBe('b2');
    expect([await resetsAt(lab, 'b1'), await resetsAt(lab, 'b3')]).toEqual(others);
    expect(await newFlows(here)).toEqual(new Set(['b1', 'b3']));

    await setState('b2', family, 'up');
    expect(await newFlows(here)).toEqual(new Set(['b1', 'b2', 'b3']));
  });

  it('2: a period or probe that some rules of a pool get, change or lose ends no flow that would not have ended by it', async () => {
    await put(client, declaration(family));
    await using flows = await Flows.start(lab);
    const { connection, sender } = await reachAll(flows, here);
    const lasting = await reachEver(flows, here, 'b2');
    await setState('b2', family, 'drain');
    const goOn = async () => {
      for (const machine of ['b1', 'b2', 'b3']) {
        expect(await flows.ask(connection(machine))).toBe(machine);
        const since = await flows.sent(sender(machine));
        expect(new Set(await flows.settled(sender(machine), since))).toEqual(new Set([machine]));
      }
      expect(await flows.ask(lasting)).toBe('b2');
    };
    await goOn();
    const declared = [[600], [500], [], [600, true], [undefined, true], [600]] as const;
    for (const [period, probed] of declared) {
      await put(client, draining(family, period, probed));
      await goOn();
    }

    await sleep(1_000);
    await put(client, draining(family, 1));

    await until(5, async () => (await flows.fate(connection('b2'))) === 'reset');
    const since = await flows.sent(sender('b2'));
    const moved = await flows.settled(sender('b2'), since);
    expect(moved).not.toContain('b2');
    expect(moved).not.toContain(null);
    expect(await flows.ask(lasting)).toBe('b2');
    await put(client, draining(family));
    for (const machine of ['b1', 'b3']) expect(await flows.ask(connection(machine))).toBe(machine);
    expect(await flows.ask(lasting)).toBe('b2');
  });

  it('2: a restart of the agent takes nothing from the period, and gives nothing to it', async () => {
    await put(client, declaration(family, 8));
    await using flows = await Flows.start(lab);
    const { connection } = await reachAll(flows, here);
    await setState('b2', family, 'drain');
    const end = await endOf('b2', 'web');

    await lab.killAgent();
    await sleep(1_000);
    expect(await flows.ask(connection('b2'))).toBe('b2');
    await lab.startAgent();

    expect(await endOf('b2', 'web')).toBe(end);
    if (Date.now() < end) expect(await flows.fate(connection('b2'))).toBe('open');
    await until(30, async () => (await flows.fate(connection('b2'))) === 'reset');
    expect(Date.now()).toBeGreaterThanOrEqual(end);
    expect(await flows.ask(connection('b1'))).toBe('b1');
  });

  it('2: a period that passes while no agent runs ends when one does', async () => {
    await put(client, declaration(family, 2));
    await using flows = await Flows.start(lab);
    const { connection } = await reachAll(flows, here);
    await setState('b2', family, 'drain');
    await lab.killAgent();
    await sleep(3_000);
    expect(await flows.ask(connection('b2'))).toBe('b2');
    await lab.startAgent();
    await until(30, async () => (await flows.fate(connection('b2'))) === 'reset');
    for (const machine of ['b1', 'b3']) expect(await flows.ask(connection(machine))).toBe(machine);
  });
});

it('2: the CLI tells how long a member that drains has left', async () => {
  await put(client, declaration(4, 600));
  await setState('b2', 4, 'drain');
  const { stdout } = await lab.penstock(['get', 'health']);
  const [titles = '', ...rows] = stdout.trimEnd().split('\n');
  expect(titles).toMatch(/FLOWS END$/);
  expect(rows.map((row) => row.split(/ {2,}/))).toEqual([
    ['web', 'web', 'b2', 'no', 'Down_Admin', '-', '-', expect.stringMatching(/^in \d+m$/)],
    ['web', 'dns', 'b2', 'no', 'Down_Admin', '-', '-', expect.stringMatching(/^in \d+m$/)],
  ]);
});
