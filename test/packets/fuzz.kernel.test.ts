// A million mutated frames: what is not ours comes back as it was, and what is translated is translated rightly.
import { randomInt } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { slowness } from '../slowness.ts';
import { dissect, explain } from './frame/dissect.ts';
import { encode } from './frame/encode.ts';
import { judgeOf } from './fuzz/judge.ts';
import { type Material, mutate } from './fuzz/mutate.ts';
import { Random } from './fuzz/random.ts';
import { portion } from './portion.ts';
import { allRows } from './rows/all.ts';
import type { Sent } from './rows/row.ts';
import { Gateway } from './world/gateway.ts';
import { type DeviceName, neighbours, physicalOf, silent } from './world/places.ts';
import {
  any,
  any6,
  balanced,
  balanced6,
  balancedAny,
  front,
  front6,
  masked,
  twin,
  twin6,
} from './world/rules.ts';

/** `PENSTOCK_SEED` repeats a run. */
const seed = Number(process.env.PENSTOCK_SEED ?? randomInt(2 ** 32));
const count = 1_000_000 * portion;
/** Flows and clients are forgotten so often, and hops remembered or asked for. */
const round = 10_000;

const sent: readonly Sent[] = allRows.flatMap(({ frame, before = [] }) => [
  ...before.filter((step) => 'packet' in step),
  ...(typeof frame === 'function' ? [] : [frame]),
]);
const corpus = sent.map(({ device, packet }) => ({ device: physicalOf(device), frame: encode(packet) }));
const material: Material = {
  frames: corpus.map(({ frame }) => frame),
  addresses: [
    ...[front, front6, any, any6, twin, twin6, balanced, balanced6, balancedAny, masked],
    ...neighbours,
    ...silent,
    ...[
      '203.0.113.99',
      '8.8.8.8',
      '0.0.0.0',
      '127.0.0.1',
      '224.0.0.1',
      '255.255.255.255',
      '::',
      '::1',
      'ff02::1',
      '2001:db8::1',
    ],
  ],
  ports: [0, 1, 22, 53, 80, 81, 82, 84, 501, 503, 504, 511, 584, 600, 701, 702, 4242, 8080, 40000, 65535],
};

let gateway: Gateway;
beforeAll(async () => {
  gateway = await Gateway.open();
});
afterAll(() => {
  gateway?.close();
});

it(`survives ${count} mutated frames (seed ${seed})`, { timeout: 300_000 * slowness }, async () => {
  const random = new Random(seed);
  const judge = judgeOf(gateway.table);
  const tally = { XDP_PASS: 0, XDP_TX: 0, XDP_REDIRECT: 0, XDP_DROP: 0, XDP_ABORTED: 0, marked: 0 };
  for (let index = 0; index < count; index += 1) {
    if (index % round === 0) await gateway.reset(index % (2 * round) === 0);
    const { device, frame } = random.of(corpus);
    // One in eight as it is: flows have to begin somewhere.
    const mutant = random.below(8) === 0 ? frame : mutate(frame, material, random);
    const program = index % 2 === 0 ? 'penstock' : 'penstock_frags';
    const { verdict, frame: after } = gateway.receive(mutant, device, program);
    const wrong = judge(device, mutant, verdict, after);
    if (wrong !== undefined) throw new Error(report(wrong, index, device, mutant, after));
    tally[verdict] += 1;
    if (verdict === 'XDP_PASS' && Buffer.compare(mutant, after) !== 0) tally.marked += 1;
  }
  // Otherwise the frames would not be worth their time.
  expect(tally.XDP_REDIRECT).toBeGreaterThan(count / 20);
  expect(tally.XDP_TX).toBeGreaterThan(count / 1000);
  expect(tally.marked).toBeGreaterThan(count / 1000);
  expect(tally.XDP_PASS - tally.marked).toBeGreaterThan(count / 4);
});

it(`leaves frames alone that begin nowhere (seed ${seed})`, { timeout: 60_000 * slowness }, async () => {
  const random = new Random(seed);
  const device: DeviceName = 'wan';
  for (let index = 0; index < 50_000 * portion; index += 1) {
    const noise = Uint8Array.from({ length: 18 + random.below(200) }, () => random.below(256));
    if (index % 2 === 0) noise.set([0x02, 0, 0, 0, 1, 1], 0);
    if (index % 4 < 2)
      noise.set(
        [
          [0x08, 0x00, 0x45],
          [0x86, 0xdd, 0x60],
        ][index % 2] ?? [],
        12,
      );
    const { verdict, frame } = gateway.receive(noise, device);
    if (verdict !== 'XDP_PASS' || Buffer.compare(frame, noise) !== 0) {
      throw new Error(report('noise was touched', index, device, noise, frame));
    }
  }
});

/** A test of the judge: it must know right from wrong. */
it('would notice a checksum or a byte that is off by one', () => {
  const judge = judgeOf(gateway.table);
  const row = corpus.find(({ frame }) => gateway.receive(frame, 'wan').verdict === 'XDP_REDIRECT');
  if (row === undefined) throw new Error('nothing is forwarded');
  const { verdict, frame: after } = gateway.receive(row.frame, row.device);
  expect(judge(row.device, row.frame, verdict, after)).toBeUndefined();
  for (const { name, at } of dissect(after).fields) {
    const wrong = Uint8Array.from(after);
    wrong[at] = ((wrong[at] ?? 0) + 1) & 0xff;
    expect([name, judge(row.device, row.frame, verdict, wrong)]).not.toEqual([name, undefined]);
  }
});

function report(wrong: string, index: number, device: string, before: Uint8Array, after: Uint8Array): string {
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
  return `${wrong} (seed ${seed}, frame ${index}, ${device})\n${hex(before)}\n${explain(before)}\n-> ${hex(after)}\n${explain(after)}`;
}
