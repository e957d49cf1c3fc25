// Item 10 of what rules mean: `get flows` lists who talks to whom, and what is removed is gone from it at once.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Answer, GatewayClient, Message } from '../../src/wire/client.ts';
import { penstock } from '../lab/agent.ts';
import type { Lab } from '../lab/lab.ts';
import { client as clientNode } from '../lab/topology.ts';
import { all, type Family, front, members, tcp, udp, webAndDns } from './support/declare.ts';
import { Flows, reachAll } from './support/flows.ts';
import { connect, failureOf, listFlows, put } from './support/gateway.ts';
import { dataplane, upLab } from './support/lab.ts';

let lab: Lab;
let client: GatewayClient;

beforeAll(async () => {
  lab = await upLab({ name: `e2e-flows-${process.pid}`, backends: 3, agent: true });
  client = connect(lab);
});

afterAll(async () => {
  client?.close();
  await lab?.down();
});

function declaration(family: Family, numbers: readonly number[] = [1, 2, 3]): Message<'LoadBalancer'> {
  return {
    name: 'web',
    frontends: [{ name: 'front', address: front[family] }],
    backendPools: [{ name: 'vms', members: members(numbers, family) }],
    loadBalancingRules: [...webAndDns],
    inboundNatRules: [
      {
        name: 'direct',
        frontend: 'front',
        protocol: all,
        backendPort: 80,
        pool: { backendPool: 'vms', frontendPortRangeStart: 500, maximumMachines: 10 },
      },
      // The only way to this port: XDP needs no state for it.
      {
        name: 'alone',
        frontend: 'front',
        protocol: tcp,
        backendPort: 8080,
        pool: { backendPool: 'vms', frontendPortRangeStart: 600, maximumMachines: 10 },
      },
    ],
  };
}

const text = (flow: Answer<'Flow'>) => `${flow.rule} ${flow.member} ${flow.protocol === tcp ? 'tcp' : 'udp'}`;

describe.each([4, 6] as const)('IPv%i', (family) => {
  const here = front[family];
  const peer = family === 4 ? clientNode.address : clientNode.address6;

  beforeEach(async () => {
    await client.replaceAll([{ commit: {} }]);
    await put(client, declaration(family));
  });

  it('10: lists flows with all that is known of them, by rule, member, frontend and client', async () => {
    await using flows = await Flows.start(lab);
    const { connection, sender } = await reachAll(flows, here);
    expect([connection('b1'), sender('b1')]).toEqual([expect.any(String), expect.any(String)]);

    const [flow] = await listFlows(client, { rule: 'web', member: 'b2' });
    expect(flow).toMatchObject({
      loadBalancer: 'web',
      rule: 'web',
      direction: 1,
      protocol: tcp,
      peerAddress: peer,
      frontendAddress: here,
      frontendPort: 80,
      backendPool: 'vms',
      member: 'b2',
      backendAddress: members([2], family)[0]?.address,
      backendPort: 80,
      state: 2,
      keptBy: dataplane === 'xdp' ? 'xdp' : 'conntrack',
    });
    expect(flow?.peerPort).toBeGreaterThan(1023);
    const of = async (request: Message<'ListFlowsRequest'>) =>
      new Set((await listFlows(client, request)).map(text));
    expect(await of({ rule: 'web' })).toEqual(new Set(['web b1 tcp', 'web b2 tcp', 'web b3 tcp']));
    expect(await of({ member: 'b3' })).toEqual(new Set(['web b3 tcp', 'dns b3 udp']));
    expect(await of({ frontendAddress: here, frontendPort: 53 })).toEqual(
      new Set(['dns b1 udp', 'dns b2 udp', 'dns b3 udp']),
    );
    expect(await of({ memberAddress: members([1], family)[0]?.address ?? '', peerAddress: peer })).toEqual(
      new Set(['web b1 tcp', 'dns b1 udp']),
    );
    expect(await of({ peerAddress: family === 4 ? '192.0.2.1' : '2001:db8::1' })).toEqual(new Set());
    expect(await of({ loadBalancer: 'other' })).toEqual(new Set());
  });

  it('10: lists flows of inbound NAT rules where there is state to list', async () => {
    await using flows = await Flows.start(lab);
    await flows.open('nat', here, 501);
    await flows.open('alone', here, 600);
    expect([await flows.ask('nat'), await flows.ask('alone')]).toEqual(['b2', 'b1']);
    expect((await listFlows(client, { rule: 'direct' })).map(text)).toEqual(['direct b2 tcp']);
    const listed = (await listFlows(client, { rule: 'alone' })).map(text);
    expect(listed).toEqual(dataplane === 'xdp' ? [] : ['alone b1 tcp']);
  });

  it('10: a member that goes takes its flows along at once, UDP that keeps sending too, and only those', async () => {
    await using flows = await Flows.start(lab);
    const { connection, sender } = await reachAll(flows, here);
    const before = (await listFlows(client, {})).filter(({ member }) => member !== 'b2');

    await client.apply({
      changes: { deleteMembers: [{ loadBalancer: 'web', backendPool: 'vms', ids: ['b2'] }] },
    });

    expect(await listFlows(client, { memberAddress: members([2], family)[0]?.address ?? '' })).toEqual([]);
    const after = await flows.settled(sender('b2'), await flows.sent(sender('b2')));
    expect(after).not.toContain('b2');
    expect(after).not.toContain(null);
    expect(await listFlows(client, { member: 'b2' })).toEqual([]);
    const ports = new Set((await listFlows(client, {})).map(({ peerPort }) => peerPort));
    expect(before.filter(({ peerPort }) => !ports.has(peerPort))).toEqual([]);
    expect(await flows.ask(connection('b1'))).toBe('b1');
    expect(await flows.ask(connection('b3'))).toBe('b3');
  });

  it('10: a rule that goes takes its flows along at once, UDP that keeps sending too, and only those', async () => {
    await using flows = await Flows.start(lab);
    const { connection, sender } = await reachAll(flows, here);
    const { loadBalancingRules = [], ...rest } = declaration(family);

    await put(client, {
      ...rest,
      loadBalancingRules: loadBalancingRules?.filter(({ protocol }) => protocol !== udp) ?? [],
    });

    expect((await listFlows(client, { frontendPort: 53 })).map(text)).toEqual([]);
    const gone = await flows.settled(sender('b1'), await flows.sent(sender('b1')));
    expect(new Set(gone)).toEqual(new Set([null]));
    expect((await listFlows(client, { frontendPort: 53 })).map(text)).toEqual([]);
    for (const machine of ['b1', 'b2', 'b3']) expect(await flows.ask(connection(machine))).toBe(machine);
    expect((await listFlows(client, { rule: 'web' })).length).toBeGreaterThan(2);
  });
});

