// Floating IP (issue item 6): the destination address stays the frontend's, the machine holds it, and its answers go past
// the gateway. By kind of rule, in both families; the file runs on both data planes.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { LoadBalancerDraft } from '../../src/resources/draft.ts';
import type { GatewayClient, Message } from '../../src/wire/client.ts';
import { returnDirectly, sentByGateway } from '../lab/direct-return.ts';
import type { Lab } from '../lab/lab.ts';
import { backend, client as clientNode } from '../lab/topology.ts';
import type { Request } from '../lab/traffic/message.ts';
import type { Traffic } from '../lab/traffic/traffic.ts';
import {
  addressOf,
  adminState,
  all,
  type Family,
  front,
  members,
  otherFront,
  tcp,
  udp,
} from './support/declare.ts';
import { flowsOf } from './support/endings.ts';
import { Flows, reachAll } from './support/flows.ts';
import { connect, failureOf, listLoadBalancers, put } from './support/gateway.ts';
import { dataplane, upLab } from './support/lab.ts';
import { answersIn, clientsSeen, machines, reached } from './support/outcomes.ts';
import { ping } from './support/ping.ts';
import { Reference } from './support/reference.ts';

const persistence = { clientIp: 2, clientIpProtocol: 3 } as const;
const floating = { floatingIp: true } as const;

let lab: Lab;
let client: GatewayClient;
let traffic: Traffic;

