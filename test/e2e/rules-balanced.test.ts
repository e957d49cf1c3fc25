// Load-balancing rules of every kind, in both families: who gets each flow is known beforehand from the reference.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LoadBalancerDraft } from '../../src/resources/draft.ts';
import type { GatewayClient, Message } from '../../src/wire/client.ts';
import type { Lab } from '../lab/lab.ts';
import { backend, client as clientNode, gateway, type Node } from '../lab/topology.ts';
import type { Request } from '../lab/traffic/message.ts';
import type { Traffic } from '../lab/traffic/traffic.ts';
import { addressOf, all, type Family, front, members, otherFront, tcp, udp } from './support/declare.ts';
import { connect, put } from './support/gateway.ts';
import { upLab } from './support/lab.ts';
import { clientsSeen, machines, reached, tally } from './support/outcomes.ts';
import { ping } from './support/ping.ts';
import { Reference } from './support/reference.ts';

const persistence = { none: 1, clientIp: 2, clientIpProtocol: 3 } as const;

let lab: Lab;
let client: GatewayClient;
let traffic: Traffic;
let reference: Reference;

function balanced(
  name: string,
  frontendPort: number,
  backendPool: string,
  more: Message<'LoadBalancingRule'> = {},
): Message<'LoadBalancingRule'>[] {
  const rule = { frontend: 'front', backendPool, frontendPort, ...more };
  return [
    { ...rule, name: `${name}-tcp`, protocol: tcp, backendPort: 80 },
    { ...rule, name: `${name}-udp`, protocol: udp, backendPort: 5300 },
  ];
}

function declaration(family: Family): Message<'LoadBalancer'> {
  const [b1, b2] = members([1, 2], family);
  return {
    name: `web${family}`,
    frontends: [
      { name: 'front', address: front[family] },
      { name: 'whole', address: otherFront[family] },
    ],
    backendPools: [
      { name: 'three', members: members([1, 2, 3], family) },
      { name: 'heavy', members: [{ ...b1, weight: 3 }, { ...b2 }] },
      { name: 'empty' },
    ],
    loadBalancingRules: [
      ...balanced('spread', 1000, 'three'),
      ...balanced('by-client', 1001, 'three', { sessionPersistence: persistence.clientIp }),
      ...balanced('by-protocol', 1002, 'three', { sessionPersistence: persistence.clientIpProtocol }),
      ...balanced('weighted', 1003, 'heavy', { sessionPersistence: persistence.none }),
      ...balanced('masquerading', 1004, 'three', { flow: { sourceNat: 2 } }),
      ...balanced('nobody', 1005, 'empty'),
      { name: 'every-port', frontend: 'whole', protocol: all, backendPool: 'three' },
      {
        name: 'one-port',
        frontend: 'whole',
        protocol: tcp,
        frontendPort: 8080,
        backendPort: 80,
        backendPool: 'heavy',
      },
    ],
    inboundNatRules: [
      {
        name: 'console',
        frontend: 'whole',
        protocol: udp,
        backendPort: 5301,
        single: { frontendPort: 5300, address: addressOf(backend(4), family) },
      },
    ],
  };
}

/** Stands beside the others, on another frontend port and with another pool of the same name. */
const neighbour: Message<'LoadBalancer'> = {
  name: 'neighbour',
  frontends: [{ name: 'front', address: front[4] }],
  backendPools: [{ name: 'three', members: members([4]) }],
  loadBalancingRules: balanced('spread', 2000, 'three'),
};

beforeAll(async () => {
  lab = await upLab({ name: `e2e-rules-bal-${process.pid}`, backends: 4, agent: true });
  client = connect(lab);
  traffic = await lab.traffic();
  const declared = [declaration(4), declaration(6), neighbour];
  await put(client, ...declared);
  reference = new Reference(declared as LoadBalancerDraft[], lab.backends);
});

afterAll(async () => {
  await traffic?.stop();
  client?.close();
  await lab?.down();
});

let nextPort = 20_000;

/** Requests from local ports that no other has used, with what the reference says about each. */
function flows(
  count: number,
  scheme: 'http' | 'udp',
  address: string,
  port: number,
  source: string,
): { readonly requests: readonly Request[]; readonly predicted: readonly (string | undefined)[] } {
  const requests = Array.from({ length: count }, () => {
    nextPort += 1;
    return { scheme, address, port, localPort: nextPort } as const;
  });
  const transport = scheme === 'udp' ? 'udp' : 'tcp';
  const predicted = requests.map(({ localPort }) =>
    reference.predict({ source, sourcePort: localPort, destination: address, port, transport }),
  );
  return { requests, predicted };
}

