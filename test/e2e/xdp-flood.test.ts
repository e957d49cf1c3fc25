// Conversations that no frontend has a part in, and those that have begun, go on while the flow table is flooded.
import { createInterface, type Interface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { GatewayClient, Message } from '../../src/wire/client.ts';
import type { Lab } from '../lab/lab.ts';
import { backend, client as clientNode } from '../lab/topology.ts';
import { front, members, tcp, udp, webAndDns } from './support/declare.ts';
import { connect, put } from './support/gateway.ts';
import { upLab } from './support/lab.ts';
import { command, run, start } from './support/python.ts';
import { SteadyFlows, type Way } from './support/steady.ts';
import { programs } from './support/xdp.ts';

let lab: Lab;
let client: GatewayClient;
let wanMac: string;
let steady: SteadyFlows;
let caller: Caller;

/** Flows that find room: the flood is a hundred times as many. */
const room = 2_048;
const flood = 100_000;
const machine = backend(1);
/** What the machine serves on behind NAT, and calls others from. */
const servicePort = 9_000;

const declared: Message<'LoadBalancer'> = {
  name: 'lb',
  frontends: [{ name: 'front', address: front[4] }],
  backendPools: [{ name: 'vms', members: members([1, 2]) }],
  inboundNatRules: [
    { name: 'web', protocol: tcp, backendPort: 8080, frontPort: 500 },
    { name: 'echo', protocol: udp, backendPort: 5301, frontPort: 500 },
    { name: 'service-tcp', protocol: tcp, backendPort: servicePort, frontPort: 600 },
    { name: 'service-udp', protocol: udp, backendPort: servicePort, frontPort: 600 },
  ].map(({ frontPort, ...rule }) => ({
    ...rule,
    frontend: 'front',
    pool: { backendPool: 'vms', frontendPortRangeStart: frontPort, maximumMachines: 2 },
  })),
  loadBalancingRules: [...webAndDns],
};

const ways: readonly Way[] = [
  { name: 'NAT, TCP', address: front[4], port: 500, transport: 'tcp' },
  // To ports that frontends lead to: 8080 by NAT, 80 balanced.
  { name: 'direct, TCP, a mapping’s port', address: machine.address, port: 8080, transport: 'tcp' },
  { name: 'direct, TCP, a pool’s port', address: machine.address, port: 80, transport: 'tcp' },
  ...Array.from({ length: 12 }, (_, number): Way => {
    return { name: `balanced, TCP, ${number}`, address: front[4], port: 80, transport: 'tcp' };
  }),
];
/** Their datagrams are too many for the wire in a flood; who goes on afterwards was not forgotten. */
const datagrams: readonly Way[] = [
  { name: 'NAT, UDP', address: front[4], port: 500, transport: 'udp' },
  { name: 'balanced, UDP', address: front[4], port: 53, transport: 'udp' },
  { name: 'direct, UDP, a mapping’s port', address: machine.address, port: 5301, transport: 'udp' },
  { name: 'direct, UDP, a pool’s port', address: machine.address, port: 5300, transport: 'udp' },
];

/** The machine's own conversations, over TCP and UDP. */
class Caller {
  readonly #child: ReturnType<Lab['spawn']>;
  readonly #lines: Interface;

  constructor(child: ReturnType<Lab['spawn']>) {
    this.#child = child;
    this.#lines = createInterface(child.stdout as NodeJS.ReadableStream);
  }

  /** The next line that it prints. */
  async next(): Promise<string> {
    return await new Promise((resolve) => this.#lines.once('line', resolve));
  }

  async ask(): Promise<string> {
    const answer = this.next();
    (this.#child.stdin as NodeJS.WritableStream).write('how is it\n');
    return await answer;
  }
}

beforeAll(async () => {
  lab = await upLab({ name: `e2e-xdp-flood-${process.pid}`, backends: 2 });
  await lab.startAgent({ arguments: ['--flow-table-size', String(room)] });
  client = connect(lab);
  await put(client, declared);
  const { stdout } = await lab.exec('gateway', ['ip', '-json', 'link', 'show', 'wan0']);
  wanMac = (JSON.parse(stdout) as readonly { readonly address: string }[])[0]?.address ?? '';
  await start(lab, 'client', 'answerer.py', 7_000);
  steady = await SteadyFlows.start(lab, [...ways, ...datagrams]);
  const child = lab.spawn('b1', command('caller.py', [clientNode.address, 7_000, servicePort]), {
    reject: false,
  });
  caller = new Caller(child);
  expect(await caller.next()).toBe('ready');
});

afterAll(async () => {
  await steady?.[Symbol.asyncDispose]();
  client?.close();
  await lab?.down();
});

async function flooded(kind: 'syn' | 'ack' | 'udp', address: string, port: number): Promise<void> {
  await run(lab, 'client', 'frames.py', 'flood', 'eth0', wanMac, kind, address, port, flood);
}

/** Until the machines have read what the flood has brought them: a full socket drops datagrams by itself. */
async function drained(): Promise<void> {
  for (const node of ['b1', 'b2'] as const) {
    for (let waiting = true; waiting; ) {
      const { stdout } = await lab.exec(node, ['ss', '--no-header', '--udp', '--all', '--numeric']);
      waiting = String(stdout)
        .split('\n')
        .some((line) => Number(line.trim().split(/\s+/)[1] ?? 0) > 0);
    }
  }
}

async function expectAllWell(): Promise<void> {
  await drained();
  await steady.expectUntouched(async () => {});
  expect(await caller.ask()).toBe('right right');
}

describe('established conversations', () => {
  it('go on: through NAT, balanced, directly, and those that a machine has begun', async () => {
    await expectAllWell();
    const { flowTable } = await client.getStatus();
    expect(flowTable?.capacity).toBeLessThan(2 * room);
    expect(flowTable?.open).toBeGreaterThan(0);
  });

  it.each<['syn' | 'ack' | 'udp', string, string, number]>([
    ['syn', 'the balanced frontend', front[4], 80],
    ['ack', 'the balanced frontend', front[4], 80],
    ['udp', 'the balanced frontend', front[4], 53],
    ['syn', 'a machine’s port behind a mapping', machine.address, 8080],
    ['udp', 'a machine’s port behind a mapping', machine.address, 5301],
  ])('go on in a flood of %s to %s', async (kind, _, address, port) => {
    await Promise.all([steady.expectUntouched(() => flooded(kind, address, port), ways), caller.ask()]);
    await expectAllWell();
    expect(Object.keys(await programs(lab)).toSorted()).toEqual(['lan0', 'wan0']);
  });

  it('stand in a table that is full, which status shows', async () => {
    const { flowTable, warnings } = await client.getStatus();
    expect(Number(flowTable?.used)).toBeGreaterThan(Number(flowTable?.capacity) * 0.9);
    expect(Number(flowTable?.open)).toBeLessThan(Number(flowTable?.used) / 2);
    expect(warnings).toEqual([]);
    expect((await lab.penstock(['status'])).stdout).toMatch(
      /flow table\s+[\d,]+ of [\d,]+ flows \((9\d|100)/,
    );
    // New ones find a place, too.
    await using fresh = await SteadyFlows.start(lab, [
      { name: 'NAT', address: front[4], port: 501, transport: 'tcp' },
      { name: 'balanced', address: front[4], port: 80, transport: 'tcp' },
      { name: 'balanced, UDP', address: front[4], port: 53, transport: 'udp' },
    ]);
    await fresh.expectUntouched(async () => {});
  });
});
