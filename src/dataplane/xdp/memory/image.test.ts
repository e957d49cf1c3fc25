// What packets see after each commit is what the forwarding table says, and before it what it said before.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { emptyTable } from '../../../forwarding/compile.ts';
import { diff } from '../../../forwarding/diff.ts';
import { Image } from './image.ts';
import { expectTable } from './testing/expect-table.ts';
import { memoryOf, shapeFor } from './testing/memory.ts';
import { Reader } from './testing/reader.ts';
import { anyHistory, anyPacket } from './testing/worlds.ts';

const instance = '0123456789abcdef';
const packets = fc.array(anyPacket, { minLength: 20, maxLength: 20 });
const gracePeriod = () => Promise.resolve();
const options = { shards: 1, gracePeriod };

function stampOf(revision: number) {
  return { instance, revision, sequence: revision };
}

test('every commit shows what the table says, at once, and a packet under way sees what there was', async () => {
  await fc.assert(
    fc.asyncProperty(anyHistory, packets, fc.boolean(), async (history, flows, reconciles) => {
      const memory = memoryOf(shapeFor());
      Image.format(memory, 1);
      const image = await Image.attach(memory, options);
      let before = emptyTable();
      for (const [revision, table] of history.entries()) {
        const underWay = new Reader(memory, image.epoch);
        if (reconciles) await image.reconcile(table);
        else await image.stage(diff(before, table));
        expectTable(new Reader(memory), before, flows);
        image.publish(stampOf(revision));
        expectTable(underWay, before, flows);
        expectTable(new Reader(memory), table, flows);
        expect(image.stamp).toEqual(stampOf(revision));
        before = table;
        if (revision % 3 === 2) {
          await image.settled();
          expectTable(new Reader(memory), table, flows);
        }
      }
      await image.settled();
      await image.reconcile(emptyTable());
      image.publish(stampOf(99));
      await image.settled();
      expect(image.census.needs()).toEqual({ mappings: 0, machines: 0, rings: 0, members: 0, units: 0 });
      expect(image.census.fill().counters.used).toBe(0);
      expect(image.census.fill().backends.used).toBe(0);
      expect(new Uint8Array(memory.addresses.buffer).every((cell) => cell === 0)).toBe(true);
    }),
    { numRuns: 60 },
  );
}, 60_000);

test('a change that is taken back leaves no trace, and an agent that starts anew knows the same', async () => {
  await fc.assert(
    fc.asyncProperty(anyHistory, packets, async (history, flows) => {
      const memory = memoryOf(shapeFor());
      Image.format(memory, 1);
      let image = await Image.attach(memory, options);
      let before = emptyTable();
      for (const [revision, table] of history.entries()) {
        const used = image.census.fill();
        const cells = Buffer.from(memory.addresses.buffer.slice(0));
        await image.stage(diff(before, table));
        image.abort();
        expect(image.census.fill()).toEqual(used);
        expect(cells.equals(Buffer.from(memory.addresses.buffer))).toBe(true);
        expectTable(new Reader(memory), before, flows);
        await image.stage(diff(before, table));
        image.publish(stampOf(revision));
        await image.settled();
        const other = await Image.attach(memory, options);
        expect(other.census.fill()).toEqual(image.census.fill());
        expect(other.stamp).toEqual(image.stamp);
        expectTable(new Reader(memory), table, flows);
        await other.reconcile(table);
        expect(other.census.fill()).toEqual(image.census.fill());
        other.abort();
        image = other;
        before = table;
      }
    }),
    { numRuns: 40 },
  );
}, 60_000);
