// Which port is which machine, and which machine is which port; and counters that count what was sent.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Answer, GatewayClient, Message } from '../../src/wire/client.ts';
import type { Lab } from '../lab/lab.ts';
import { backend } from '../lab/topology.ts';
import type { Outcome, Request } from '../lab/traffic/message.ts';
import type { Traffic } from '../lab/traffic/traffic.ts';
import { all, type Family, front, members, otherFront, tcp, udp } from './support/declare.ts';
import { connect, listMappings, listRanges, type Mapping, ports, put } from './support/gateway.ts';
import { upLab } from './support/lab.ts';
import { answersIn } from './support/outcomes.ts';

let lab: Lab;
let client: GatewayClient;
let traffic: Traffic;

function declaration(family: Family): Message<'LoadBalancer'> {
  return {
    name: `nat${family}`,
    frontends: [
      { name: 'front', address: front[family] },
      { name: 'other', address: otherFront[family] },
    ],
    backendPools: [
      { name: 'vms', members: members([1, 2, 3], family) },
      { name: 'few', members: members([2], family) },
    ],
    inboundNatRules: [
      {
        name: 'web',
        frontend: 'front',
        protocol: tcp,
        backendPort: 80,
        pool: { backendPool: 'vms', frontendPortRangeStart: 500, maximumMachines: 5 },
      },
      {
        name: 'dns',
        frontend: 'other',
        protocol: udp,
        backendPort: 5300,
        pool: {
          backendPool: 'few',
          frontendPortRangeStart: 500,
          frontendPortRangeEnd: 503,
          portsPerMember: 2,
        },
      },
      {
        name: 'console',
        frontend: 'front',
        protocol: all,
        backendPort: 8080,
        single: { frontendPort: 2222, member: 'vms/b3' },
      },
      {
        name: 'plain',
        frontend: 'other',
        protocol: udp,
        backendPort: 5301,
        single: { frontendPort: 2222, address: family === 4 ? backend(1).address : backend(1).address6 },
      },
    ],
    loadBalancingRules: [
      {
        name: 'one',
        frontend: 'front',
        protocol: udp,
        frontendPort: 53,
        backendPort: 5300,
        backendPool: 'vms',
      },
      {
        name: 'idle',
        frontend: 'front',
        protocol: tcp,
        frontendPort: 53,
        backendPort: 80,
        backendPool: 'vms',
      },
    ],
  };
}

beforeAll(async () => {
  lab = await upLab({ name: `e2e-queries-${process.pid}`, backends: 3, agent: true });
  client = connect(lab);
  traffic = await lab.traffic();
  await put(client, declaration(4), declaration(6));
});

afterAll(async () => {
  await traffic?.stop();
  client?.close();
  await lab?.down();
});

async function portsOf(request: Message<'ListPortMappingsRequest'>): Promise<readonly string[]> {
  return ports(await listMappings(client, request));
}

describe('port mappings', () => {
  it('tell everything about a mapping', async () => {
    const before = Math.floor(Date.now() / 1000) - 60;
    const [mapping] = await listMappings(client, { loadBalancer: 'nat6', rule: 'web', member: 'b2' });
    expect(mapping).toMatchObject({
      loadBalancer: 'nat6',
      rule: 'web',
      frontendAddress: front[6],
      protocol: tcp,
      frontendPort: 501,
      member: 'b2',
      backendAddress: backend(2).address6,
      backendPort: 80,
    });
    expect(mapping?.assigned?.seconds).toBeGreaterThan(before);
  });

  it.each<[string, Message<'ListPortMappingsRequest'>, readonly string[]]>([
    [
      'by load balancer',
      { loadBalancer: 'nat4' },
      ['b1:500', 'b2:501', 'b3:502', 'b2:500', 'b2:501', 'b3:2222', ':2222'],
    ],
    ['by rule', { loadBalancer: 'nat4', rule: 'web' }, ['b1:500', 'b2:501', 'b3:502']],
    ['by rule, of every load balancer', { rule: 'console' }, ['b3:2222', 'b3:2222']],
    ['by pool', { loadBalancer: 'nat6', backendPool: 'few' }, ['b2:500', 'b2:501']],
    ['by member', { loadBalancer: 'nat4', member: 'b3' }, ['b3:502', 'b3:2222']],
    ['by the machine’s address', { memberAddress: backend(2).address }, ['b2:501', 'b2:500', 'b2:501']],
    ['by an address without a pool', { memberAddress: backend(1).address6 }, ['b1:500', ':2222']],
    ['by an address in another spelling', { memberAddress: 'FD00:10:0::5', rule: 'web' }, ['b2:501']],
    ['by frontend', { frontendAddress: otherFront[4] }, ['b2:500', 'b2:501', ':2222']],
    ['by frontend and port', { frontendAddress: front[4], frontendPort: 501 }, ['b2:501']],
    ['by frontend port', { frontendPort: 502 }, ['b3:502', 'b3:502']],
    ['by port and member', { frontendPort: 501, member: 'b2', loadBalancer: 'nat4' }, ['b2:501', 'b2:501']],
    ['of a port that leads nowhere', { frontendAddress: front[4], frontendPort: 504 }, []],
    ['of nobody', { member: 'nobody' }, []],
  ])('%s', async (_, request, expected) => {
    expect(await portsOf(request)).toEqual(expected);
  });

  it('lead back: the mapping of every port is the one that it was listed with', async () => {
    for (const mapping of await listMappings(client, { skipCounters: true })) {
      const { frontendAddress, frontendPort, rule, protocol } = mapping;
      const back = await listMappings(client, { frontendAddress, frontendPort, rule, skipCounters: true });
      expect(back).toEqual([mapping]);
      const [scheme, address] = [protocol === udp ? 'udp' : 'http', frontendAddress] as const;
      const [answer] = answersIn(await traffic.ask([{ scheme, address, port: frontendPort }]));
      expect(answer).toMatchObject({ address: mapping.backendAddress, port: mapping.backendPort });
    }
  });

  it('tell how full each range is', async () => {
    const ranges = (await listRanges(client)).filter(({ loadBalancer }) => loadBalancer === 'nat4');
    expect(ranges).toMatchObject([
      { rule: 'web', backendPool: 'vms', frontendPortRangeStart: 500, frontendPortRangeEnd: 504 },
      { rule: 'dns', backendPool: 'few', frontendPortRangeStart: 500, frontendPortRangeEnd: 503 },
    ]);
    expect(ranges.map(({ capacity, used, free, nextPort }) => [capacity, used, free, nextPort])).toEqual([
      [5, 3, 2, 503],
      [2, 1, 1, 502],
    ]);
  });
});

