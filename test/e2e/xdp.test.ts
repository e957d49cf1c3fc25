// What only XDP has: programs on interfaces and memory in the kernel, which come, stay and go with whom they should.
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Answer, GatewayClient, Message } from '../../src/wire/client.ts';
import type { Lab } from '../lab/lab.ts';
import { pinFolder } from '../lab/pins.ts';
import type { Traffic } from '../lab/traffic/traffic.ts';
import { slowness } from '../slowness.ts';
import { front, members, tcp, udp, webAndDns } from './support/declare.ts';
import { Flows } from './support/flows.ts';
import { connect, put } from './support/gateway.ts';
import { upLab } from './support/lab.ts';
import { machines } from './support/outcomes.ts';
import { isPinned, programs, trackedFlows } from './support/xdp.ts';

let lab: Lab;
let traffic: Traffic;

const declared: Message<'LoadBalancer'> = {
  name: 'lb',
  frontends: [{ name: 'front', address: front[4] }],
  backendPools: [{ name: 'vms', members: members([1, 2]) }],
  inboundNatRules: [tcp, udp].map((protocol) => ({
    name: `direct-${protocol}`,
    frontend: 'front',
    protocol,
    // No port that is balanced as well: answers are told apart by it, as long as no flow has to be remembered.
    backendPort: protocol === tcp ? 8080 : 5301,
    pool: { backendPool: 'vms', frontendPortRangeStart: 500, maximumMachines: 10 },
  })),
  loadBalancingRules: [...webAndDns],
};

beforeAll(async () => {
  lab = await upLab({ name: `e2e-xdp-${process.pid}`, backends: 2 });
  traffic = await lab.traffic();
});

afterAll(async () => {
  await traffic?.stop();
  await lab?.down();
});

beforeEach(async () => {
  await lab.startAgent();
  await ask((client) => put(client, declared));
});

afterEach(async () => {
  await lab.stopAgent();
  await flush();
});

/** A client of its own: one that has seen the agent go waits before it connects again. */
async function ask<T>(work: (client: GatewayClient) => Promise<T>): Promise<T> {
  using client = connect(lab);
  return await work(client);
}

async function status(): Promise<Answer<'GetStatusResponse'>> {
  return await ask((client) => client.getStatus());
}

async function flush() {
  return await lab.penstock(['flush', '--state-directory', lab.stateDirectory], { reject: false });
}

async function forwards(): Promise<boolean> {
  const asked = await traffic.ask([500, 501].map((port) => ({ scheme: 'http', address: front[4], port })));
  return machines(asked).join(' ') === 'b1 b2';
}

async function acceptsLocal(): Promise<readonly string[]> {
  const names = ['wan0', 'lan0'].map((name) => `net.ipv4.conf.${name}.accept_local`);
  return (await lab.exec('gateway', ['sysctl', '-n', ...names])).stdout.split('\n');
}

