// In brief, what has to work on every kernel: rules forward, a change is seen, a killed agent comes back.
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { GatewayClient, Message } from '../../src/wire/client.ts';
import type { Lab } from '../lab/lab.ts';
import { client as clientNode } from '../lab/topology.ts';
import type { Traffic } from '../lab/traffic/traffic.ts';
import { type Family, front, members, tcp, udp, webAndDns } from './support/declare.ts';
import { Flows } from './support/flows.ts';
import { connect, put } from './support/gateway.ts';
import { dataplane, upLab } from './support/lab.ts';
import { clientsSeen, machines } from './support/outcomes.ts';

let lab: Lab;
let client: GatewayClient;
let traffic: Traffic;

function declaration(family: Family, numbers: readonly number[]): Message<'LoadBalancer'> {
  return {
    name: `brief${family}`,
    frontends: [{ name: 'front', address: front[family] }],
    backendPools: [{ name: 'vms', members: members(numbers, family) }],
    inboundNatRules: [tcp, udp].map((protocol) => ({
      name: `direct-${protocol}`,
      frontend: 'front',
      protocol,
      backendPort: protocol === tcp ? 80 : 5300,
      pool: { backendPool: 'vms', frontendPortRangeStart: 500, maximumMachines: 10 },
    })),
    loadBalancingRules: [...webAndDns],
  };
}

beforeAll(async () => {
  lab = await upLab({ name: `e2e-brief-${process.pid}`, backends: 2, agent: true });
  client = connect(lab);
  traffic = await lab.traffic();
  await put(client, declaration(4, [1, 2]), declaration(6, [1, 2]));
});

afterAll(async () => {
  await traffic?.stop();
  client?.close();
  await lab?.down();
});

async function ask(family: Family, scheme: 'http' | 'udp', ports: readonly number[]) {
  return await traffic.ask(ports.map((port) => ({ scheme, address: front[family], port })));
}

it('runs on the data plane that was asked for, and has nothing to complain of', async () => {
  expect(await client.getStatus()).toMatchObject({ dataPlane: dataplane, warnings: [] });
});

it.each([
  [4, clientNode.address],
  [6, clientNode.address6],
] as const)(
  'forwards IPv%i to the machine of the port and to one of a pool, and keeps the client’s address',
  async (family, from) => {
    const direct = [...(await ask(family, 'http', [500, 501])), ...(await ask(family, 'udp', [500, 501]))];
    expect(machines(direct)).toEqual(['b1', 'b2', 'b1', 'b2']);
    const balanced = [...(await ask(family, 'http', [80])), ...(await ask(family, 'udp', [53]))];
    expect(['b1', 'b2']).toEqual(expect.arrayContaining([...new Set(machines(balanced))]));
    expect(clientsSeen([...direct, ...balanced])).toEqual([from]);
  },
);

it('ends the flows of a machine that goes, and no others', async () => {
  await using flows = await Flows.start(lab);
  await flows.open('stays', front[4], 500);
  await flows.open('goes', front[4], 501);
  await put(client, declaration(4, [1]));
  expect(await flows.ask('stays')).toBe('b1');
  expect(await flows.ask('goes')).not.toBe('b2');
  expect(machines(await ask(4, 'http', [80, 80, 80]))).toEqual(['b1', 'b1', 'b1']);
  await put(client, declaration(4, [1, 2]));
  expect(machines(await ask(4, 'http', [501]))).toEqual(['b2']);
});

// What outlives an agent on nftables is the same on every kernel; pins and attached programs are not.
if (dataplane === 'xdp') {
  it('goes on forwarding while the agent is dead, and finds itself as it was when it comes back', async () => {
    await using flows = await Flows.start(lab);
    await flows.open('flow', front[4], 501);
    const { revision } = await client.getStatus();
    await lab.killAgent();
    expect(await flows.ask('flow')).toBe('b2');
    expect(machines(await ask(6, 'http', [500, 501]))).toEqual(['b1', 'b2']);
    await lab.startAgent();
    using fresh = connect(lab);
    expect(await fresh.getStatus()).toMatchObject({ revision, dataPlaneRevision: revision, warnings: [] });
    expect(await flows.ask('flow')).toBe('b2');
    expect(machines(await ask(4, 'udp', [500, 501]))).toEqual(['b1', 'b2']);
  });
}
