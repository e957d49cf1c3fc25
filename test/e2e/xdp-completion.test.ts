// What the program does not finish itself: nftables and the kernel complete it, and the outcome is the same mapping.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { GatewayClient, Message } from '../../src/wire/client.ts';
import type { Lab } from '../lab/lab.ts';
import { backend, client as clientNode, gateway, type Node } from '../lab/topology.ts';
import type { Traffic } from '../lab/traffic/traffic.ts';
import { type Family, front, members, tcp, udp, webAndDns } from './support/declare.ts';
import { connect, put } from './support/gateway.ts';
import { upLab } from './support/lab.ts';
import { machines } from './support/outcomes.ts';
import { run, start } from './support/python.ts';
import { SteadyFlows, type Way } from './support/steady.ts';

let lab: Lab;
let client: GatewayClient;
let traffic: Traffic;
/** Of the gateway's interfaces, towards which frames are sent by hand. */
let wanMac: string;

/** Where the machines echo datagrams, each behind a rule of its own. */
const ports = { nat: 5400, balanced: 5401, options: 5402, heard: 5403 } as const;
const families = [4, 6] as const;

function declaration(family: Family): Message<'LoadBalancer'> {
  const pool = (start: number) => ({ backendPool: 'vms', frontendPortRangeStart: start, maximumMachines: 2 });
  const rule = (name: string, protocol: number, backendPort: number, start: number) => {
    return { name, frontend: 'front', protocol, backendPort, pool: pool(start) };
  };
  const [web] = webAndDns;
  return {
    name: `lb${family}`,
    frontends: [{ name: 'front', address: front[family] }],
    backendPools: [{ name: 'vms', members: members([1, 2], family) }],
    inboundNatRules: [
      rule('web', tcp, 8080, 500),
      rule('echo', udp, ports.nat, 500),
      rule('options', udp, ports.options, 502),
      rule('heard', udp, ports.heard, 504),
    ],
    loadBalancingRules: [
      { ...web },
      {
        name: 'dns',
        frontend: 'front',
        protocol: udp,
        frontendPort: 53,
        backendPort: ports.balanced,
        backendPool: 'vms',
      },
    ],
  };
}

beforeAll(async () => {
  lab = await upLab({ name: `e2e-xdp-rest-${process.pid}`, backends: 2, agent: true });
  client = connect(lab);
  traffic = await lab.traffic();
  await put(client, declaration(4), declaration(6));
  for (const { node } of lab.backends) {
    await start(lab, node, 'datagrams.py', 'echo', ports.nat);
    await start(lab, node, 'datagrams.py', 'echo', ports.balanced);
    await start(lab, node, 'datagrams.py', 'echo', ports.options, 'options');
  }
  wanMac = await macOf('wan0');
});

afterAll(async () => {
  await traffic?.stop();
  client?.close();
  await lab?.down();
});

async function macOf(link: string): Promise<string> {
  const { stdout } = await lab.exec('gateway', ['ip', '-json', 'link', 'show', link]);
  const [shown] = JSON.parse(stdout) as readonly { readonly address: string }[];
  return shown?.address ?? '';
}

/** How many packets each outcome has had. */
async function reasons(): Promise<Readonly<Record<string, number>>> {
  const { packetReasons } = await client.getStatus();
  return Object.fromEntries(packetReasons.map(({ reason, packets }) => [reason, Number(packets)]));
}

/** By how many packets an outcome has grown meanwhile. */
async function growth(reason: string, act: () => Promise<unknown>): Promise<number> {
  const before = (await reasons())[reason] ?? 0;
  await act();
  return ((await reasons())[reason] ?? 0) - before;
}

async function asked(...args: readonly (string | number)[]): Promise<unknown> {
  return JSON.parse(await run(lab, 'client', 'datagrams.py', 'ask', ...args));
}

const allAnswered = { answered: 20, wrong: 0 };

describe.each(families)('IPv%i', (family) => {
  it('fragments pass both ways, through NAT and balanced', async () => {
    // Several clients, since a pool spreads them over machines.
    const outcomes = await Promise.all(
      [500, 501, 53, 53, 53].map((port) => asked(front[family], port, 20, 4_000)),
    );
    expect(outcomes).toEqual([500, 501, 53, 53, 53].map(() => allAnswered));
  });

  it('datagrams with options are translated, and routed by the kernel', async () => {
    const routed = await growth('options', async () => {
      expect(await asked(front[family], 502, 20, 400, 'options')).toEqual(allAnswered);
    });
    expect(routed).toBeGreaterThanOrEqual(40);
  });

  it('a hop limit that ends here is answered by this gateway, about what was asked', async () => {
    // Conntrack gives errors about a translated flow the address that the client knows.
    const [type, by] = [family === 4 ? 11 : 3, front[family]];
    for (const port of [500, 53]) {
      const expired = JSON.parse(await run(lab, 'client', 'datagrams.py', 'expire', front[family], port, 1));
      expect(expired).toEqual({ type, code: 0, by, asked: front[family], port });
      const passed = JSON.parse(await run(lab, 'client', 'datagrams.py', 'expire', front[family], port, 2));
      expect(passed).toEqual({ answered: 1 });
    }
  });
});

