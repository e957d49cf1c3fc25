// Changes and crashes of the agent under a steady load through mappings that none of the changes is about: whoever uses
// those must not notice. Shared by the bench and the end-to-end test, which runs fewer changes.
import { GatewayClient, type Message } from '../../../src/wire/client.ts';
import { penstock } from '../../../src/wire/generated/proto.js';
import type { Lab } from '../../lab/lab.ts';
import type { Stream } from '../../lab/traffic/message.ts';
import type { Tally, Traffic } from '../../lab/traffic/traffic.ts';
import { memberAddress } from '../declaration.ts';

const { AddressOwnership, Protocol } = penstock.v1;

export interface SteadyLoadOptions {
  readonly changes: number;
  /** Spread evenly over the changes. */
  readonly kills: number;
  /** Of the agent, at every start. */
  readonly agentArguments?: readonly string[];
}

export interface SteadyLoadOutcome {
  readonly tally: Tally;
  /** While the agent ran; without the pauses of a kill. */
  readonly changesPerSecond: number;
  /** Codes of what the agent complained about, of all its lives. */
  readonly warnings: readonly string[];
}

const frontend = '203.0.113.10';
/** First frontend ports of the rules that the load goes through. */
const ports = { http: 1000, udp: 2000, https: 3000, balanced: 80 } as const;
/** Machines in each changing pool when the changes begin. */
const crowd = 50;
/** Pools that change: one beside the steady one, one in another load balancer. */
const changing = [
  { loadBalancer: 'steady', backendPool: 'neighbours', number: 0 },
  { loadBalancer: 'other', backendPool: 'others', number: 1 },
] as const;

/** Runs on a lab with machines and without an agent. */
export async function steadyLoad(lab: Lab, options: SteadyLoadOptions): Promise<SteadyLoadOutcome> {
  const startAgent = (): Promise<void> =>
    lab.startAgent({ arguments: options.agentArguments ?? [], patience: 60_000 });
  await startAgent();
  let client = new GatewayClient(lab.address);
  try {
    await client.apply({ changes: { putLoadBalancers: declaration(lab) } });
    await using traffic = await lab.traffic();
    await traffic.load(streamsTo(lab));
    await underLoad(traffic);

    const warnings = new Set<string>();
    const killEvery = Math.ceil(options.changes / (options.kills + 1));
    let changing = 0;
    for (let index = 1; index <= options.changes; index += 1) {
      const begin = performance.now();
      await client.apply({ changes: changeOf(index) });
      changing += performance.now() - begin;
      if (index % killEvery !== 0) continue;
      for (const code of await warningsOf(client)) warnings.add(code);
      // In the middle of a change, if the agent is as quick as it should be. Repeated below, so either outcome is fine.
      const cut = client.apply({ changes: moved(index) }).catch(() => undefined);
      await lab.killAgent();
      await cut;
      client.close();
      await underLoad(traffic);
      await startAgent();
      client = new GatewayClient(lab.address);
      await client.apply({ changes: moved(index) });
    }
    await underLoad(traffic);
    await traffic.load([]);
    for (const code of await warningsOf(client)) warnings.add(code);
    return {
      tally: traffic.tally(),
      changesPerSecond: options.changes / (changing / 1000),
      warnings: [...warnings],
    };
  } finally {
    client.close();
  }
}

/** Machines come, move to another address and go, in turns, in both pools. */
function changeOf(index: number): Message<'ChangeSet'> {
  const { number, ...where } = poolOf(index);
  const turn = Math.floor(index / changing.length);
  const id = `visitor-${Math.floor(turn / 3)}`;
  switch (turn % 3) {
    case 0:
      return { putMembers: [{ ...where, members: [{ id, address: memberAddress(number, 1000) }] }] };
    case 1:
      return { putMembers: [{ ...where, members: [{ id, address: memberAddress(number, 1001) }] }] };
    default:
      return { deleteMembers: [{ ...where, ids: [id] }] };
  }
}

/** One of the machines that stay moves to an address of its own for each index. */
function moved(index: number): Message<'ChangeSet'> {
  const { number, ...where } = poolOf(index);
  return {
    putMembers: [{ ...where, members: [{ id: 'm0', address: memberAddress(number, 2000 + index) }] }],
  };
}