describe.each([4, 6] as const)('IPv%i', (family) => {
  const here = front[family];
  const there = otherFront[family];
  const from = family === 4 ? clientNode.address : clientNode.address6;

  it.each(['http', 'udp'] as const)(
    'spreads %s flows by all five fields, as the reference says',
    async (scheme) => {
      const { requests, predicted } = flows(90, scheme, here, 1000, from);
      const outcomes = await traffic.ask(requests);
      expect(reached(outcomes)).toEqual(predicted);
      expect(new Set(machines(outcomes)).size).toBe(3);
      expect(clientsSeen(outcomes)).toEqual([from]);
    },
  );

  it('4: sends all flows of a client to one machine, whatever the protocol', async () => {
    const [overTcp, overUdp] = [flows(20, 'http', here, 1001, from), flows(20, 'udp', here, 1001, from)];
    const outcomes = await traffic.ask([...overTcp.requests, ...overUdp.requests]);
    expect(reached(outcomes)).toEqual([...overTcp.predicted, ...overUdp.predicted]);
    expect(new Set(machines(outcomes)).size).toBe(1);
  });

  it('sends other clients to the machines that the reference names', async () => {
    const sources: readonly (readonly [Node, string])[] = [
      ['b1', addressOf(backend(1), family)],
      ['b3', addressOf(backend(3), family)],
      ['b4', addressOf(backend(4), family)],
      // From a host to an address of its own, the source is that address.
      ['gateway', here],
    ];
    for (const [node, source] of sources) {
      const byClient = flows(4, 'http', here, 1001, source);
      const byFive = flows(12, 'udp', here, 1000, source);
      await using machine = await lab.traffic(node);
      const outcomes = await machine.ask([...byClient.requests, ...byFive.requests]);
      expect(reached(outcomes), node).toEqual([...byClient.predicted, ...byFive.predicted]);
    }
  });

  it('4: sends all flows of a client over one protocol to one machine', async () => {
    for (const scheme of ['http', 'udp'] as const) {
      const { requests, predicted } = flows(20, scheme, here, 1002, from);
      const outcomes = await traffic.ask(requests);
      expect(reached(outcomes)).toEqual(predicted);
      expect(new Set(machines(outcomes)).size).toBe(1);
    }
  });

  it('gives a machine of three times the weight three times the flows', async () => {
    const { requests, predicted } = flows(400, 'udp', here, 1003, from);
    const outcomes = await traffic.ask(requests);
    expect(reached(outcomes)).toEqual(predicted);
    const { b1 = 0, b2 = 0 } = tally(machines(outcomes));
    expect(b1 + b2).toBe(400);
    // Three standard deviations of 400 flows.
    expect(b1).toBeGreaterThan(274);
    expect(b1).toBeLessThan(326);
  });

  it('9: shows the gateway’s address to the machines where a rule masquerades', async () => {
    for (const scheme of ['http', 'udp'] as const) {
      const { requests, predicted } = flows(12, scheme, here, 1004, from);
      const outcomes = await traffic.ask(requests);
      expect(reached(outcomes)).toEqual(predicted);
      expect(clientsSeen(outcomes)).toEqual([family === 4 ? gateway.lan.address : gateway.lan.address6]);
    }
  });

  it('5: balances every port, except where a rule is for the very port', async () => {
    const wanted = [
      flows(12, 'http', there, 80, from),
      flows(12, 'udp', there, 5301, from),
      flows(12, 'http', there, 8080, from),
      flows(2, 'udp', there, 5300, from),
    ];
    const outcomes = await traffic.ask(wanted.flatMap(({ requests }) => requests));
    expect(reached(outcomes)).toEqual(wanted.flatMap(({ predicted }) => predicted));
    const hit = reached(outcomes);
    expect(new Set(hit.slice(0, 12))).toEqual(new Set(['b1:80', 'b2:80', 'b3:80']));
    expect(new Set(hit.slice(12, 24))).toEqual(new Set(['b1:5301', 'b2:5301', 'b3:5301']));
    expect(new Set(hit.slice(24, 36))).toEqual(new Set(['b1:80', 'b2:80']));
    expect(hit.slice(36)).toEqual(['b4:5301', 'b4:5301']);
  });

  it('drops flows to a pool without machines', async () => {
    const outcomes = await traffic.ask([
      { scheme: 'http', address: here, port: 1005, timeout: 500 },
      { scheme: 'udp', address: here, port: 1005, timeout: 500 },
    ]);
    expect(machines(outcomes)).toEqual(['lost (timeout)', 'lost (timeout)']);
  });
});

describe('two load balancers', () => {
  it('share an address, each with its own pool', async () => {
    const own = flows(6, 'http', front[4], 2000, clientNode.address);
    const other = flows(6, 'http', front[4], 1000, clientNode.address);
    const outcomes = reached(await traffic.ask([...own.requests, ...other.requests]));
    expect(outcomes).toEqual([...own.predicted, ...other.predicted]);
    expect(new Set(outcomes.slice(0, 6))).toEqual(new Set(['b4:80']));
    expect(outcomes.slice(6)).not.toContain('b4:80');
  });

  it('go one at a time, and leave the address to the one that stays', async () => {
    await client.apply({ changes: { deleteLoadBalancers: ['neighbour'] } });
    const own = flows(6, 'http', front[4], 1000, clientNode.address);
    expect(reached(await traffic.ask(own.requests))).toEqual(own.predicted);
    const gone = await traffic.ask([{ scheme: 'http', address: front[4], port: 2000, timeout: 1_000 }]);
    expect(machines(gone)[0]).toMatch(/^lost/);
    expect(await ping(lab, front[4])).toBe(front[4]);
  });
});
