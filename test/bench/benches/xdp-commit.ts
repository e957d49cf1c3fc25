// How long the XDP plane's memory takes to change, and to be filled: the maps alone, with real ones and grace periods.
import type { Change } from '../../../src/forwarding/change.ts';
import { buildRing, populate } from '../../../src/forwarding/ring.ts';
import type { Ring } from '../../../src/forwarding/table.ts';
import type { Bench, BenchContext } from '../bench.ts';
import { type Figure, figure, median, shown, spread } from '../figures.ts';
import { Machinery } from '../xdp/machinery.ts';
import { adding, balanced, exchanging, mapping, mappings, removing } from '../xdp/tables.ts';

interface Sizes {
  readonly base: number;
  readonly loads: number;
  readonly rounds: readonly (readonly [count: number, rounds: number, atMost: number])[];
  readonly rings: number;
}

const poolSize = 1000;

export const xdpCommit: Bench = {
  name: 'xdp-commit',
  summary:
    'time until changes of the XDP maps are visible, by size; loading 1,000,000 mappings; a ring of 65,537 slots',
  run: async (context) => {
    const sizes: Sizes = context.quick
      ? {
          base: 20_000,
          loads: 1,
          rounds: [
            [1, 5, 0.2],
            [1000, 3, 3],
          ],
          rings: 3,
        }
      : {
          base: 1_000_000,
          loads: 3,
          rounds: [
            [1, 50, 0.2],
            [1000, 20, 3],
            [100_000, 5, 150],
          ],
          rings: 15,
        };
    const loaded = await loading(context, sizes);
    const committed = await committing(context, sizes);
    return [...committed, ...loaded, await ringing(context, sizes)];
  },
};

/** Into maps that are made for it, until packets see it. */
async function loading(context: BenchContext, { base, loads }: Sizes): Promise<readonly Figure[]> {
  context.note(`loading ${shown(base)} mappings`);
  const table = adding(mappings(base, 'tcp'));
  const times: number[] = [];
  const made: number[] = [];
  for (let load = 0; load < loads; load += 1) {
    const begin = performance.now();
    using machinery = await Machinery.empty(table);
    made.push(performance.now() - begin);
    await machinery.commit(table);
    times.push(performance.now() - begin);
  }
  return [
    figure(`load of ${shown(base)} mappings`, Math.min(...times), 'ms', {
      target: { atMost: 3000 },
      note: `${times.length} loads: ${times.map(shown).join(', ')}; of which to make the maps: ${made.map(shown).join(', ')}`,
    }),
  ];
}

async function committing(context: BenchContext, { base, rounds }: Sizes): Promise<readonly Figure[]> {
  const most = Math.max(...rounds.map(([count]) => count));
  const more = adding(mappings(most, 'tcp', base));
  const machinery = context.use(await Machinery.load(adding(mappings(base, 'tcp')), { spare: more }));
  const figures: Figure[] = [];
  for (const [count, repeat, atMost] of rounds) {
    context.note(`commits of ${shown(count)} entries`);
    const added = mappings(count, 'tcp', base);
    const before = Array.from({ length: count }, (_, index) => mapping(scattered(index, base), 'tcp'));
    // To machines that nothing leads to yet.
    const after = before.map((_, index) => mapping(scattered(index, base), 'tcp', base + most));
    const changes: readonly (readonly [string, Change])[] = [
      ['added', adding(added)],
      ['removed', removing(added)],
      ['replaced', exchanging(before, after)],
      ['', exchanging(after, before)],
    ];
    const samples = new Map(changes.map(([name]) => [name, [] as number[]]));
    for (let round = 0; round <= repeat; round += 1) {
      for (const [name, change] of changes) {
        await machinery.image.settled();
        const begin = performance.now();
        await machinery.commit(change);
        if (round > 0) samples.get(name)?.push(performance.now() - begin);
      }
    }
    for (const [name, times] of samples) {
      if (name === '') continue;
      const title = `commit of ${shown(count)} entries ${name}, of ${shown(base)}`;
      figures.push(figure(title, median(times), 'ms', { target: { atMost }, note: spread(times) }));
    }
  }
  return figures;
}

/** A member comes and goes: the population anew, and all slots written. */
async function ringing(context: BenchContext, { rings }: Sizes): Promise<Figure> {
  const { entry, ring: whole } = balanced(poolSize, 'tcp');
  const members = whole.members.slice(0, -1);
  const ringOf = (of: Ring['members']): Ring => buildRing(1, 4, of, populate(of));
  const machinery = context.use(await Machinery.load(adding([entry], [whole])));
  const times: number[] = [];
  let ring = whole;
  for (let round = 0; round <= rings; round += 1) {
    await machinery.image.settled();
    const begin = performance.now();
    const next = ringOf(ring.members.length === poolSize ? members : whole.members);
    await machinery.commit(changing(ring, next));
    if (round > 0) times.push(performance.now() - begin);
    ring = next;
  }
  return figure('ring of 65,537 slots for 1,000 members, filled and written', median(times), 'ms', {
    target: { atMost: 30 },
    note: spread(times),
  });
}

function changing(before: Ring, after: Ring): Change {
  const addresses = (ring: Ring) => new Set(ring.members.map(({ address }) => address));
  const [old, fresh] = [addresses(before), addresses(after)];
  return {
    ...adding([]),
    rings: [{ before, after }],
    backendsAdded: [...fresh.difference(old)],
    backendsRemoved: [...old.difference(fresh)],
  };
}

/** All over the table. */
function scattered(index: number, base: number): number {
  return (index * 7919) % base;
}
