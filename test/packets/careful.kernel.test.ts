// The fast way decides what the careful way decides: the same frames through both, with changes of the rules in between.
import { randomInt } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { TestResult } from '../../src/dataplane/xdp/kernel/test-run.ts';
import { slowness } from '../slowness.ts';
import { explain } from './frame/dissect.ts';
import { encode } from './frame/encode.ts';
import { type Material, mutate } from './fuzz/mutate.ts';
import { Random } from './fuzz/random.ts';
import { portion } from './portion.ts';
import { allRows } from './rows/all.ts';
import { Gateway } from './world/gateway.ts';
import { physicalOf } from './world/places.ts';
import { any, balanced, balancedAny, front, twin, type Variation, web } from './world/rules.ts';

/** `PENSTOCK_SEED` repeats a run. */
const seed = Number(process.env.PENSTOCK_SEED ?? randomInt(2 ** 32));
const rounds = Math.max(12, 60 * portion);
const perRound = 4000;
/**
 * Frames that may differ, and rounds whose counts may. Flows of one client port share a bucket, and the frames are of more
 * such flows than it holds: which of them gives way goes by when they were last seen, by the second, and the fast way writes
 * that more rarely.
 */
const tolerated = { frames: (rounds * perRound) / 10_000, rounds: rounds / 6 };

/** What comes in by `still` goes on or not by whether a next hop is remembered, which is a matter of milliseconds. */
const sent = allRows
  .flatMap(({ frame, before = [] }) => [
    ...before.filter((step) => 'packet' in step),
    ...(typeof frame === 'function' ? [] : [frame]),
  ])
  .filter(({ device }) => device !== 'still');
/** Only such frames can take the fast way; the rest shall come in between now and then. */
const fast = sent.filter(
  ({ packet: { ethernet, ip } }) => ethernet.tags.length === 0 && !ip.source.includes(':'),
);
const [corpus, plain] = [sent, fast].map((all) =>
  all.map(({ device, packet }) => ({ device: physicalOf(device), frame: encode(packet) })),
);
const material: Material = {
  frames: (plain ?? []).map(({ frame }) => frame),
  addresses: [front, any, twin, balanced, balancedAny, '10.1.0.1', '10.1.1.1', '10.1.1.4', '198.51.100.10'],
  ports: [80, 81, 84, 501, 584, 600, 701, 702, 8080, 40000],
};
const variations: readonly Variation[] = [
  {},
  { web: web.slice(1) },
  { web: web.slice(0, 2) },
  { without: ['machine'] },
  { without: ['both'] },
  { without: ['twin-2'] },
];

let gateway: Gateway;
let careful: Gateway;
beforeAll(async () => {
  gateway = await Gateway.open({ flows: 4096 });
  careful = await Gateway.openCareful(gateway);
});
afterAll(() => {
  gateway?.close();
  careful?.close();
});

/** By row and by reason. */
function countsOf(each: Gateway): readonly number[] {
  return [...each.rows(), ...each.reasons()].map(Number);
}

function since(each: Gateway, before: readonly number[] = []): readonly number[] {
  return countsOf(each).map((count, at) => count - (before[at] ?? 0));
}

it(`gives the same frames, verdicts and counts (seed ${seed})`, { timeout: 300_000 * slowness }, async () => {
  const random = new Random(seed);
  const tally = new Map<string, number>();
  const differing = { frames: 0, rounds: 0 };
  for (let round = 0; round < rounds; round += 1) {
    const variation = random.of(variations);
    const seconds = random.of([0, 0, 1, 20, 100, 140]);
    const remember = random.below(4) > 0;
    for (const each of [gateway, careful]) {
      await each.change(variation);
      each.rememberHops(remember);
      each.wait(seconds);
    }
    const before = [gateway, careful].map(countsOf);
    for (let index = 0; index < perRound; index += 1) {
      const { device, frame } = random.of((random.below(8) === 0 ? corpus : plain) ?? []);
      const mutant = random.below(3) > 0 ? frame : mutate(frame, material, random);
      const program = random.below(4) === 0 ? 'penstock_frags' : 'penstock';
      const send = (): readonly [TestResult, TestResult, boolean] => {
        const one = gateway.receive(mutant, device, program);
        const other = careful.receive(mutant, device, program);
        return [one, other, one.verdict === other.verdict && Buffer.compare(one.frame, other.frame) === 0];
      };
      const [one, other, agreed] = send();
      if (!agreed) {
        differing.frames += 1;
        const told = [mutant, one.frame, other.frame].map(explain).join('\n->\n');
        const message = `${one.verdict}, carefully ${other.verdict} (round ${round}, ${index}, ${device}):\n${told}`;
        expect(differing.frames, message).toBeLessThanOrEqual(tolerated.frames);
        // With the same memory they have to agree.
        careful.recall(gateway);
        expect(send()[2], message).toBe(true);
      }
      tally.set(one.verdict, (tally.get(one.verdict) ?? 0) + 1);
    }
    const [counts, others] = [gateway, careful].map((each, at) => since(each, before[at]));
    if (!isDeepStrictEqual(counts, others)) {
      differing.rounds += 1;
      if (differing.rounds > tolerated.rounds) expect(counts).toEqual(others);
      careful.recall(gateway);
    }
  }
  // Otherwise little was compared.
  expect(tally.get('XDP_REDIRECT')).toBeGreaterThan((rounds * perRound) / 4);
});