describe('a way that takes smaller packets only', () => {
  it('is found out by both sides, in both families, through NAT and balanced', async () => {
    const { wan, lan } = gateway;
    const narrow = (what: string): string =>
      [
        `route replace 198.51.100.0/24 dev wan0 proto kernel scope link src ${wan.address} ${what}`,
        `route replace 10.0.0.0/16 dev lan0 proto kernel scope link src ${lan.address} ${what}`,
        `-6 route replace 2001:db8:c::/64 dev wan0 proto kernel metric 256 ${what}`,
        `-6 route replace fd00:10::/64 dev lan0 proto kernel metric 256 ${what}`,
      ]
        .map((line) => `ip ${line}`)
        .join('\n');
    const setRoutes = (what: string) => lab.exec('gateway', ['sh', '-ec', narrow(what)]);
    // Locked: the FIB tells programs of no other MTU of a route.
    await setRoutes('mtu lock 1300');
    try {
      const targets = families.flatMap((family) =>
        [500, 80].map((port) => ({ address: front[family], port })),
      );
      const tooBig = await growth('too-big', async () => {
        const down = await traffic.ask(
          targets.map((target) => ({ scheme: 'http', path: '/?bytes=100000', timeout: 20_000, ...target })),
        );
        expect(machines(down).filter((machine) => !/^b\d$/.test(machine))).toEqual([]);
        const up = targets.map(async ({ address, port }) => {
          const host = address.includes(':') ? `[${address}]` : address;
          const { stdout } = await lab.exec(
            'client',
            ['curl', '-s', '-m', '20', '--data-binary', '@-', `http://${host}:${port}/`],
            { input: 'x'.repeat(100_000), reject: false },
          );
          return JSON.parse(stdout || '{}').machine;
        });
        expect((await Promise.all(up)).filter((machine) => !/^b\d$/.test(machine))).toEqual([]);
      });
      expect(tooBig).toBeGreaterThan(0);
    } finally {
      await setRoutes('');
    }
  });
});

describe('a neighbour that is not known yet', () => {
  it('costs no packet, on either side', async () => {
    const ways = families.flatMap((family): readonly Way[] =>
      [500, 501].map((port) => ({
        name: `IPv${family} ${port}`,
        address: front[family],
        port,
        transport: 'tcp',
      })),
    );
    await using steady = await SteadyFlows.start(lab, ways);
    const routed = await growth('neighbour-unknown', async () => {
      for (let round = 0; round < 5; round += 1) {
        await steady.expectUntouched(async () => {
          await lab.exec('gateway', ['ip', 'neigh', 'flush', 'all']);
          for (const family of families) {
            for (const port of [500, 53])
              expect(await asked(front[family], port, 20, 100)).toEqual(allAnswered);
          }
        });
      }
    });
    expect(routed).toBeGreaterThan(0);
  });
});

describe('who claims an address of the gateway', () => {
  /** What arrives on a node of these datagrams, sent as frames from another node. */
  async function heard(
    on: Node,
    from: Node,
    port: number,
    mac: string,
    sent: readonly (readonly [source: string, destination: string, port: number, text: string])[],
  ): Promise<readonly string[]> {
    const listening = await start(lab, on, 'datagrams.py', 'listen', port);
    for (const [source, destination, to, text] of sent) {
      await run(lab, from, 'frames.py', 'one', 'eth0', mac, source, 4_000, destination, to, text);
    }
    const said = JSON.parse((await listening.printed).split('\n').at(-1) ?? '[]') as readonly string[];
    return [...new Set(said)];
  }

  it('is not heard, from inside or outside, though the gateway itself routes with such sources', async () => {
    const machine = backend(1);
    const inward = await heard('b1', 'client', ports.heard, wanMac, [
      [gateway.lan.address, machine.address, ports.heard, 'as the gateway, directly'],
      [front[4], front[4], 504, 'as the frontend, through NAT'],
      [front[4], machine.address, ports.heard, 'as the frontend, directly'],
      [clientNode.address, front[4], 504, 'as the client'],
      [clientNode.address, front[4], 504, 'end'],
    ]);
    expect(inward).toEqual(['as the client', 'end']);
    const outward = await heard('client', 'b1', ports.heard, gateway.lan.mac, [
      [gateway.wan.address, clientNode.address, ports.heard, 'as the gateway'],
      [front[4], clientNode.address, ports.heard, 'as the frontend'],
      [machine.address, clientNode.address, ports.heard, 'as the machine'],
      [machine.address, clientNode.address, ports.heard, 'end'],
    ]);
    expect(outward).toEqual(['as the machine', 'end']);
  });
});
