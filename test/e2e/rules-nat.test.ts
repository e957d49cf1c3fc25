// Inbound NAT rules of every kind, in both families, on real traffic.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { GatewayClient, Message } from '../../src/wire/client.ts';
import type { Lab } from '../lab/lab.ts';
import { backend, client as clientNode, gateway } from '../lab/topology.ts';
import type { Request } from '../lab/traffic/message.ts';
import type { Traffic } from '../lab/traffic/traffic.ts';
import { addressOf, all, type Family, front, members, otherFront, tcp, udp } from './support/declare.ts';
import { connect, put } from './support/gateway.ts';
import { upLab } from './support/lab.ts';
import { clientsSeen, isLost, reached } from './support/outcomes.ts';
import { ping } from './support/ping.ts';

let lab: Lab;
let client: GatewayClient;
let traffic: Traffic;

function declaration(family: Family): Message<'LoadBalancer'> {
  return {
    name: `nat${family}`,
    frontends: [
      { name: 'front', address: front[family] },
      { name: 'whole', address: otherFront[family] },
    ],
    backendPools: [{ name: 'vms', members: members([1, 2, 3], family) }],
    inboundNatRules: [
      {
        name: 'by-maximum',
        frontend: 'front',
        protocol: tcp,
        backendPort: 80,
        pool: { backendPool: 'vms', frontendPortRangeStart: 500, maximumMachines: 10 },
      },
      {
        name: 'by-end',
        frontend: 'front',
        protocol: udp,
        backendPort: 5300,
        pool: { backendPool: 'vms', frontendPortRangeStart: 500, frontendPortRangeEnd: 509 },
      },
      {
        name: 'two-each',
        frontend: 'front',
        protocol: all,
        backendPort: 8080,
        pool: { backendPool: 'vms', frontendPortRangeStart: 600, maximumMachines: 4, portsPerMember: 2 },
      },
      {
        name: 'to-address',
        frontend: 'front',
        protocol: tcp,
        backendPort: 8080,
        single: { frontendPort: 2222, address: addressOf(backend(4), family) },
      },
      {
        name: 'to-member',
        frontend: 'front',
        protocol: udp,
        backendPort: 5301,
        single: { frontendPort: 2222, member: 'vms/b2' },
      },
      { name: 'to-none', frontend: 'front', protocol: tcp, backendPort: 80, single: { frontendPort: 3333 } },
      {
        name: 'masquerading',
        frontend: 'front',
        protocol: all,
        backendPort: 8080,
        single: { frontendPort: 4444, member: 'vms/b3' },
        flow: { sourceNat: 2 },
      },
      {
        name: 'whole',
        frontend: 'whole',
        protocol: all,
        single: { address: addressOf(backend(3), family) },
      },
    ],
  };
}

beforeAll(async () => {
  const services = { http: [80, 8080, 8081], udp: [5300, 5301, 8080, 8081] };
  lab = await upLab({ name: `e2e-rules-nat-${process.pid}`, backends: 4, agent: true, services });
  client = connect(lab);
  traffic = await lab.traffic();
  await put(client, declaration(4), declaration(6));
});

afterAll(async () => {
  await traffic?.stop();
  client?.close();
  await lab?.down();
});

async function ask(address: string, ...wanted: readonly (readonly [Request['scheme'], number])[]) {
  return await traffic.ask(wanted.map(([scheme, port]) => ({ scheme, address, port, timeout: 1_500 })));
}

describe.each([4, 6] as const)('IPv%i', (family) => {
  const here = front[family];
  const from = family === 4 ? clientNode.address : clientNode.address6;

  it('gives each machine of a pool its port, a range by its maximum or its end', async () => {
    const outcomes = await ask(
      here,
      ...[500, 501, 502].flatMap((port) => [['http', port] as const, ['udp', port] as const]),
    );
    expect(reached(outcomes)).toEqual(['b1:80', 'b1:5300', 'b2:80', 'b2:5300', 'b3:80', 'b3:5300']);
    expect(clientsSeen(outcomes)).toEqual([from]);
  });

  it('forwards nothing on a port that no machine has yet', async () => {
    const outcomes = await ask(
      here,
      ['http', 503],
      ['udp', 503],
      ['http', 499],
      ['http', 510],
      ['http', 608],
    );
    expect(outcomes.map(isLost)).toEqual([true, true, true, true, true]);
  });

  it('gives each machine two ports onto two, for both protocols', async () => {
    const numbers = [600, 601, 602, 603, 604, 605];
    const expected = ['b1:8080', 'b1:8081', 'b2:8080', 'b2:8081', 'b3:8080', 'b3:8081'];
    expect(reached(await ask(here, ...numbers.map((port) => ['http', port] as const)))).toEqual(expected);
    expect(reached(await ask(here, ...numbers.map((port) => ['udp', port] as const)))).toEqual(expected);
  });

  it('leads to a plain address, to a member, and nowhere', async () => {
    const outcomes = await ask(here, ['http', 2222], ['udp', 2222], ['http', 3333]);
    expect(reached(outcomes.slice(0, 2))).toEqual(['b4:8080', 'b2:5301']);
    expect(isLost(outcomes[2])).toBe(true);
  });

  it('5: forwards a whole address, every port as it is', async () => {
    const outcomes = await ask(
      otherFront[family],
      ['http', 80],
      ['https', 443],
      ['http', 8081],
      ['udp', 5300],
      ['udp', 5301],
    );
    expect(reached(outcomes)).toEqual(['b3:80', 'b3:443', 'b3:8081', 'b3:5300', 'b3:5301']);
    expect(clientsSeen(outcomes)).toEqual([from]);
  });

  it('9: shows the gateway’s address to the machine where a rule masquerades', async () => {
    const outcomes = await ask(here, ['http', 4444], ['udp', 4444]);
    expect(reached(outcomes)).toEqual(['b3:8080', 'b3:8080']);
    expect(clientsSeen(outcomes)).toEqual([family === 4 ? gateway.lan.address : gateway.lan.address6]);
  });

  it('9: lets a machine reach its own frontend port, and those of the others', async () => {
    await using machine = await lab.traffic('b1');
    const outcomes = await machine.ask([
      { scheme: 'http', address: here, port: 500 },
      { scheme: 'http', address: here, port: 501 },
      { scheme: 'udp', address: here, port: 500 },
      { scheme: 'udp', address: here, port: 502 },
      { scheme: 'http', address: otherFront[family], port: 8080 },
    ]);
    expect(reached(outcomes)).toEqual(['b1:80', 'b2:80', 'b1:5300', 'b3:5300', 'b3:8080']);
  });

  it('9: serves the gateway itself', async () => {
    await using local = await lab.traffic('gateway');
    const outcomes = await local.ask([
      { scheme: 'http', address: here, port: 501 },
      { scheme: 'udp', address: here, port: 502 },
      { scheme: 'http', address: otherFront[family], port: 80 },
    ]);
    expect(reached(outcomes)).toEqual(['b2:80', 'b3:5300', 'b3:80']);
  });

  it('answers ping for its frontends', async () => {
    for (const address of [here, otherFront[family]]) expect(await ping(lab, address)).toBe(address);
  });

  it('leaves direct traffic to the machines alone', async () => {
    const outcomes = await ask(addressOf(backend(1), family), ['http', 80], ['udp', 5300]);
    expect(reached(outcomes)).toEqual(['b1:80', 'b1:5300']);
    expect(clientsSeen(outcomes)).toEqual([from]);
  });
});
