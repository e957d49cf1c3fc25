// The same declaration and the same packets through nftables and through XDP: the same packets come out.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { LoadBalancerDraft } from '../../src/resources/draft.ts';
import { put } from '../e2e/support/gateway.ts';
import { dataplane } from '../e2e/support/lab.ts';
import { Reference } from '../e2e/support/reference.ts';
import { backend } from '../lab/topology.ts';
import { compare } from './compare.ts';
import { type Conversation, crowdedConversations, randomConversations } from './conversation.ts';
import { Random, seedOfThisRun } from './random.ts';
import { clients, machineCount, Rig } from './rig.ts';
import { type Door, randomWorld, type World } from './world.ts';

let rigs: [Rig, Rig];

beforeAll(async () => {
  rigs = await Promise.all([
    Rig.up(`differ-nft-${process.pid}`, 'nftables'),
    Rig.up(`differ-${dataplane}-${process.pid}-b`, dataplane),
  ]);
});

afterAll(async () => {
  for (const rig of rigs ?? []) await rig[Symbol.asyncDispose]();
});

async function declare(world: World): Promise<void> {
  for (const { client } of rigs) {
    await client.replaceAll([{ commit: {} }]);
    await put(client, ...world.loadBalancers);
  }
}

const seed = seedOfThisRun();
const seeds = [0, 1, 2].map((round) => (seed + round) >>> 0);

// The seed stands in the name, so that it is known whatever comes of the test.
describe.each(seeds)('in the world of PENSTOCK_SEED=%i both gateways', (own) => {
  let random: Random;
  let world: World;

  beforeEach(async () => {
    random = new Random(own);
    world = randomWorld(random, { leaving: true });
    await declare(world);
  });

  it('do the same with every packet of 600 conversations', async () => {
    const { complaints, translated } = await compare(rigs, randomConversations(random, world.doors, 600));
    expect(complaints).toEqual([]);
    expect(translated).toBeGreaterThan(1_000);
  });

  it('keep flows apart that would be one behind them', async () => {
    // Where only one of them knows of both flows: see the limits in bpf/README.md.
    world = randomWorld(random, { leaving: false });
    await declare(world);
    const conversations = crowdedConversations(random, world.doors, 300);
    const { complaints, translated } = await compare(rigs, conversations);
    expect(complaints).toEqual([]);
    expect(translated).toBeGreaterThan(400);
  });

  it('choose the same member for each of 800 new flows, the one that the reference names', async () => {
    const doors = world.doors.filter(({ balanced }) => balanced);
    const conversations = firstWords(random, doors, 800);
    const { complaints, speeches } = await compare(rigs, conversations);
    expect(complaints).toEqual([]);
    const machines = Array.from({ length: machineCount }, (_, index) => backend(index + 1));
    const reference = new Reference(world.loadBalancers as LoadBalancerDraft[], machines);
    const named = conversations.map(({ client, target, transport }) =>
      reference.predict({
        source: client[0],
        sourcePort: client[1],
        destination: target[0],
        port: target[1],
        transport,
      }),
    );
    for (const speech of speeches) {
      const reached = conversations.map((conversation) => {
        const [address, port] = speech.reached(conversation)?.[1] ?? [];
        const machine = machines.find((one) => one.address === address || one.address6 === address);
        return machine === undefined ? undefined : `${machine.node}:${port}`;
      });
      expect(reached).toEqual(named);
    }
  });
});

/** The first packet of so many flows, each from an end of its own. */
function firstWords(random: Random, doors: readonly Door[], count: number): readonly Conversation[] {
  return Array.from({ length: count }, (_, index) => {
    const { family, transport, end } = random.pick(doors);
    return {
      family,
      transport,
      client: [random.pick(clients[family]), 2000 + index * 7],
      target: end,
      steps: [
        {
          kind: 'spoken',
          from: 'client',
          id: index + 1,
          ttl: 64,
          dontFragment: true,
          ipOptions: [],
          extensions: [],
          flags: 'S',
          sequence: random.number(2 ** 32),
          acknowledgement: 0,
          payload: [],
          noChecksum: false,
          fragments: 1,
        },
      ],
    };
  });
}