interface Counts {
  readonly packets: number;
  readonly bytes: number;
  readonly flows: number;
}

function countsOf(counters: Answer<'Counters'> | null | undefined): Counts {
  return { packets: counters?.packets ?? 0, bytes: counters?.bytes ?? 0, flows: counters?.flows ?? 0 };
}

/** What these datagrams and their answers come to, headers included. */
function countsIn(requests: readonly Request[], outcomes: readonly Outcome[], family: Family): Counts {
  const headers = (family === 4 ? 20 : 40) + 8;
  const payloads = requests.reduce((sum, { payloadBytes = 16 }) => sum + payloadBytes, 0);
  const answers = answersIn(outcomes).reduce((sum, answer) => sum + pythonLength(answer), 0);
  const packets = requests.length + answersIn(outcomes).length;
  return { packets, bytes: payloads + answers + headers * packets, flows: requests.length };
}

/** As Python writes JSON, with blanks. */
function pythonLength(answer: object): number {
  const fields = Object.entries(answer).map(([name, value]) => `"${name}": ${JSON.stringify(value)}`);
  return `{${fields.join(', ')}}`.length;
}

describe.each([4, 6] as const)('counters, IPv%i', (family) => {
  async function ofMapping(rule: string, frontendPort: number): Promise<Counts> {
    const found: readonly Mapping[] = await listMappings(client, {
      loadBalancer: `nat${family}`,
      rule,
      frontendPort,
    });
    return countsOf(found[0]?.counters);
  }

  async function ofRule(rule: string): Promise<Counts> {
    const request = { name: `nat${family}`, withCounters: true };
    for await (const { ruleCounters } of client.listLoadBalancers(request)) {
      const found = ruleCounters.find((one) => one.rule === rule);
      if (found !== undefined) return countsOf(found.counters);
    }
    throw new Error(`no counters of ${rule}`);
  }

  function minus(a: Counts, b: Counts): Counts {
    return { packets: a.packets - b.packets, bytes: a.bytes - b.bytes, flows: a.flows - b.flows };
  }

  it('of a mapping rise by what was sent, and those of its neighbours do not', async () => {
    const before = await Promise.all([
      ofMapping('dns', 500),
      ofMapping('dns', 501),
      ofMapping('plain', 2222),
    ]);
    const requests = [10, 100, 500].map(
      (payloadBytes): Request => ({ scheme: 'udp', address: otherFront[family], port: 500, payloadBytes }),
    );
    const outcomes = await traffic.ask(requests);
    const sent = countsIn(requests, outcomes, family);
    expect(sent.packets).toBe(6);
    expect(minus(await ofMapping('dns', 500), before[0])).toEqual(sent);
    expect(await ofMapping('dns', 501)).toEqual(before[1]);
    expect(await ofMapping('plain', 2222)).toEqual(before[2]);
  });

  it('of a mapping for both protocols are the sum of both', async () => {
    const before = await ofMapping('console', 2222);
    await traffic.ask([{ scheme: 'http', address: front[family], port: 2222 }]);
    const { flows, packets } = minus(await ofMapping('console', 2222), before);
    expect(flows).toBe(1);
    // A connection with one exchange takes eight packets at least.
    expect(packets).toBeGreaterThanOrEqual(8);
  });

  it('of a load-balancing rule rise by what was sent', async () => {
    const before = await Promise.all([ofRule('one'), ofRule('idle')]);
    const requests = Array.from(
      { length: 25 },
      (_, index): Request => ({ scheme: 'udp', address: front[family], port: 53, payloadBytes: 10 + index }),
    );
    const outcomes = await traffic.ask(requests);
    expect(minus(await ofRule('one'), before[0])).toEqual(countsIn(requests, outcomes, family));
    expect(await ofRule('idle')).toEqual(before[1]);
  });

  it('are left out when nobody wants them', async () => {
    const mappings = await listMappings(client, { loadBalancer: `nat${family}`, skipCounters: true });
    expect(mappings.filter(({ counters }) => counters !== null && counters !== undefined)).toEqual([]);
  });
});