it('10: lists no more than are asked for, and says that there are more', async () => {
  await put(client, declaration(4));
  await using flows = await Flows.start(lab);
  for (let count = 0; count < 12; count += 1) await flows.open(`${count}`, front[4], 80);
  const chunks: Answer<'ListFlowsResponse'>[] = [];
  for await (const chunk of client.listFlows({ rule: 'web', limit: 5 })) chunks.push(chunk);
  expect(chunks.flatMap((chunk) => chunk.flows)).toHaveLength(5);
  expect(chunks.at(-1)?.more).toBe(true);
  const drained: boolean[] = [];
  for await (const { more } of client.listFlows({ rule: 'web' })) drained.push(more);
  expect(drained.at(-1)).toBe(false);
});

it('10: `penstock get flows` shows them, and refuses what cannot be meant', async () => {
  await put(client, declaration(4));
  await using flows = await Flows.start(lab);
  await flows.open('one', front[4], 80);
  const machine = await flows.ask('one');
  const run = async (...args: readonly string[]) =>
    await lab.exec('gateway', [penstock, 'get', 'flows', ...args], {
      env: { PENSTOCK_ADDRESS: lab.address },
    });
  const { stdout } = await run('--lb', 'web', '--member', machine, '-o', 'wide');
  expect(stdout).toMatch(/^LOAD BALANCER +RULE +WAY +PEER +FRONTEND +MEMBER +BACKEND +STATE +KEPT BY/);
  expect(stdout).toMatch(
    new RegExp(`web +web +IN +198\\.51\\.100\\.10:\\d+ +203\\.0\\.113\\.10:80/tcp +${machine} `),
  );
  const { stdout: json } = await run('--limit', '1', '-o', 'json');
  expect(JSON.parse(json)).toMatchObject({
    flows: [{ loadBalancer: 'web', direction: 'FLOW_DIRECTION_INBOUND' }],
  });
  const failure = await failureOf(listFlows(client, { limit: 100_001, peerAddress: 'nobody' }));
  expect(failure.violations.map(({ field, reason }) => `${field} ${reason}`)).toEqual([
    'limit VALUE_OUT_OF_RANGE',
    'peer_address ADDRESS_INVALID',
  ]);
});
