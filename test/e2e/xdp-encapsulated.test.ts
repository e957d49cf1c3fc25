// Floating IP (issue item 6) with encapsulation: the machines are behind a router, hold the frontends' addresses, take the
// outer header off, and answer past the gateway. What nftables says to such rules, floating.test.ts has.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LoadBalancerDraft } from '../../src/resources/draft.ts';
import type { GatewayClient, Message } from '../../src/wire/client.ts';
import { farAddress, hideBehind, returnDirectly, sentByGateway } from '../lab/direct-return.ts';
import type { Lab } from '../lab/lab.ts';
import { client as clientNode } from '../lab/topology.ts';
import type { Request } from '../lab/traffic/message.ts';
import type { Traffic } from '../lab/traffic/traffic.ts';
import { all, type Family, front, members, otherFront, tcp, udp } from './support/declare.ts';
import { flowsOf } from './support/endings.ts';
import { Flows, reachAll } from './support/flows.ts';
import { connect, listLoadBalancers, put } from './support/gateway.ts';
import { upLab } from './support/lab.ts';
import { answersIn, clientsSeen, machines } from './support/outcomes.ts';
import { Reference } from './support/reference.ts';

const flow = { floatingIp: true, encapsulation: 2 } as const;

let lab: Lab;
let client: GatewayClient;
let traffic: Traffic;

beforeAll(async () => {
  lab = await upLab({
    name: `e2e-encap-${process.pid}`,
    backends: 4,
    agent: true,
    services: { http: [80, 8080], udp: [53, 5300, 5301] },
  });
  client = connect(lab);
  traffic = await lab.traffic();
  await returnDirectly(lab, [...Object.values(front), ...Object.values(otherFront)]);
  await hideBehind(lab, 'b4', lab.backends.slice(0, 3));
});

afterAll(async () => {
  await traffic?.stop();
  client?.close();
  await lab?.down();
});

function far(numbers: readonly number[], family: Family): Message<'Member'>[] {
  return members(numbers, family).map((member, index) => ({
    ...member,
    address: farAddress(numbers[index] ?? 0, family),
  }));
}

function web(family: Family, numbers: readonly number[] = [1, 2, 3]): Message<'LoadBalancer'> {
  const rule = { frontend: 'front', backendPool: 'vms', flow };
  return {
    name: 'web',
    frontends: [
      { name: 'front', address: front[family] },
      { name: 'whole', address: otherFront[family] },
    ],
    backendPools: [{ name: 'vms', members: far(numbers, family) }],
    loadBalancingRules: [
      { ...rule, name: 'web', protocol: tcp, frontendPort: 80, backendPort: 80 },
      { ...rule, name: 'dns', protocol: udp, frontendPort: 53, backendPort: 53 },
      { ...rule, name: 'every-port', frontend: 'whole', protocol: all, sessionPersistence: 2 },
    ],
  };
}

let nextPort = 20_000;

function flows(
  declared: Message<'LoadBalancer'>,
  count: number,
  scheme: 'http' | 'udp',
  address: string,
  port: number,
) {
  const reference = new Reference([declared as LoadBalancerDraft], lab.backends);
  const source = address.includes(':') ? clientNode.address6 : clientNode.address;
  const requests: Request[] = Array.from({ length: count }, () => {
    nextPort += 1;
    return { scheme, address, port, localPort: nextPort };
  });
  const transport = scheme === 'udp' ? 'udp' : 'tcp';
  const names = new Map([1, 2, 3].flatMap((n) => ([4, 6] as const).map((f) => [farAddress(n, f), `b${n}`])));
  const predicted = requests.map(({ localPort = 0 }) => {
    const found = reference.predict({ source, sourcePort: localPort, destination: address, port, transport });
    const at = found?.lastIndexOf(':') ?? 0;
    return names.get(found?.slice(0, at) ?? '');
  });
  return { requests, predicted };
}

describe.each([4, 6] as const)('floating IP (item 6) encapsulated on xdp, IPv%i', (family) => {
  const here = front[family];
  const there = otherFront[family];
  const from = family === 4 ? clientNode.address : clientNode.address6;

  // The first packets of this gateway that go within others.
  it('begins with the first machine of a pool that was empty', async () => {
    await put(client, web(family, []));
    await put(client, web(family));
    const { requests, predicted } = flows(web(family), 12, 'udp', here, 53);
    expect(machines(await traffic.ask(requests))).toEqual(predicted);
  });

  it.each([
    ['http', 80],
    ['udp', 53],
  ] as const)(
    'spreads %s flows to machines behind a router, which answer past the gateway',
    async (scheme, port) => {
      await put(client, web(family));
      const { requests, predicted } = flows(web(family), 60, scheme, here, port);
      const before = await sentByGateway(lab, 'wan0');
      const outcomes = await traffic.ask(requests);
      expect(machines(outcomes)).toEqual(predicted);
      expect(new Set(machines(outcomes)).size).toBe(3);
      expect(new Set(answersIn(outcomes).map(({ address }) => address))).toEqual(new Set([here]));
      expect(clientsSeen(outcomes)).toEqual([from]);
      expect((await sentByGateway(lab, 'wan0')) - before).toBeLessThan(12);
    },
  );

  it('takes every port, and keeps a client with one machine', async () => {
    await put(client, web(family));
    for (const [scheme, port] of [
      ['http', 8080],
      ['udp', 5301],
    ] as const) {
      const { requests, predicted } = flows(web(family), 12, scheme, there, port);
      const outcomes = await traffic.ask(requests);
      expect(machines(outcomes)).toEqual(predicted);
      expect(new Set(machines(outcomes)).size).toBe(1);
    }
  });

  it('leaves flows with their machines while another goes and the agent restarts; those of the one that goes move', async () => {
    await put(client, web(family));
    await using long = await Flows.start(lab);
    const { connection, sender } = await reachAll(long, here);
    await put(client, web(family, [1, 3]));
    await lab.killAgent();
    await lab.startAgent();
    for (const machine of ['b1', 'b3']) {
      expect(await long.ask(connection(machine))).toBe(machine);
      const since = await long.sent(sender(machine));
      expect(new Set(await long.settled(sender(machine), since))).toEqual(new Set([machine]));
    }
    const since = await long.sent(sender('b2'));
    const moved = new Set(await long.settled(sender('b2'), since));
    expect(moved.size).toBe(1);
    expect(moved).not.toContain('b2');
    expect(await long.ask(connection('b2'))).toBe('closed');
    const [found] = (await listLoadBalancers(client)).flatMap(({ loadBalancingRules }) => loadBalancingRules);
    expect(found?.flow).toMatchObject({ floatingIp: true, encapsulation: 2 });
  });

  it('counts flows, and carries datagrams that only their outer header makes too big, where IPv4 allows it', async () => {
    await put(client, web(family));
    const { requests, predicted } = flows(web(family), 9, 'udp', here, 53);
    // 1,500 bytes with the inner headers.
    const large = family === 4 ? 1_472 : 1_412;
    const before = await flowsOf(client, 'dns');
    const outcomes = await traffic.ask(requests.map((each) => ({ ...each, payloadBytes: large })));
    expect(machines(outcomes)).toEqual(predicted);
    expect((await flowsOf(client, 'dns')) - before).toBe(9);
  });
});