beforeAll(async () => {
  lab = await upLab({
    name: `e2e-floating-${process.pid}`,
    backends: 4,
    agent: true,
    services: { http: [80, 81, 8080], udp: [53, 5300, 5301] },
  });
  client = connect(lab);
  traffic = await lab.traffic();
  await returnDirectly(lab, [...Object.values(front), ...Object.values(otherFront)]);
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

function web(family: Family, numbers: readonly number[] = [1, 2, 3]): Message<'LoadBalancer'> {
  const rule = { frontend: 'front', backendPool: 'vms', flow: floating };
  return {
    name: 'web',
    frontends: [
      { name: 'front', address: front[family] },
      { name: 'whole', address: otherFront[family] },
    ],
    backendPools: [
      { name: 'vms', members: members(numbers, family) },
      { name: 'two', members: members([1, 2], family) },
      { name: 'empty' },
    ],
    loadBalancingRules: [
      { ...rule, name: 'web', protocol: tcp, frontendPort: 80, backendPort: 80 },
      { ...rule, name: 'dns', protocol: udp, frontendPort: 53, backendPort: 53 },
      {
        ...rule,
        name: 'by-client',
        protocol: tcp,
        frontendPort: 8080,
        backendPort: 8080,
        sessionPersistence: persistence.clientIp,
      },
      {
        ...rule,
        name: 'by-protocol',
        protocol: udp,
        frontendPort: 5300,
        backendPort: 5300,
        sessionPersistence: persistence.clientIpProtocol,
      },
      { ...rule, name: 'other-port', protocol: udp, frontendPort: 1053, backendPort: 5301 },
      { ...rule, name: 'other-port-tcp', protocol: tcp, frontendPort: 1080, backendPort: 81 },
      { ...rule, name: 'nobody', protocol: tcp, frontendPort: 81, backendPort: 81, backendPool: 'empty' },
      { ...rule, name: 'every-port', frontend: 'whole', protocol: all },
      {
        name: 'one-port',
        frontend: 'whole',
        protocol: tcp,
        frontendPort: 8080,
        backendPort: 80,
        backendPool: 'two',
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

let nextPort = 20_000;

function flows(
  reference: Reference,
  count: number,
  scheme: 'http' | 'udp',
  address: string,
  port: number,
): { readonly requests: readonly Request[]; readonly predicted: readonly (string | undefined)[] } {
  const source = address.includes(':') ? clientNode.address6 : clientNode.address;
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

function referenceOf(...declared: readonly Message<'LoadBalancer'>[]): Reference {
  return new Reference(declared as LoadBalancerDraft[], lab.backends);
}

describe.each([4, 6] as const)(`floating IP (item 6) on ${dataplane}, IPv%i`, (family) => {
  const here = front[family];
  const there = otherFront[family];
  const from = family === 4 ? clientNode.address : clientNode.address6;

  it.each([
    ['http', 80],
    ['udp', 53],
  ] as const)(
    'spreads %s flows as the reference says, to machines that see the frontend and answer past the gateway',
    async (scheme, port) => {
      await put(client, web(family));
      const { requests, predicted } = flows(referenceOf(web(family)), 60, scheme, here, port);
      const before = await sentByGateway(lab, 'wan0');
      const outcomes = await traffic.ask(requests);
      expect(reached(outcomes)).toEqual(predicted);
      expect(new Set(machines(outcomes)).size).toBe(3);
      expect(new Set(answersIn(outcomes).map(({ address }) => address))).toEqual(new Set([here]));
      expect(clientsSeen(outcomes)).toEqual([from]);
      // Neighbour discovery at most.
      expect((await sentByGateway(lab, 'wan0')) - before).toBeLessThan(12);
    },
  );

  it('keeps a client, or a client with a protocol, with one machine where the rule says so', async () => {
    await put(client, web(family));
    const reference = referenceOf(web(family));
    for (const [scheme, port] of [
      ['http', 8080],
      ['udp', 5300],
    ] as const) {
      const { requests, predicted } = flows(reference, 12, scheme, here, port);
      const outcomes = await traffic.ask(requests);
      expect(reached(outcomes)).toEqual(predicted);
      expect(new Set(machines(outcomes)).size).toBe(1);
    }
  });

  it('takes every port, except where a rule is for the very port', async () => {
    await put(client, web(family));
    const reference = referenceOf(web(family));
    const wanted = [
      flows(reference, 12, 'http', there, 80),
      flows(reference, 12, 'udp', there, 5301),
      flows(reference, 12, 'http', there, 8080),
      flows(reference, 2, 'udp', there, 5300),
    ];
    const outcomes = await traffic.ask(wanted.flatMap(({ requests }) => requests));
    expect(reached(outcomes)).toEqual(wanted.flatMap(({ predicted }) => predicted));
    const addresses = answersIn(outcomes).map(({ address }) => address);
    expect(new Set(addresses.slice(0, 24))).toEqual(new Set([there]));
    expect(new Set(addresses.slice(24, 36))).toEqual(
      new Set([1, 2].map((number) => addressOf(backend(number), family))),
    );
    expect(addresses.slice(36)).toEqual([1, 2].map(() => addressOf(backend(4), family)));
    expect(await ping(lab, there)).toBe(there);
  });

  it('writes another backend port, from which the machine answers unless it puts the frontend’s back', async () => {
    await put(client, web(family));
    const reference = referenceOf(web(family));
    const unanswered = await traffic.ask(
      flows(reference, 3, 'udp', here, 1053).requests.map((request) => ({ ...request, timeout: 500 })),
    );
    expect(machines(unanswered)).toEqual(Array.from({ length: 3 }, () => 'lost (timeout)'));
    const ip = family === 4 ? 'ip' : 'ip6';
    for (const { node } of lab.backends) {
      const rules = `table inet back { chain output { type filter hook output priority -300; ${ip} saddr ${here} udp sport 5301 notrack udp sport set 1053; ${ip} saddr ${here} tcp sport 81 notrack tcp sport set 1080; }; }`;
      await lab.exec(node, ['nft', '-f', '-'], { input: `${rules}\n` });
    }
    try {
      for (const [scheme, port] of [
        ['udp', 1053],
        ['http', 1080],
      ] as const) {
        const { requests, predicted } = flows(reference, 12, scheme, here, port);
        const outcomes = await traffic.ask(requests);
        expect(reached(outcomes)).toEqual(predicted);
        expect(new Set(answersIn(outcomes).map(({ address }) => address))).toEqual(new Set([here]));
      }
    } finally {
      for (const { node } of lab.backends) await lab.exec(node, ['nft', 'delete', 'table', 'inet', 'back']);
    }
  });

  it('carries much data, both ways, and datagrams in fragments', async () => {
    await put(client, web(family));
    const reference = referenceOf(web(family));
    const { requests } = flows(reference, 3, 'http', here, 80);
    const outcomes = await traffic.ask(requests.map((each) => ({ ...each, path: '/?bytes=2000000' })));
    expect(machines(outcomes).filter((machine) => machine.startsWith('lost'))).toEqual([]);
    const large = flows(reference, 6, 'udp', here, 53);
    const answers = await traffic.ask(large.requests.map((each) => ({ ...each, payloadBytes: 4_000 })));
    expect(reached(answers)).toEqual(large.predicted);
  });

  it('drops flows to a pool without machines, and forwards nothing once the rule is gone', async () => {
    await put(client, web(family));
    const [lost] = await traffic.ask([{ scheme: 'http', address: here, port: 81, timeout: 500 }]);
    expect(machines(lost === undefined ? [] : [lost])).toEqual(['lost (timeout)']);
    await put(client, { ...web(family), loadBalancingRules: [] });
    const gone = await traffic.ask([
      { scheme: 'http', address: here, port: 80, timeout: 500 },
      { scheme: 'udp', address: there, port: 5301, timeout: 500 },
    ]);
    for (const machine of machines(gone)) expect(machine).toMatch(/^lost/);
  });

  it('leaves flows with their machines while others come, drain and go; those of a machine that goes move', async () => {
    await put(client, web(family));
    await using long = await Flows.start(lab);
    const { connection, sender } = await reachAll(long, here);
    const keep = async (machine: string): Promise<void> => {
      expect(await long.ask(connection(machine))).toBe(machine);
      const since = await long.sent(sender(machine));
      expect(new Set(await long.settled(sender(machine), since))).toEqual(new Set([machine]));
    };
    await put(client, web(family, [1, 2, 3, 4]));
    for (const machine of ['b1', 'b2', 'b3']) await keep(machine);

    const draining = members([1, 2, 3, 4], family).map((member) =>
      member.id === 'b2' ? { ...member, adminState: adminState.drain } : member,
    );
    const pools = (web(family).backendPools ?? []).map((pool) =>
      pool.name === 'vms' ? { ...pool, members: draining } : pool,
    );
    await put(client, { ...web(family), backendPools: pools });
    for (const machine of ['b1', 'b2', 'b3']) await keep(machine);
    const fresh = await traffic.ask(flows(referenceOf(web(family)), 40, 'http', here, 80).requests);
    expect(new Set(machines(fresh))).toEqual(new Set(['b1', 'b3', 'b4']));

    await put(client, web(family, [1, 3, 4]));
    for (const machine of ['b1', 'b3']) await keep(machine);
    const since = await long.sent(sender('b2'));
    const moved = new Set(await long.settled(sender('b2'), since));
    expect(moved.size).toBe(1);
    expect(moved).not.toContain('b2');
    // Another machine gets its segments, and says that it knows no such connection.
    expect(await long.ask(connection('b2'))).toBe('closed');
  });

  it('goes on over a restart of the agent, and when it is killed', async () => {
    await put(client, web(family));
    await using long = await Flows.start(lab);
    const { connection, sender } = await reachAll(long, here);
    for (const end of ['stopAgent', 'killAgent'] as const) {
      await lab[end]();
      for (const machine of ['b1', 'b2', 'b3']) expect(await long.ask(connection(machine))).toBe(machine);
      await lab.startAgent();
      for (const machine of ['b1', 'b2', 'b3']) {
        expect(await long.ask(connection(machine))).toBe(machine);
        const since = await long.sent(sender(machine));
        expect(new Set(await long.settled(sender(machine), since))).toEqual(new Set([machine]));
      }
    }
    const [rule] = (await listLoadBalancers(client)).flatMap(({ loadBalancingRules }) => loadBalancingRules);
    expect(rule?.flow?.floatingIp).toBe(true);
  });

  it('counts flows, packets and bytes of the client’s direction', async () => {
    await put(client, web(family));
    const { requests } = flows(referenceOf(web(family)), 20, 'udp', here, 53);
    expect(machines(await traffic.ask(requests)).filter((each) => each.startsWith('lost'))).toEqual([]);
    expect(await flowsOf(client, 'dns')).toBe(20);
    const counters = await countersOf('dns');
    expect(counters?.packets).toBe(20);
    const header = family === 4 ? 28 : 48;
    expect(counters?.bytes).toBe(20 * (16 + header));
    const overTcp = flows(referenceOf(web(family)), 7, 'http', here, 80);
    await traffic.ask(overTcp.requests);
    expect(await flowsOf(client, 'web')).toBe(7);
    expect((await countersOf('web'))?.packets).toBeGreaterThanOrEqual(7 * 4);
  });

  it('lists flows with their machines where XDP keeps them, and says where nobody can', async () => {
    await put(client, web(family));
    await using long = await Flows.start(lab);
    await long.open('listed', here, 80);
    const machine = await long.ask('listed');
    const found = [];
    for await (const chunk of client.listFlows({ rule: 'web' })) found.push(...chunk.flows);
    const { notes } = await client.getStatus();
    if (dataplane === 'xdp') {
      expect(found.map(({ member }) => member)).toEqual([machine]);
    } else {
      expect(found).toEqual([]);
      expect(notes?.join()).toContain('with floating_ip are remembered by a hash');
    }
  });

  it('turns to translating and back, with the same machines', async () => {
    const plain = web(family);
    const translating = {
      ...plain,
      loadBalancingRules: (plain.loadBalancingRules ?? []).map(({ flow: _, ...rule }) => rule),
    };
    for (const declared of [plain, translating, plain]) {
      await put(client, declared);
      const floats = declared === plain;
      const { requests, predicted } = flows(referenceOf(declared), 30, 'udp', here, 53);
      const outcomes = await traffic.ask(requests);
      expect(reached(outcomes)).toEqual(predicted);
      const seen = new Set(answersIn(outcomes).map(({ address }) => address));
      const own = [1, 2, 3].map((number) => addressOf(backend(number), family));
      expect(seen).toEqual(new Set(floats ? [here] : own));
    }
  });

  it('leads a machine that knocks at a frontend which another one holds to one of its pool', async () => {
    const declared = web(family, [1, 2]);
    await put(client, declared);
    // b4 gives the address up, and asks as any client; the machines answer it on their own link.
    const mask = family === 4 ? 32 : 128;
    await lab.exec('b4', ['ip', 'addr', 'del', `${here}/${mask}`, 'dev', 'lo']);
    const inside = await lab.traffic('b4');
    try {
      const outcomes = await inside.ask(
        Array.from({ length: 12 }, () => ({ scheme: 'http', address: here, port: 80 }) as const),
      );
      expect(new Set(machines(outcomes))).toEqual(new Set(['b1', 'b2']));
      expect(clientsSeen(outcomes)).toEqual([addressOf(backend(4), family)]);
    } finally {
      await inside.stop();
      await lab.exec('b4', ['ip', 'addr', 'add', `${here}/${mask}`, 'dev', 'lo']);
    }
  });
});

describe('floating IP (item 6) with encapsulation', () => {
  it('is refused on nftables, each rule of it by name, and nothing changes; XDP takes it', async () => {
    const declared = web(4);
    const rules = (declared.loadBalancingRules ?? []).map((rule, index) =>
      index < 2 ? { ...rule, flow: { ...floating, encapsulation: 2 } } : rule,
    );
    const encapsulated = { ...declared, loadBalancingRules: rules };
    if (dataplane === 'xdp') {
      await put(client, encapsulated);
      expect(await listLoadBalancers(client)).toHaveLength(1);
      return;
    }
    const { violations } = await failureOf(put(client, encapsulated));
    expect(violations.map(({ field, reason }) => [field, reason])).toEqual(
      [0, 1].map((index) => [
        `put_load_balancers[0].load_balancing_rules[${index}].flow.encapsulation`,
        'FEATURE_UNSUPPORTED',
      ]),
    );
    expect(await listLoadBalancers(client)).toEqual([]);
  });
});

async function countersOf(rule: string): Promise<{ packets: number; bytes: number } | undefined> {
  for await (const { ruleCounters } of client.listLoadBalancers({ withCounters: true })) {
    for (const each of ruleCounters) {
      if (each.rule === rule && each.counters)
        return { packets: each.counters.packets ?? 0, bytes: each.counters.bytes ?? 0 };
    }
  }
  return undefined;
}
