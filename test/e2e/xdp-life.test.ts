// The agent goes and comes, the program and its maps are replaced: flows of both kinds and families never notice.
import { appendFile, copyFile, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { control } from '../../src/dataplane/xdp/memory/layout.ts';
import { shippedObject } from '../../src/dataplane/xdp/object.ts';
import type { GatewayClient, Message } from '../../src/wire/client.ts';
import { memberAddress } from '../bench/declaration.ts';
import type { Lab } from '../lab/lab.ts';
import type { Traffic } from '../lab/traffic/traffic.ts';
import { slowness } from '../slowness.ts';
import { type Family, front, members, tcp, udp, webAndDns } from './support/declare.ts';
import { connect, listMappings, put } from './support/gateway.ts';
import { upLab } from './support/lab.ts';
import { machines } from './support/outcomes.ts';
import { pinnedPrograms, withRunning } from './support/pinned.ts';
import { SteadyFlows, type Way } from './support/steady.ts';
import { Writer } from './support/writer.ts';
import { programs } from './support/xdp.ts';

let lab: Lab;
let traffic: Traffic;
let steady: SteadyFlows;

/** Ports of their own behind NAT, so that those flows are kept nowhere. */
function declaration(family: Family, weights: readonly number[] = []): Message<'LoadBalancer'> {
  return {
    name: `lb${family}`,
    frontends: [{ name: 'front', address: front[family] }],
    backendPools: [
      {
        name: 'vms',
        members: members([1, 2], family).map((member, index) => ({ ...member, weight: weights[index] ?? 1 })),
      },
    ],
    inboundNatRules: [tcp, udp].map((protocol) => ({
      name: `direct-${protocol}`,
      frontend: 'front',
      protocol,
      backendPort: protocol === tcp ? 8080 : 5301,
      pool: { backendPool: 'vms', frontendPortRangeStart: 500, maximumMachines: 10 },
    })),
    loadBalancingRules: [...webAndDns],
  };
}

const ways: readonly Way[] = ([4, 6] as const).flatMap((family) => {
  const address = front[family];
  return [
    { name: `NAT, TCP, IPv${family}`, address, port: 500, transport: 'tcp' as const },
    { name: `NAT, UDP, IPv${family}`, address, port: 501, transport: 'udp' as const },
    ...Array.from({ length: 6 }, (_, number): Way => {
      return { name: `balanced, TCP, IPv${family}, ${number}`, address, port: 80, transport: 'tcp' };
    }),
    ...Array.from({ length: 3 }, (_, number): Way => {
      return { name: `balanced, UDP, IPv${family}, ${number}`, address, port: 53, transport: 'udp' };
    }),
  ];
});
const natWays = ways.filter(({ name }) => name.startsWith('NAT'));

beforeAll(async () => {
  lab = await upLab({ name: `e2e-xdp-life-${process.pid}`, backends: 2, agent: true });
  traffic = await lab.traffic();
  await ask((client) => put(client, declaration(4), declaration(6)));
  steady = await SteadyFlows.start(lab, ways);
  // From here on new flows go elsewhere: whoever stays, stays by the flow table.
  const emptier = ways.map(({ name }) => steady.machineOf(name)).includes('b1') ? [1, 500] : [500, 1];
  await ask((client) => put(client, declaration(4, emptier), declaration(6, emptier)));
});

afterAll(async () => {
  await steady?.[Symbol.asyncDispose]();
  await traffic?.stop();
  await lab?.down();
});

/** A client of its own: one that has seen the agent go waits before it connects again. */
async function ask<T>(work: (client: GatewayClient) => Promise<T>): Promise<T> {
  using client = connect(lab);
  return await work(client);
}

/** What the agent logs while something happens. */
async function logOf(act: () => Promise<unknown>): Promise<string> {
  const before = (await readFile(lab.agentLog, 'utf8')).length;
  await act();
  return (await readFile(lab.agentLog, 'utf8')).slice(before);
}

async function expectHealth(): Promise<void> {
  const { warnings, revision, dataPlaneRevision } = await ask((client) => client.getStatus());
  expect([warnings, dataPlaneRevision]).toEqual([[], revision]);
}

/** Packets that a mapping has counted, both directions. */
async function packetsOf(port: number): Promise<number> {
  const mappings = await ask((client) =>
    listMappings(client, { rule: `direct-${udp}`, loadBalancer: 'lb4' }),
  );
  return Number(mappings.find(({ frontendPort }) => frontendPort === port)?.counters?.packets ?? 0);
}

describe('a restart', () => {
  it('with nothing to do, and one by kill -9 in the midst of changes: the same program goes on', async () => {
    const running = await programs(lab);
    expect(Object.keys(running).toSorted()).toEqual(['lan0', 'wan0']);
    await steady.expectUntouched(async () => {
      const log = await logOf(async () => {
        await lab.stopAgent();
        expect(await programs(lab)).toEqual(running);
        await lab.startAgent();
      });
      expect(log).toContain('the kernel runs the stored revision; nothing to do');
    });
    expect(await programs(lab)).toEqual(running);
    const writers = [0, 1].map((number) => new Writer(number));
    await ask((client) => Promise.all(writers.map((writer) => writer.begin(client))));
    await steady.expectUntouched(async () => {
      for (let round = 0; round < 3; round += 1) {
        const acknowledged = (): number => writers.reduce((sum, writer) => sum + writer.acknowledged, 0);
        const enough = acknowledged() + 10;
        const changing = writers.map((writer) => ask((client) => writer.run(client)));
        await expect.poll(acknowledged, { interval: 1, timeout: 20_000 * slowness }).toBeGreaterThan(enough);
        await lab.killAgent();
        await Promise.all(changing);
        await lab.startAgent();
        await expectHealth();
        expect(await programs(lab)).toEqual(running);
      }
    });
    expect(await pinnedPrograms(lab)).toBe(1);
    await ask((client) =>
      client.apply({ changes: { deleteLoadBalancers: writers.map(({ name }) => name) } }),
    );
  });
});

describe('another build of the program', () => {
  it('takes the place of the running one, over the same maps', async () => {
    const before = await programs(lab);
    const maps = (): Promise<readonly number[]> =>
      withRunning(lab, (program) =>
        ['flows', 'control', 'counters'].map((name) => program.maps.get(name)?.id ?? 0),
      );
    const [mapsBefore, counted] = [await maps(), await packetsOf(501)];
    const object = join(lab.directory, 'other.bpf.o');
    await copyFile(shippedObject().path, object);
    // Behind the last section: another file, and the same program.
    await appendFile(object, '\0');
    const program = [
      process.execPath,
      join(import.meta.dirname, 'support/agent-of-another-build.ts'),
      object,
    ];
    await steady.expectUntouched(async () => {
      await lab.killAgent();
      const log = await logOf(() => lab.startAgent({ program }));
      expect(log).toContain('nothing to do');
    });
    const after = await programs(lab);
    expect(Object.keys(after).toSorted()).toEqual(['lan0', 'wan0']);
    for (const [name, id] of Object.entries(after)) expect(id).not.toBe(before[name]);
    expect(await maps()).toEqual(mapsBefore);
    expect(await packetsOf(501)).toBeGreaterThan(counted);
    expect(await pinnedPrograms(lab)).toBe(1);
    await expectHealth();
    // And back, by an agent that is asked to end.
    await steady.expectUntouched(async () => {
      await lab.stopAgent();
      await lab.startAgent();
    });
    expect(await pinnedPrograms(lab)).toBe(1);
  });
});

describe('more than the maps can hold', () => {
  it('moves to larger ones, with flows and counters', async () => {
    const [before, counted] = [await programs(lab), await packetsOf(501)];
    const crowd = Array.from({ length: 4_000 }, (_, number) => ({
      id: `m${number}`,
      address: memberAddress(0, number),
    }));
    const large = (count: number, balanced: boolean): Message<'LoadBalancer'> => ({
      name: 'large',
      frontends: [{ name: 'front', address: '203.0.113.99', addressOwnership: 2 }],
      backendPools: [
        { name: 'vms', members: crowd.slice(0, count) },
        { name: 'few', members: crowd.slice(0, 500) },
      ],
      inboundNatRules: [
        {
          name: 'ssh',
          frontend: 'front',
          protocol: tcp,
          backendPort: 22,
          pool: { backendPool: 'vms', frontendPortRangeStart: 1000, maximumMachines: 5000 },
        },
      ],
      loadBalancingRules: !balanced
        ? []
        : [80, 81, 82].map((port) => ({
            name: `web${port}`,
            frontend: 'front',
            protocol: tcp,
            frontendPort: port,
            backendPort: port,
            backendPool: 'few',
          })),
    });
    await steady.expectUntouched(async () => {
      const log = await logOf(async () => {
        await ask((client) => put(client, large(2_000, false)));
        await ask((client) => put(client, large(4_000, true)));
      });
      expect(log.match(/moving to larger maps/g)?.length).toBeGreaterThanOrEqual(2);
    });
    const after = await programs(lab);
    expect(Object.keys(after).toSorted()).toEqual(['lan0', 'wan0']);
    for (const [name, id] of Object.entries(after)) expect(id).not.toBe(before[name]);
    expect(await pinnedPrograms(lab)).toBe(1);
    const { maps } = await ask((client) => client.getStatus());
    expect(maps.find(({ name }) => name === 'frontends')?.capacity).toBeGreaterThanOrEqual(8_192);
    const grown = await packetsOf(501);
    expect(grown).toBeGreaterThan(counted);
    await steady.expectUntouched(async () => {});
    expect(await packetsOf(501)).toBeGreaterThanOrEqual(grown + 40);
    await expectHealth();
    // The next agent finds maps of these sizes.
    await steady.expectUntouched(async () => {
      await lab.killAgent();
      await lab.startAgent();
    });
    expect(await programs(lab)).toEqual(after);
  });
});

describe('maps of another layout', () => {
  it('are left alone until new ones are full, and mappings go on', async () => {
    const before = await programs(lab);
    await lab.stopAgent();
    await withRunning(lab, (program) => {
      new Uint32Array(program.memory('control').buffer)[control.abi / 4] = 999;
    });
    const log = await logOf(() => lab.startAgent());
    expect(log).toContain('loaded the stored revision');
    const after = await programs(lab);
    expect(Object.keys(after).toSorted()).toEqual(['lan0', 'wan0']);
    for (const [name, id] of Object.entries(after)) expect(id).not.toBe(before[name]);
    expect(await pinnedPrograms(lab)).toBe(1);
    await steady.expectUntouched(async () => {}, natWays);
    const requests = ([4, 6] as const).map((family) => ({
      address: front[family],
      port: 80,
      scheme: 'http' as const,
    }));
    expect(machines(await traffic.ask(requests)).every((machine) => /^b/.test(machine))).toBe(true);
    await expectHealth();
  });
});