describe('status', () => {
  it('shows where the program runs, its memory, its flows, and what became of the packets', async () => {
    const requests = Array.from(
      { length: 20 },
      () => ({ scheme: 'http', address: front[4], port: 80 }) as const,
    );
    expect(new Set(machines(await traffic.ask(requests)))).toEqual(new Set(['b1', 'b2']));
    expect(await forwards()).toBe(true);
    const { dataPlane, interfaces, maps, mapBytes, flowTable, packetReasons } = await status();
    expect(dataPlane).toBe('xdp');
    const running = await programs(lab);
    const shown = interfaces.map(({ name, xdpMode, driver, reason, programId }) => {
      return { name, xdpMode, driver, reason, programId };
    });
    expect(shown.toSorted((a, b) => a.name.localeCompare(b.name))).toEqual(
      ['lan0', 'wan0'].map((name) => ({
        name,
        xdpMode: 'native',
        driver: 'veth',
        reason: '',
        programId: running[name],
      })),
    );
    expect(mapBytes).toBe(maps.reduce((sum, { bytes }) => sum + bytes, 0));
    expect(maps.find(({ name }) => name === 'frontends')?.used).toBeGreaterThanOrEqual(6);
    expect(flowTable?.capacity).toBeGreaterThanOrEqual(262_144);
    expect(flowTable?.used).toBeGreaterThanOrEqual(20);
    const forwarded = packetReasons.filter(({ outcome }) => outcome === 'forwarded');
    // Each request takes eight packets at least.
    expect(forwarded.reduce((sum, { packets }) => sum + packets, 0)).toBeGreaterThan(22 * 7);
    const text = (await lab.penstock(['status'])).stdout;
    expect(text).toMatch(/interface\s+wan0: XDP native, veth/);
    expect(text).toMatch(/map memory\s+[\d.]+ MiB in \d+ maps/);
    expect(text).toMatch(/flow table\s+\d+ of \d+,\d{3} flows/);
    expect(text).toMatch(/packets\s+[\d,]+ forwarded, /);
    expect(text).toMatch(/warnings\s+none/);
  });

  it('has a flow table of the size that was asked for', async () => {
    await lab.stopAgent();
    await flush();
    await lab.startAgent({
      arguments: ['--flow-table-size', '2048', '--interface', 'wan0', '--interface', 'lan0'],
    });
    const { flowTable, interfaces } = await status();
    expect(flowTable?.capacity).toBeGreaterThanOrEqual(2048);
    expect(flowTable?.capacity).toBeLessThan(2 * 2048 + 64);
    expect(interfaces.map(({ name }) => name).toSorted()).toEqual(['lan0', 'wan0']);
    expect(await forwards()).toBe(true);
  });

  it('counts by member of a pool', async () => {
    const requests = Array.from(
      { length: 30 },
      () => ({ scheme: 'http', address: front[4], port: 80 }) as const,
    );
    const reached = machines(await traffic.ask(requests));
    const counted = await ask(async (client) => {
      const chunks = await Array.fromAsync(client.listLoadBalancers({ name: 'lb', withCounters: true }));
      return chunks.flatMap(({ memberCounters }) => memberCounters);
    });
    for (const machine of ['b1', 'b2']) {
      const flows = reached.filter((name) => name === machine).length;
      const member = counted.find(({ member }) => member === machine);
      expect(member?.counters?.flows).toBe(flows);
      expect(member?.counters?.packets).toBeGreaterThanOrEqual(flows * 8);
    }
    expect((await lab.penstock(['get', 'lb', 'lb', '-o', 'wide'])).stdout).toMatch(/BALANCED POOL\s+MEMBER/);
  });
});

describe('an inbound NAT mapping', () => {
  it('costs no flow state', async () => {
    const requests = Array.from(
      { length: 50 },
      () => ({ scheme: 'http', address: front[4], port: 500 }) as const,
    );
    expect(new Set(machines(await traffic.ask(requests)))).toEqual(new Set(['b1']));
    expect(await trackedFlows(lab, 'tcp', 500)).toBe(0);
    expect((await status()).flowTable?.used).toBe(0);
  });
});

describe('a killed agent', () => {
  it('leaves the program at work; the next one takes over without putting it on anew', async () => {
    await using flows = await Flows.start(lab);
    await flows.open('nat', front[4], 500);
    await flows.open('balanced', front[4], 80);
    const machine = await flows.ask('balanced');
    await flows.send('sender', front[4], 501, 2);
    const before = await programs(lab);
    await lab.killAgent();
    expect(await programs(lab)).toEqual(before);
    expect(await forwards()).toBe(true);
    await lab.startAgent();
    expect(await programs(lab)).toEqual(before);
    expect([await flows.ask('nat'), await flows.ask('balanced')]).toEqual(['b1', machine]);
    expect(new Set(await flows.settled('sender'))).toEqual(new Set(['b2']));
  });

  it('finds what somebody has removed meanwhile, and loads it again', async () => {
    await lab.killAgent();
    const folder = await pinFolder(lab.namespace('gateway'));
    expect(folder).toBeDefined();
    await rm(folder ?? '', { recursive: true });
    await expect.poll(() => programs(lab)).toEqual({});
    expect(await forwards()).toBe(true);
    await lab.startAgent();
    expect(Object.keys(await programs(lab)).toSorted()).toEqual(['lan0', 'wan0']);
    expect(await forwards()).toBe(true);
    expect((await status()).warnings).toEqual([]);
  });
});

