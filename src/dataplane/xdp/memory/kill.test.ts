// An agent killed at any store leaves memory that forwards one table or the other, and that its successor can take up.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { emptyTable } from '../../../forwarding/compile.ts';
import { diff } from '../../../forwarding/diff.ts';
import type { FiveTuple } from '../../../forwarding/hash.ts';
import type { ForwardingTable } from '../../../forwarding/table.ts';
import { Image } from './image.ts';
import type { Memory } from './map-memory.ts';
import { expectTable } from './testing/expect-table.ts';
import { Killed, type Life, mortal } from './testing/killed-store.ts';
import { memoryOf, shapeFor } from './testing/memory.ts';
import { Reader } from './testing/reader.ts';
import { anyHistory, anyPacket } from './testing/worlds.ts';

const instance = '0123456789abcdef';
const gracePeriod = () => Promise.resolve();
const options = { shards: 1, gracePeriod };

const tiny = shapeFor(
  {},
  {
    frontends: 256,
    backends: 512,
    machines: 32,
    rings: 6,
    members: 64,
    slots: 400,
    rows: 400,
    addresses: 8,
    flows: 1,
    seen: 1,
  },
);

function stampOf(revision: number) {
  return { instance, revision, sequence: revision };
}

function copyOf(memory: Memory): Memory {
  return Object.fromEntries(
    Object.entries(memory).map(([name, map]) => [name, { ...map, buffer: map.buffer.slice(0) }]),
  ) as unknown as Memory;
}

/** Whatever an agent with so much life gets done; what is left of it. */
async function commitMortal(memory: Memory, before: ForwardingTable, after: ForwardingTable, left: number) {
  const life: Life = { left: Number.POSITIVE_INFINITY };
  const image = await Image.attach(memory, { ...options, openStore: mortal(life, memory.slots) });
  life.left = left;
  try {
    await image.stage(diff(before, after));
    image.publish(stampOf(2));
    await image.settled();
  } catch (error) {
    if (!(error instanceof Killed)) throw error;
  }
  return left - life.left;
}

/** What the next agent finds, and what it can still do. */
async function takeUp(
  memory: Memory,
  before: ForwardingTable,
  after: ForwardingTable,
  flows: readonly FiveTuple[],
  fills: { readonly before: unknown; readonly after: unknown },
): Promise<void> {
  const published = new Reader(memory).epoch === 2;
  const seen = published ? after : before;
  expectTable(new Reader(memory), seen, flows);
  const image = await Image.attach(memory, options);
  expectTable(new Reader(memory), seen, flows);
  expect(image.stamp?.revision).toBe(published ? 2 : 1);
  // Nothing that only the killed one knew of is left.
  expect(image.census.fill()).toEqual(published ? fills.after : fills.before);
  await image.reconcile(after);
  expectTable(new Reader(memory), seen, flows);
  image.publish(stampOf(3));
  expectTable(new Reader(memory), after, flows);
  await image.settled();
  await image.reconcile(emptyTable());
  image.publish(stampOf(4));
  await image.settled();
  expect(image.census.needs()).toEqual({ mappings: 0, machines: 0, rings: 0, members: 0, units: 0 });
  expect(image.census.fill().counters.used).toBe(0);
  expect(new Uint8Array(memory.addresses.buffer).every((cell) => cell === 0)).toBe(true);
}

test('killed at any store', async () => {
  await fc.assert(
    fc.asyncProperty(
      anyHistory,
      fc.array(anyPacket, { minLength: 3, maxLength: 3 }),
      fc.nat(),
      async (history, flows, salt) => {
        const after = history.at(-1) ?? emptyTable();
        const before = history.at(-2) ?? emptyTable();
        const start = memoryOf(tiny);
        Image.format(start, 1);
        const image = await Image.attach(start, options);
        await image.reconcile(before);
        image.publish(stampOf(1));
        await image.settled();
        const whole = copyOf(start);
        const all = await commitMortal(whole, before, after, 1_000_000);
        const done = await Image.attach(whole, options);
        const fills = { before: image.census.fill(), after: done.census.fill() };
        // A cut at every store of small changes; of large ones here and there, elsewhere in each run.
        const stride = Math.ceil((all + 1) / 60);
        for (let left = salt % stride; left <= all; left += stride) {
          const memory = copyOf(start);
          await commitMortal(memory, before, after, left);
          // The successor may be killed while it takes up what it finds, too.
          const life: Life = { left: (salt + left) % 40 };
          await Image.attach(memory, { ...options, openStore: mortal(life, memory.slots) }).catch(
            (error: unknown) => {
              if (!(error instanceof Killed)) throw error;
            },
          );
          await takeUp(memory, before, after, flows, fills);
        }
      },
    ),
    { numRuns: 25 },
  );
}, 120_000);