function poolOf(index: number): (typeof changing)[number] {
  return changing[index % 2 === 0 ? 0 : 1];
}

function declaration(lab: Lab): Message<'LoadBalancer'>[] {
  const steady = {
    name: 'machines',
    members: lab.backends.map(({ node, address }) => ({ id: node, address })),
  };
  const [neighbours, others] = changing;
  return [
    {
      name: 'steady',
      frontends: [front(frontend)],
      backendPools: [steady, crowdOf(neighbours.backendPool, neighbours.number)],
      inboundNatRules: [
        poolRule('http', Protocol.PROTOCOL_TCP, 80, steady.name, ports.http),
        poolRule('udp', Protocol.PROTOCOL_UDP, 5300, steady.name, ports.udp),
        poolRule('https', Protocol.PROTOCOL_TCP, 443, steady.name, ports.https),
        poolRule('neighbours', Protocol.PROTOCOL_TCP, 80, neighbours.backendPool, 10_000),
      ],
      loadBalancingRules: [balancedRule(80, steady.name), balancedRule(8080, neighbours.backendPool)],
    },
    {
      name: 'other',
      frontends: [front('203.0.113.11')],
      backendPools: [crowdOf(others.backendPool, others.number)],
      inboundNatRules: [poolRule('others', Protocol.PROTOCOL_UDP, 5300, others.backendPool, 10_000)],
      loadBalancingRules: [balancedRule(8080, others.backendPool)],
    },
  ];
}

function front(address: string): Message<'Frontend'> {
  return { name: 'front', address, addressOwnership: AddressOwnership.ADDRESS_OWNERSHIP_EXTERNAL };
}

function crowdOf(name: string, pool: number): Message<'BackendPool'> {
  const members = Array.from({ length: crowd }, (_, index) => ({
    id: `m${index}`,
    address: memberAddress(pool, index),
  }));
  return { name, members };
}

function poolRule(
  name: string,
  protocol: penstock.v1.Protocol,
  backendPort: number,
  backendPool: string,
  frontendPortRangeStart: number,
): Message<'InboundNatRule'> {
  const pool = { backendPool, frontendPortRangeStart, maximumMachines: 100 };
  return { name, frontend: 'front', protocol, backendPort, pool };
}

function balancedRule(port: number, backendPool: string): Message<'LoadBalancingRule'> {
  return {
    name: `balanced-${port}`,
    frontend: 'front',
    protocol: Protocol.PROTOCOL_TCP,
    frontendPort: port,
    backendPort: port,
    backendPool,
  };
}

/** To each machine by its own ports, on new connections and on one that is held; and to all of them, balanced. */
function streamsTo(lab: Lab): readonly Stream[] {
  const nodes = lab.backends.map(({ node }) => node);
  const patience = { timeout: 3_000 };
  return [
    ...nodes.flatMap((node, index): readonly Stream[] => [
      {
        name: `http ${node}`,
        request: { scheme: 'http', address: frontend, port: ports.http + index, ...patience },
        perSecond: 10,
        expect: [node],
      },
      {
        name: `udp ${node}`,
        request: { scheme: 'udp', address: frontend, port: ports.udp + index, ...patience },
        perSecond: 10,
        expect: [node],
      },
      {
        name: `held ${node}`,
        request: { scheme: 'https', address: frontend, port: ports.https + index, ...patience },
        perSecond: 10,
        expect: [node],
        held: true,
      },
    ]),
    {
      name: 'balanced',
      request: { scheme: 'http', address: frontend, port: ports.balanced, ...patience },
      perSecond: 20,
      expect: nodes,
    },
  ];
}

/** Resolves when so many more answers have come that every stream has had several. */
async function underLoad(traffic: Traffic): Promise<void> {
  const wanted = traffic.tally().sent + 100;
  while (traffic.tally().sent < wanted) await new Promise((resolve) => setTimeout(resolve, 20));
}

async function warningsOf(client: GatewayClient): Promise<readonly string[]> {
  return (await client.getStatus()).warnings.map(({ code }) => code);
}