describe('a program that somebody takes away', () => {
  it('is put back within seconds, with a warning', async () => {
    const folder = await pinFolder(lab.namespace('gateway'));
    await rm(join(folder ?? '', 'links'), { recursive: true });
    await expect
      .poll(async () => (await status()).warnings.map(({ code }) => code), { timeout: 15_000 * slowness })
      .toEqual(['DATA_PLANE_REPAIRED']);
    expect(Object.keys(await programs(lab)).toSorted()).toEqual(['lan0', 'wan0']);
    expect(await forwards()).toBe(true);
  });
});

describe('the other data plane', () => {
  it('takes over, and gives back, while flows go on', async () => {
    await using flows = await Flows.start(lab);
    await flows.open('nat', front[4], 500);
    await flows.open('balanced', front[4], 80);
    const machine = await flows.ask('balanced');
    await flows.send('sender', front[4], 501, 2);
    const [answered] = [await flows.firstAnswer('sender')];
    expect(answered).toBe('b2');
    expect(await acceptsLocal()).toEqual(['1', '1']);

    await lab.stopAgent();
    const log = (await readFile(lab.agentLog, 'utf8')).length;
    await lab.startAgent({ arguments: ['--dataplane', 'nftables'] });

    expect((await readFile(lab.agentLog, 'utf8')).slice(log)).toMatch(/XDP: program removed from .*lan0/);
    expect(await programs(lab)).toEqual({});
    expect(await isPinned(lab)).toBe(false);
    expect(await acceptsLocal()).toEqual(['0', '0']);
    expect((await status()).interfaces).toEqual([]);
    expect(await forwards()).toBe(true);
    expect([await flows.ask('nat'), await flows.ask('balanced')]).toEqual(['b1', machine]);
    // On conntrack from now on.
    await flows.open('nat later', front[4], 501);
    await flows.open('balanced later', front[4], 80);
    const later = await flows.ask('balanced later');

    await lab.stopAgent();
    await lab.startAgent();

    expect(Object.keys(await programs(lab)).toSorted()).toEqual(['lan0', 'wan0']);
    expect(await forwards()).toBe(true);
    const asked = ['nat', 'balanced', 'nat later', 'balanced later'].map((id) => flows.ask(id));
    expect(await Promise.all(asked)).toEqual(['b1', machine, 'b2', later]);
    // Drivers, veth too, throw away what waits in their queues when a program comes or goes.
    const before = await flows.sent('sender');
    expect(new Set(await flows.settled('sender', before))).toEqual(new Set(['b2']));
    const answers = await flows.answers('sender');
    expect(answers.filter((answer) => answer !== null && answer !== 'b2')).toEqual([]);
  });
});

describe('flush', () => {
  it('leaves no program, no pin, no table and no setting', async () => {
    await lab.stopAgent();
    expect(await forwards()).toBe(true);
    const { exitCode, stdout } = await flush();
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/XDP: program removed from .*wan0/);
    expect(await programs(lab)).toEqual({});
    expect(await isPinned(lab)).toBe(false);
    expect((await lab.exec('gateway', ['nft', 'list', 'tables'])).stdout).toBe('');
    expect(await acceptsLocal()).toEqual(['0', '0']);
    expect((await flush()).exitCode).toBe(0);
    await lab.startAgent();
    expect(await forwards()).toBe(true);
  });
});
