// A gateway whose client and second machine can be moved to other links, and requests of every kind over them.
import type { Answer, GatewayClient, Message } from '../../../src/wire/client.ts';
import type { Lab } from '../../lab/lab.ts';
import type { Request } from '../../lab/traffic/message.ts';
import type { Traffic } from '../../lab/traffic/traffic.ts';
import { front, tcp, udp } from './declare.ts';
import { connect, put } from './gateway.ts';

/** By address family: where each machine is reached. */
export type Machines = Readonly<Record<4 | 6, readonly [b1: string, b2: string]>>;

export type Fronts = Readonly<Record<4 | 6, string>>;

/** 500 and 501 lead to b1 and b2, without flow state in XDP; 80 to both. */
export function declared(machines: Machines, fronts: Fronts = front): readonly Message<'LoadBalancer'>[] {
  return ([4, 6] as const).map((family) => ({
    name: `over-ipv${family}`,
    frontends: [{ name: 'front', address: fronts[family] }],
    backendPools: [
      { name: 'all', members: machines[family].map((address, at) => ({ id: `b${at + 1}`, address })) },
    ],
    inboundNatRules: [tcp, udp].map((protocol) => ({
      name: `direct-${protocol}`,
      frontend: 'front',
      protocol,
      backendPort: protocol === tcp ? 8080 : 5301,
      pool: { backendPool: 'all', frontendPortRangeStart: 500, maximumMachines: 10 },
    })),
    loadBalancingRules: [tcp, udp].map((protocol) => ({
      name: `balanced-${protocol}`,
      frontend: 'front',
      protocol,
      frontendPort: 80,
      backendPort: protocol === tcp ? 80 : 5300,
      backendPool: 'all',
    })),
  }));
}

export async function declare(lab: Lab, machines: Machines, fronts?: Fronts): Promise<void> {
  await ask(lab, (client) => put(client, ...declared(machines, fronts)));
}

/** A client of its own: one that has seen the agent go waits before it connects again. */
async function ask<T>(lab: Lab, work: (client: GatewayClient) => Promise<T>): Promise<T> {
  using client = connect(lab);
  return await work(client);
}

export async function status(lab: Lab): Promise<Answer<'GetStatusResponse'>> {
  return await ask(lab, (client) => client.getStatus());
}

/** Packets so far by what became of them: `forwarded`, `routed`, or the reason why they were handed up. */
export async function outcomes(lab: Lab): Promise<Readonly<Record<string, number>>> {
  const sums: Record<string, number> = {};
  for (const { outcome, reason, packets } of (await status(lab)).packetReasons) {
    const key = outcome === 'handed-up' ? reason : outcome;
    sums[key] = (sums[key] ?? 0) + packets;
  }
  return sums;
}

export async function sh(
  lab: Lab,
  node: Parameters<Lab['exec']>[0],
  ...commands: readonly string[]
): Promise<string> {
  return (await lab.exec(node, ['sh', '-ec', commands.join('\n')])).stdout;
}

/** For ip(8): an IPv6 address that holds at once. */
export function nodad(address: string): string {
  return address.includes(':') ? ' nodad' : '';
}

export interface Kind {
  readonly request: Request;
  readonly expect: readonly string[];
}

/** By both address families: small and large ones over TCP, datagrams; mapped and balanced. */
export const everyKind = everyKindAt(front);

export function everyKindAt(fronts: Fronts): readonly Kind[] {
  return ([4, 6] as const).flatMap((family) => kindsOf(fronts[family]));
}

function kindsOf(address: string): readonly Kind[] {
  const targets = [
    [500, ['b1']],
    [501, ['b2']],
    [80, ['b1', 'b2']],
  ] as const;
  return targets.flatMap(([port, expect]) => [
    { request: { scheme: 'http', address, port }, expect },
    { request: { scheme: 'http', address, port, path: '/?bytes=50000' }, expect },
    { request: { scheme: 'udp', address, port }, expect },
  ]);
}

/**
 * Asks each so many times, a few at once, and a second and third time what is lost: an emulated network drops datagrams.
 * Gives what a wrong machine has answered, and what had no answer.
 */
export async function complaints(
  traffic: Traffic,
  times = 1,
  kinds: readonly Kind[] = everyKind,
): Promise<readonly string[]> {
  const wrong: string[] = [];
  let left = Array.from({ length: times }, () => kinds).flat();
  let lost: string[] = [];
  for (let attempt = 0; left.length > 0 && attempt < 3; attempt += 1) {
    const found = await traffic.ask(
      left.map(({ request }) => request),
      6,
    );
    const again: Kind[] = [];
    lost = [];
    for (const [index, kind] of left.entries()) {
      const outcome = found[index];
      if (outcome !== undefined && 'answer' in outcome) {
        if (!kind.expect.includes(outcome.answer.machine))
          wrong.push(`${textOf(kind)}: ${outcome.answer.machine}`);
        continue;
      }
      again.push(kind);
      lost.push(`${textOf(kind)}: ${outcome?.lost}`);
    }
    left = again;
  }
  return [...wrong, ...lost];
}

function textOf({ request: { scheme, address, port, path = '' } }: Kind): string {
  return `${scheme} ${address} ${port} ${path}`;
}
