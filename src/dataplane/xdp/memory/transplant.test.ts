// In larger maps everything is found again, and flows refer to what they did.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { emptyTable } from '../../../forwarding/compile.ts';
import { Image } from './image.ts';
import { bucket, flow, flowKind, flowState } from './layout.ts';
import type { Memory } from './map-memory.ts';
import { defaultShape, noNeeds, type Shape } from './shape.ts';
import { changeOf, nat } from './testing/entries.ts';
import { entriesOf, expectTable } from './testing/expect-table.ts';
import { memoryOf, shapeFor } from './testing/memory.ts';
import { Reader } from './testing/reader.ts';
import { anyHistory, anyPacket } from './testing/worlds.ts';
import { transplant } from './transplant.ts';
import { DoesNotFit } from './trouble.ts';

const stamp = { instance: '0123456789abcdef', revision: 5, sequence: 7 };
const options = { shards: 1, gracePeriod: () => Promise.resolve() };

const small = { frontends: 128, backends: 256, machines: 32, rings: 6, members: 64, slots: 400, rows: 400 };

/** As the program notes a flow. */
function noteFlow(memory: Memory, index: number, way: number, frontend: number, serial: number): void {
  const map = new DataView(memory.flows.buffer);
  const at = index * bucket.size + bucket.flows + way * flow.size;
  map.setUint32(at + flow.frontend, frontend, true);
  map.setUint32(at + flow.frontend_serial, serial, true);
  map.setUint8(at + flow.kind, flowKind.nat);
  map.setBigUint64(
    index * bucket.size + way * 8,
    (BigInt(serial) << 32n) | (BigInt(flowState.open) << 24n),
    true,
  );
}

function flowsIn(memory: Memory): readonly { index: number; frontend: number; serial: number }[] {
  const map = new DataView(memory.flows.buffer);
  const found = [];
  for (let index = 0; index < memory.flows.entries; index += 1) {
    for (let way = 0; way < 7; way += 1) {
      if (map.getUint32(index * bucket.size + way * 8, true) === 0) continue;
      const at = index * bucket.size + bucket.flows + way * flow.size;
      const frontend = map.getUint32(at + flow.frontend, true);
      found.push({ index, frontend, serial: map.getUint32(at + flow.frontend_serial, true) });
    }
  }
  return found;
}

test('growth keeps what packets see, counters, serials and flows', async () => {
  await fc.assert(
    fc.asyncProperty(
      anyHistory,
      fc.array(anyPacket, { minLength: 10, maxLength: 10 }),
      fc.constantFrom(1, 2, 16),
      fc.constantFrom(1, 4),
      async (history, packets, factor, flowFactor) => {
        const table = history.at(-1) ?? emptyTable();
        const memory = memoryOf(shapeFor({}, small));
        Image.format(memory, 1);
        const image = await Image.attach(memory, options);
        await image.reconcile(table);
        image.publish(stamp);
        await image.settled();
        const before = new Reader(memory);
        const endpoints = entriesOf(table).map(({ endpoint }) => endpoint);
        const found = endpoints.map(({ address, transport, port }) =>
          before.frontend(address, transport, port),
        );
        for (const [at, each] of found.entries()) {
          if (each !== undefined && at < 7) noteFlow(memory, at % 3, at, each.place, each.target.serial);
        }
        const larger = Object.fromEntries(Object.entries(small).map(([key, size]) => [key, size * factor]));
        const shape: Partial<Shape> = { ...larger, flows: memory.flows.entries * flowFactor };
        const grown = memoryOf(shapeFor({}, shape));
        const { image: after, follow } = await transplant(image, grown, options);
        const reader = new Reader(grown);
        expectTable(reader, table, packets);
        expect(after.stamp).toEqual(image.stamp);
        expect(after.census.needs()).toEqual(image.census.needs());
        const targets = endpoints.map(({ address, transport, port }) =>
          reader.frontend(address, transport, port),
        );
        expect(targets.map((each) => each?.target)).toEqual(found.map((each) => each?.target));
        const last = found.at(-1);
        if (last !== undefined) noteFlow(memory, 5, 2, last.place, last.target.serial);
        await follow();
        await follow();
        const flows = flowsIn(grown);
        expect(flows.length).toBe(flowsIn(memory).length * flowFactor);
        for (const { frontend, serial } of flows) expect(reader.target(frontend)?.serial).toBe(serial);
        await after.reconcile(emptyTable());
        after.publish(stamp);
        await after.settled();
        expect(after.census.fill().counters.used).toBe(0);
      },
    ),
    { numRuns: 60 },
  );
}, 60_000);

test('on many processors, counters of many rows are shared, and nothing that was counted is forgotten', async () => {
  const shape = defaultShape(noNeeds, { cpus: 64, flows: 64 });
  expect(shape.shards).toBe(64);
  const memory = memoryOf(shape);
  Image.format(memory, 1);
  const image = await Image.attach(memory, { ...options, shards: 64 });
  const entry = nat(101, '10.0.0.1:22');
  await image.stage(changeOf({ added: [entry] }));
  image.publish(stamp);
  const row = new Reader(memory).frontend(entry.endpoint.address, 'tcp', 101)?.target.counter ?? 0;
  const counters = new BigUint64Array(memory.counters.buffer);
  for (let cpu = 0; cpu < 64; cpu += 1) counters.set([1n, 2n ** 32n - 1n, 3n], (row * 64 + cpu) * 4);
  const larger = image.census.wanted('counters', { ...noNeeds, mappings: 1_000_000 });
  expect(larger.rows).toBeGreaterThan(1_000_000);
  expect(larger.rows * larger.shards * 32).toBeLessThan(2 ** 28);
  // The same with fewer rows, to be quick.
  const shared = memoryOf({ ...shape, rows: shape.rows * 2, shards: 4 });
  const { image: after } = await transplant(image, shared, { ...options, shards: 4 });
  expect(after.census.counters(entry)).toEqual({ packets: 64, bytes: 64 * (2 ** 32 - 1), flows: 192 });
  await expect(transplant(after, memory, { ...options, shards: 64 })).rejects.toThrow(RangeError);
});

test('what does not fit is told, with nothing staged, and fits into what was wanted', async () => {
  await fc.assert(
    fc.asyncProperty(anyHistory, fc.array(anyPacket, { maxLength: 5 }), async (history, packets) => {
      const tight = shapeFor(
        {},
        {
          frontends: 8,
          backends: 8,
          machines: 2,
          rings: 1,
          members: 2,
          slots: 70,
          rows: 4,
          addresses: 1,
          flows: 1,
        },
      );
      const memory = memoryOf(tight);
      Image.format(memory, 1);
      let image = await Image.attach(memory, options);
      let before = emptyTable();
      for (const table of history) {
        for (let growths = 0; ; growths += 1) {
          expect(growths).toBeLessThan(4);
          await image.settled();
          const used = image.census.fill();
          try {
            await image.reconcile(table);
            break;
          } catch (error) {
            if (!(error instanceof DoesNotFit)) throw error;
            expect(image.census.fill()).toEqual(used);
            expectTable(new Reader(image.memory), before, packets);
            image = (await transplant(image, memoryOf(error.wanted), options)).image;
          }
        }
        image.publish(stamp);
        expectTable(new Reader(image.memory), table, packets);
        before = table;
      }
    }),
    { numRuns: 40 },
  );
}, 60_000);
