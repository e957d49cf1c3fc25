// A lab whose gateway sits on network cards, with an agent on XDP and rules of each kind.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Answer, GatewayClient, Message } from '../../../../src/wire/client.ts';
import { front, members, tcp, udp } from '../../../e2e/support/declare.ts';
import { connect, put } from '../../../e2e/support/gateway.ts';
import type { AgentOptions } from '../../../lab/agent.ts';
import { Lab } from '../../../lab/lab.ts';
import type { NicPair } from '../../../lab/nics.ts';
import type { Request } from '../../../lab/traffic/message.ts';
import type { Traffic } from '../../../lab/traffic/traffic.ts';
import { slowness } from '../../../slowness.ts';

/** In milliseconds, for what the agent does by itself within seconds. */
export const patience = 15_000 * slowness;

/** By port of the frontend, who may answer: b1 and b2 each have a port of their own, and both serve the balanced one. */
export const ports = { b1: 500, b2: 501, balanced: 80 } as const;

/** Over each address family: a port of its own for each machine, over TCP and UDP, and a balanced one for both. */
export const declared: readonly Message<'LoadBalancer'>[] = ([4, 6] as const).map((family) => ({
  name: `over-ipv${family}`,
  frontends: [{ name: 'front', address: front[family] }],
  backendPools: [{ name: 'machines', members: members([1, 2], family) }],
  inboundNatRules: [tcp, udp].map((protocol) => ({
    name: `direct-${protocol}`,
    frontend: 'front',
    protocol,
    backendPort: protocol === tcp ? 8080 : 5301,
    pool: { backendPool: 'machines', frontendPortRangeStart: ports.b1, maximumMachines: 10 },
  })),
  loadBalancingRules: [tcp, udp].map((protocol) => ({
    name: `balanced-${protocol}`,
    frontend: 'front',
    protocol,
    frontendPort: ports.balanced,
    backendPort: protocol === tcp ? 80 : 5300,
    backendPool: 'machines',
  })),
}));

/** Raises a lab on cards of this virtual machine, with two machines and what is declared above. */
export async function upNicLab(
  name: string,
  nics: readonly NicPair[],
  agent: AgentOptions = {},
): Promise<Lab> {
  const lab = await Lab.up({
    name: `${name}-${process.pid}`,
    backends: 2,
    dataplane: 'xdp',
    nics,
    agent,
  });
  await ask(lab, (client) => put(client, ...declared));
  return lab;
}

/** A client of its own: one that has seen the agent go waits before it connects again. */
export async function ask<T>(lab: Lab, work: (client: GatewayClient) => Promise<T>): Promise<T> {
  using client = connect(lab);
  return await work(client);
}

export async function status(lab: Lab): Promise<Answer<'GetStatusResponse'>> {
  return await ask(lab, (client) => client.getStatus());
}

/** As `name: mode, driver`, and the reason where there is one. */
export async function interfaces(lab: Lab): Promise<readonly string[]> {
  const { interfaces: shown } = await status(lab);
  return shown
    .map(({ name, xdpMode, driver, reason }) =>
      [`${name}: ${xdpMode}`, driver, reason].filter((part) => part !== '').join(', '),
    )
    .toSorted();
}

/** Those with this word in them. */
export async function notes(lab: Lab, word: string): Promise<readonly string[]> {
  return (await status(lab)).notes.filter((note) => note.includes(word)).toSorted();
}

interface Finding {
  readonly code: string;
  readonly status: string;
  readonly subject: string;
  readonly remedy: string;
}

/** What the doctor finds wrong under a code: interface and remedy. */
export async function findings(lab: Lab, code: string): Promise<readonly string[]> {
  const { stdout } = await lab.penstock(['doctor', '-o', 'json'], { reject: false });
  const { checks } = JSON.parse(stdout) as { readonly checks: readonly Finding[] };
  return checks
    .filter((each) => each.code === code && each.status !== 'ok')
    .map(({ subject, remedy }) => `${subject}: ${remedy}`)
    .toSorted();
}

/** One request of every kind: two address families, TCP and UDP, mapped and balanced. */
export const everyKind: readonly { readonly request: Request; readonly expect: readonly string[] }[] = [
  front[4],
  front[6],
].flatMap((address) =>
  (['http', 'udp'] as const).flatMap((scheme) => [
    { request: { scheme, address, port: ports.b1 }, expect: ['b1'] },
    { request: { scheme, address, port: ports.b2 }, expect: ['b2'] },
    { request: { scheme, address, port: ports.balanced }, expect: ['b1', 'b2'] },
  ]),
);

/**
 * Asks each so many times, at most a few at once, and again what is lost: QEMU drops small datagrams under load. Gives what
 * a wrong machine has answered, and what never had an answer.
 */
export async function complaints(
  traffic: Traffic,
  times: number,
  kinds: typeof everyKind = everyKind,
): Promise<readonly string[]> {
  const wrong: string[] = [];
  let left = Array.from({ length: times }, () => kinds).flat();
  for (let attempt = 0; left.length > 0 && attempt < 5; attempt += 1) {
    const outcomes = await traffic.ask(
      left.map(({ request }) => request),
      4,
    );
    const lost: typeof left = [];
    for (const [index, outcome] of outcomes.entries()) {
      const asked = left[index];
      if (asked === undefined) continue;
      if ('lost' in outcome) lost.push(asked);
      else if (!asked.expect.includes(outcome.answer.machine)) {
        wrong.push(`${described(asked.request)}: ${outcome.answer.machine}`);
      }
    }
    left = lost;
    if (left.length > 0) await sleep(100);
  }
  return [...wrong, ...left.map(({ request }) => `${described(request)}: no answer`)];
}

function described({ scheme, address, port }: Request): string {
  return `${scheme} ${address} ${port}`;
}
