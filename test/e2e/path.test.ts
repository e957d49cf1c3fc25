// Item 8 of what rules mean: what belongs to a flow but is no segment or datagram of it. Errors of routers on the way,
// echo requests, fragments.
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Message } from '../../src/wire/client.ts';
import type { Lab } from '../lab/lab.ts';
import { backend, client as clientNode, gateway } from '../lab/topology.ts';
import type { Request } from '../lab/traffic/message.ts';
import type { Traffic } from '../lab/traffic/traffic.ts';
import { all, type Family, front, members, otherFront, tcp } from './support/declare.ts';
import { connect, put } from './support/gateway.ts';
import { upLab } from './support/lab.ts';
import { machines } from './support/outcomes.ts';
import { ping } from './support/ping.ts';
import { nodad, sh } from './support/ways.ts';

let lab: Lab;
let traffic: Traffic;
/** Of b3, behind b1 and a hop of 1,400 bytes. It sends by the wire that all machines share. */
const far = { 4: '10.9.0.2', 6: 'fd09::2' } as const;

function declaration(family: Family): Message<'LoadBalancer'> {
  return {
    name: `path${family}`,
    frontends: [
      { name: 'front', address: front[family] },
      { name: 'whole', address: otherFront[family] },
    ],
    backendPools: [
      { name: 'near', members: members([1, 2], family) },
      { name: 'far', members: [{ id: 'b3', address: far[family] }] },
    ],
    inboundNatRules: [
      {
        name: 'far',
        frontend: 'front',
        protocol: tcp,
        backendPort: 80,
        single: { frontendPort: 500, member: 'far/b3' },
      },
      {
        name: 'masqueraded',
        frontend: 'front',
        protocol: tcp,
        backendPort: 8080,
        single: { frontendPort: 501, member: 'far/b3' },
        flow: { sourceNat: 2 },
      },
      {
        name: 'near',
        frontend: 'front',
        protocol: all,
        backendPort: 5300,
        pool: { backendPool: 'near', frontendPortRangeStart: 600, maximumMachines: 4 },
      },
      { name: 'whole', frontend: 'whole', protocol: all, single: { member: 'near/b2' } },
    ],
    loadBalancingRules: [
      {
        name: 'far',
        frontend: 'front',
        protocol: tcp,
        frontendPort: 80,
        backendPort: 80,
        backendPool: 'far',
      },
      {
        name: 'near',
        frontend: 'front',
        protocol: all,
        frontendPort: 53,
        backendPort: 5300,
        backendPool: 'near',
      },
    ],
  };
}

beforeAll(async () => {
  lab = await upLab({ name: `e2e-path-${process.pid}`, backends: 3 });
  await sh(
    lab,
    'b1',
    `ip link add hop mtu 1400 type veth peer name hop mtu 1400 netns ${lab.namespace('b3')}`,
    'ip link set hop up',
    'sysctl -eqw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1',
    `ip address add 10.9.0.1/24 dev hop`,
    `ip address add fd09::1/64 dev hop${nodad('fd09::1')}`,
  );
  await sh(
    lab,
    'b3',
    'ip link set hop up',
    'sysctl -eqw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.hop.rp_filter=0',
    `ip address add 10.9.0.2/24 dev hop`,
    `ip address add fd09::2/64 dev hop${nodad('fd09::2')}`,
  );
  await sh(
    lab,
    'gateway',
    `ip route add 10.9.0.0/24 via ${backend(1).address}`,
    `ip route add fd09::/64 via ${backend(1).address6}`,
  );
  await lab.startAgent();
  using client = connect(lab);
  await put(client, declaration(4), declaration(6));
  traffic = await lab.traffic();
});

afterAll(async () => {
  await traffic?.stop();
  await lab?.down();
});

const ways: readonly (readonly [rule: string, port: number])[] = [
  ['an inbound NAT rule', 500],
  ['an inbound NAT rule that masquerades', 501],
  ['a load-balancing rule', 80],
];

function udpTo(address: string, port: number): Request {
  return { scheme: 'udp', address, port, timeout: 2_000 };
}

async function exchange(address: string, port: number, size: number): Promise<unknown> {
  const program = join(import.meta.dirname, 'support/upload.py');
  const { stdout } = await lab.exec('client', ['/usr/bin/python3', program, address, `${port}`, `${size}`]);
  return JSON.parse(stdout);
}

describe.each([4, 6] as const)('IPv%i', (family) => {
  const here = front[family];

  it.each(ways)('8: a client learns of the narrow hop before the machine, by %s', async (_, port) => {
    // What the client knows of the path already, it would not ask the gateway to translate.
    await sh(lab, 'client', `ip ${family === 6 ? '-6 ' : ''}route flush cache`);
    expect(await exchange(here, port, 30_000)).toEqual({ machine: 'b3', whole: true, mtu: 1400 });
  });

  it.each(ways)('8: a machine learns of the narrow wire behind the gateway, by %s', async (_, port) => {
    await sh(lab, 'b3', `ip ${family === 6 ? '-6 ' : ''}route flush cache`);
    await sh(lab, 'gateway', 'ip link set wan0 mtu 1350');
    try {
      const [whole, outcome] = await traffic.ask([
        { scheme: 'http', address: here, port, path: '/?bytes=100000' },
        { scheme: 'http', address: here, port },
      ]);
      expect(machines([whole, outcome].filter((each) => each !== undefined))).toEqual(['b3', 'b3']);
      const client = port === 501 ? gateway.lan : clientNode;
      const to = family === 4 ? client.address : client.address6;
      const { stdout } = await lab.exec('b3', ['ip', 'route', 'get', to, 'from', far[family]]);
      expect(stdout).toContain('mtu 1350');
    } finally {
      await sh(lab, 'gateway', 'ip link set wan0 mtu 1500');
    }
  });

  it('8: fragments of datagrams reach the machine that their flow has', async () => {
    const ports = [41_001, 41_002, 41_003, 41_004, 41_005, 41_006];
    const ask = async (address: string, port: number, payloadBytes: number) => {
      const reached = new Map<number, string>();
      // A datagram may be lost, and one of seven fragments all the more: then it is sent again.
      for (let attempt = 0; attempt < 3 && reached.size < ports.length; attempt += 1) {
        const missing = ports.filter((localPort) => !reached.has(localPort));
        const requests = missing.map((localPort) => ({ ...udpTo(address, port), localPort, payloadBytes }));
        for (const [at, outcome] of (await traffic.ask(requests)).entries()) {
          if ('answer' in outcome) reached.set(missing[at] ?? 0, outcome.answer.machine);
        }
      }
      return ports.map((localPort) => reached.get(localPort));
    };
    const balanced = await ask(here, 53, 16);
    expect(new Set(balanced)).toEqual(new Set(['b1', 'b2']));
    for (const size of [3_000, 9_000]) {
      expect(await ask(here, 53, size)).toEqual(balanced);
      expect(await ask(here, 601, size)).toEqual(ports.map(() => 'b2'));
      expect(await ask(otherFront[family], 5300, size)).toEqual(ports.map(() => 'b2'));
    }
  });

  it('8: frontends answer ping, for clients, for machines and on the gateway itself', async () => {
    for (const address of [here, otherFront[family]]) {
      for (const node of ['client', 'b1', 'b2', 'gateway'] as const) {
        expect(await ping(lab, address, node)).toBe(address);
      }
    }
  });
});
