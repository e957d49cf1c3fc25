// How long one member more takes, from the call to the answer, and how little that depends on what is there already.
import type { Bench, BenchContext } from '../bench.ts';
import { chunksOf, loadBalancer, member, type PoolPlan, poolName, tenants } from '../declaration.ts';
import { type Figure, figure, median, percentile, shown, spread } from '../figures.ts';
import { BenchGateway } from '../gateway.ts';
import { timeSync } from '../member-added/disk.ts';
import { SpawnedNft } from '../member-added/spawned-nft.ts';

/** A pool that members are added to. */
interface Place {
  readonly gateway: BenchGateway;
  readonly loadBalancer: string;
  readonly pool: number;
  readonly members: number;
}

/** Milliseconds, in the order in which they were taken. */
interface Samples {
  readonly added: number[];
  readonly removed: number[];
}

export const memberAdded: Bench = {
  name: 'member-added',
  summary: 'milliseconds from put_members to its answer, with 1,000 to 100,000 mappings',
  run: async (context) => {
    const sizes = context.quick ? [1_000, 2_000, 4_000] : [1_000, 10_000, 100_000];
    const places = new Map<number, Place>();
    for (const mappings of sizes) places.set(mappings, await raise(context, mappings));
    const [smallest, largest] = [Math.min(...sizes), Math.max(...sizes)];
    const large = placeOf(places, largest);
    context.note('loading a copy of the largest table for nft');
    const nft = await SpawnedNft.prepare(context, large.gateway.lab, largest / 1000);

    context.note('adding and removing');
    const samples = new Map(sizes.map((size): [number, Samples] => [size, { added: [], removed: [] }]));
    const spawned: number[] = [];
    const synced: number[] = [];
    const count = context.quick ? 20 : 200;
    // The first tenth warms up.
    for (let index = -count / 10; index < count; index += 1) {
      for (const [size, place] of places) {
        const [added, removed] = await addAndRemove(place, index);
        if (index < 0) continue;
        samples.get(size)?.added.push(added);
        samples.get(size)?.removed.push(removed);
      }
      const [byNft, bySync] = [await nft.add(0, Math.abs(index)), timeSync(large.gateway.stateDirectory)];
      if (index < 0) continue;
      spawned.push(byNft);
      synced.push(bySync);
    }
    const others = await otherShapes(context, large.gateway, largest, count);
    return [...mainFigures(samples, smallest, largest, spawned, synced), ...others];
  },
};

/** Half of the mappings in one load balancer of many pools, the others one pool each. */
async function raise(context: BenchContext, mappings: number): Promise<Place> {
  context.note(`loading ${shown(mappings)} mappings`);
  const gateway = await BenchGateway.up(context, `mappings-${mappings}`);
  const pools = Math.max(1, mappings / 2000);
  const shared = Array.from({ length: pools }, (_, number): PoolPlan => ({ number, members: 1000 }));
  await gateway.client.replaceAll(
    chunksOf([loadBalancer('shared', shared), ...tenants(mappings - pools * 1000, pools)]),
  );
  return { gateway, loadBalancer: 'shared', pool: 0, members: 1000 };
}

/** Milliseconds for each. */
async function addAndRemove(place: Place, index: number): Promise<readonly [number, number]> {
  const { gateway, loadBalancer, pool, members } = place;
  const added = member(pool, members + Math.abs(index));
  const where = { loadBalancer, backendPool: poolName(pool) };
  const begin = performance.now();
  await gateway.client.apply({ changes: { putMembers: [{ ...where, members: [added] }] } });
  const between = performance.now();
  await gateway.client.apply({ changes: { deleteMembers: [{ ...where, ids: [added.id ?? ''] }] } });
  return [between - begin, performance.now() - between];
}

/** Beside the largest table: a pool with a ring, a large pool, and a pool alone in its load balancer. */
async function otherShapes(
  context: BenchContext,
  gateway: BenchGateway,
  mappings: number,
  count: number,
): Promise<readonly Figure[]> {
  const pool = mappings / 1000;
  const wide = context.quick ? 500 : 5_000;
  await gateway.client.apply({
    changes: {
      putLoadBalancers: [
        loadBalancer('balanced', [{ number: pool, members: 1000, balanced: true }]),
        loadBalancer('wide', [{ number: pool + 1, members: wide }]),
        loadBalancer('alone', [{ number: pool + 2, members: 1000 }]),
      ],
    },
  });
  const places: ReadonlyMap<string, Place> = new Map([
    ['with a load-balancing rule on the pool', { gateway, loadBalancer: 'balanced', pool, members: 1000 }],
    [`to a pool of ${shown(wide)}`, { gateway, loadBalancer: 'wide', pool: pool + 1, members: wide }],
    [
      'to a pool alone in its load balancer',
      { gateway, loadBalancer: 'alone', pool: pool + 2, members: 1000 },
    ],
  ]);
  const samples = new Map([...places.keys()].map((name): [string, number[]] => [name, []]));
  for (let index = 0; index < count / 2; index += 1) {
    for (const [name, place] of places) {
      const [added] = await addAndRemove(place, index);
      samples.get(name)?.push(added);
    }
  }
  return [...samples].map(([name, values]) =>
    figure(`member added ${name}, beside ${shown(mappings)}`, median(values), 'ms', { note: spread(values) }),
  );
}

function mainFigures(
  samples: ReadonlyMap<number, Samples>,
  smallest: number,
  largest: number,
  spawned: readonly number[],
  synced: readonly number[],
): readonly Figure[] {
  const sync = median(synced);
  const added = (size: number): number => median(samples.get(size)?.added ?? []);
  return [
    ...[...samples].flatMap(([size, { added, removed }]) => [
      figure(`member added, ${shown(size)} mappings`, median(added), 'ms', {
        note: spread(added),
        ...(size === largest ? { target: { atMost: 5 + sync, meaning: '5 ms + one fsync' } } : {}),
      }),
      figure(`member removed, ${shown(size)} mappings`, median(removed), 'ms', { note: spread(removed) }),
    ]),
    figure('spawned nft -f of the same elements', median(spawned), 'ms', { note: spread(spawned) }),
    figure('one fsync of 4 KiB', sync, 'ms', {
      note: `${spread(synced)}; max ${shown(percentile(synced, 100))}`,
    }),
    figure(`member added, ${shown(largest)} / spawned nft -f`, added(largest) / median(spawned), '', {
      target: { atMost: 1.5 },
    }),
    figure(
      `member added, ${shown(largest)} / ${shown(smallest)} mappings`,
      added(largest) / added(smallest),
      '',
      { target: { atMost: 1.3 } },
    ),
  ];
}

function placeOf(places: ReadonlyMap<number, Place>, mappings: number): Place {
  const place = places.get(mappings);
  if (place === undefined) throw new Error(`There is no gateway with ${mappings} mappings.`);
  return place;
}
