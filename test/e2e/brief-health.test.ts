// In brief, what has to work on every kernel of health probes: a member that is down gets nothing new, and comes back.
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { GatewayClient } from '../../src/wire/client.ts';
import type { Lab } from '../lab/lab.ts';
import type { Traffic } from '../lab/traffic/traffic.ts';
import { front, members, webAndDns } from './support/declare.ts';
import { Flows, reachAll } from './support/flows.ts';
import { connect, put } from './support/gateway.ts';
import { probe, untilEligible } from './support/health.ts';
import { upLab } from './support/lab.ts';

let lab: Lab;
let client: GatewayClient;
let traffic: Traffic;

beforeAll(async () => {
  lab = await upLab({ name: `e2e-brief-health-${process.pid}`, backends: 2, agent: true });
  client = connect(lab);
  traffic = await lab.traffic();
  await put(
    client,
    ...([4, 6] as const).map((family) => ({
      name: `brief${family}`,
      frontends: [{ name: 'front', address: front[family] }],
      backendPools: [{ name: 'vms', members: members([1, 2], family) }],
      // Slow enough for a slow machine, on which answers come late.
      probes: [probe('health', { interval: { seconds: 5 }, threshold: 2 })],
      loadBalancingRules: webAndDns.map((rule) => ({ ...rule, probe: 'health' })),
    })),
  );
});

afterAll(async () => {
  await traffic?.stop();
  client?.close();
  await lab?.down();
});

/** Whom new flows of both protocols and families reach. What is lost is asked again: a slow guest loses datagrams. */
async function newFlows(): Promise<readonly string[]> {
  let requests = ([4, 6] as const).flatMap((family) =>
    Array.from({ length: 12 }, () => [
      { scheme: 'http', address: front[family], port: 80 } as const,
      { scheme: 'udp', address: front[family], port: 53 } as const,
    ]).flat(),
  );
  const reached = new Set<string>();
  for (let attempt = 0; requests.length > 0 && attempt < 3; attempt += 1) {
    const outcomes = await traffic.ask(requests, 6);
    for (const outcome of outcomes) if ('answer' in outcome) reached.add(outcome.answer.machine);
    requests = requests.filter((_, index) => 'lost' in (outcomes[index] ?? {}));
  }
  return [...reached, ...requests.map(({ scheme }) => `lost over ${scheme}`)].toSorted();
}

async function eligible(...nodes: readonly string[]): Promise<void> {
  for (const family of [4, 6])
    await untilEligible(client, { loadBalancer: `brief${family}`, rule: 'web' }, ...nodes);
}

it('a member that is down gets no new flow, its TCP goes on and its UDP moves, until it is well again', async () => {
  await eligible('b1', 'b2');
  expect(await newFlows()).toEqual(['b1', 'b2']);
  await using flows = await Flows.start(lab);
  const { connection, sender } = await reachAll(flows, front[4], 2);

  await lab.setHealth('b2', 503);
  await eligible('b1');
  const after = await flows.sent(sender('b2'));
  expect(await flows.ask(connection('b2'))).toBe('b2');
  expect(new Set(await flows.settled(sender('b2'), after))).toEqual(new Set(['b1']));
  expect(await newFlows()).toEqual(['b1']);

  await lab.setHealth('b2', 200);
  await eligible('b1', 'b2');
  expect(await newFlows()).toEqual(['b1', 'b2']);
});
