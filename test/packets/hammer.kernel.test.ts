// No packet ever sees half of a change: two threads look at pairs of rules without a pause, while thousands of commits change
// them, while agents are killed in their midst, and while the same is done without versions, which must be noticed.
import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { setImmediate, setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { table } from '../../src/dataplane/nftables/testing/tables.ts';
import { gracePeriod } from '../../src/dataplane/xdp/kernel/grace.ts';
import { Image } from '../../src/dataplane/xdp/memory/image.ts';
import * as layout from '../../src/dataplane/xdp/memory/layout.ts';
import { mapNames } from '../../src/dataplane/xdp/memory/map-memory.ts';
import type { Shape } from '../../src/dataplane/xdp/memory/shape.ts';
import { slowness } from '../slowness.ts';
import { Random } from './fuzz/random.ts';
import { type Looker, openLooker, type Sights } from './hammer/looker.ts';
import { Pairs } from './hammer/pairs.ts';
import { portion } from './portion.ts';
import { memoryOf } from './world/tables.ts';

const instance = '00000000000000d1';
/** `PENSTOCK_SEED` gives the same changes again. */
const seed = Number(process.env.PENSTOCK_SEED ?? randomInt(2 ** 32));
const shape: Shape = {
  frontends: 2048,
  backends: 2048,
  machines: 256,
  rings: 128,
  members: 256,
  slots: 16_384,
  rows: 4096,
  shards: 2,
  addresses: 1024,
  flows: 64,
  seen: 64,
};

let looker: Looker;
/** What was seen before the test. */
let before: Sights;

beforeAll(async () => {
  looker = await openLooker(shape);
  Image.format(memoryOf(looker.program), seed);
});
afterAll(() => {
  looker?.close();
});
beforeEach(() => {
  before = looker.sights();
});

describe(`commits (seed ${seed})`, () => {
  it('become visible at one instant: thousands of them, millions of looks', {
    timeout: 300_000 * slowness,
  }, async () => {
    const image = await attach();
    const random = new Random(seed);
    const pairs = new Pairs(random);
    const stop = looker.start(2);
    try {
      for (let revision = 1; revision <= 2000 * portion || looked() < 3_000_000 * portion; revision += 1) {
        await image.stage(pairs.change(random.below(20) === 0 ? 100 : 1 + random.below(6)));
        // One change in ten is taken back, and nobody may see any of it.
        if (random.below(10) === 0) {
          image.abort();
          await image.reconcile(table(pairs.entries(), pairs.rings()));
        }
        image.publish({ instance, revision, sequence: revision });
      }
      await image.settled();
    } finally {
      await stop();
    }
    expect(seen()).toMatchObject({ mixed: 0, astray: 0, dead: 0 });
    expect(seen().both).toBeGreaterThan(1_000_000 * portion);
    expect(seen().neither).toBeGreaterThan(100_000 * portion);
    for (const kind of ['added', 'replaced', 'removed'] as const)
      expect(pairs.tally[kind]).toBeGreaterThan(500 * portion);
  });

  it('are whole or not there when the agent is killed in their midst', {
    timeout: 300_000 * slowness,
  }, async () => {
    const random = new Random(seed);
    let unfinished = 0;
    let finished = 0;
    const stop = looker.start(2);
    try {
      for (let turn = 0; turn < 12 || (unfinished < 5 && turn < 60); turn += 1) {
        const epoch = control().getUint32(layout.control.epoch, true);
        const chance = random.below(2 ** 31);
        // At any time, and in the midst of a change: how often that is met by chance depends on the machine.
        const time = (5 + random.below(60)) * slowness;
        await changeUntilKilled(chance, turn % 2 === 0 ? () => setTimeout(time) : untilStaged);
        if (control().getUint32(layout.control.epoch, true) > epoch) finished += 1;
        if (staged() > 0) unfinished += 1;
        const image = await attach();
        await image.settled();
        expect(staged()).toBe(0);
      }
    } finally {
      await stop();
    }
    expect(seen()).toMatchObject({ mixed: 0, astray: 0, dead: 0 });
    // Else the agents were killed at the wrong time.
    expect(unfinished).toBeGreaterThanOrEqual(5);
    expect(finished).toBeGreaterThanOrEqual(5);
    expect(seen().both).toBeGreaterThan(100_000 * portion);
  });

  it('would be seen by halves without versions', { timeout: 120_000 * slowness }, async () => {
    const image = await attach();
    const pairs = new Pairs(new Random(seed));
    pairs.change(200);
    await image.reconcile(table(pairs.entries(), pairs.rings()));
    image.publish({ instance, revision: 1, sequence: 1 });
    await image.settled();
    const stop = looker.start(2);
    try {
      await setTimeout(100);
      expect(seen()).toMatchObject({ mixed: 0, astray: 0, dead: 0 });
      while (seen().mixed === 0 || seen().astray === 0) {
        // As a program would whose tables hold the plain value.
        for (let times = 0; times < 100; times += 1) moveAll(times);
        await setTimeout(1);
      }
    } finally {
      await stop();
    }
    expect(seen().mixed).toBeGreaterThan(0);
    expect(seen().astray).toBeGreaterThan(0);
    Image.format(memoryOf(looker.program), seed);
  });
});

function attach(): Promise<Image> {
  return Image.attach(memoryOf(looker.program), { shards: shape.shards, gracePeriod });
}

function seen(): Sights {
  const now = looker.sights();
  const names = Object.keys(now) as (keyof Sights)[];
  return Object.fromEntries(names.map((name) => [name, now[name] - before[name]])) as unknown as Sights;
}

function looked(): number {
  const { both, neither, mixed } = seen();
  return both + neither + mixed;
}

/** An agent of its own that commits without a pause, killed so many milliseconds after its first commit. */
async function changeUntilKilled(chance: number, moment: () => Promise<void>): Promise<void> {
  const files = mapNames.map((name) => looker.program.mapFile(name));
  const program = new URL('hammer/stager.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, [program, `${chance}`, `${shape.shards}`], {
    stdio: ['ignore', 'pipe', 'inherit', ...files],
  });
  const exited = once(child, 'exit');
  const first = child.stdout === null ? undefined : once(child.stdout, 'data');
  await Promise.race([first, exited]);
  await moment();
  child.kill('SIGKILL');
  const [, signal] = await exited;
  if (signal !== 'SIGKILL') throw new Error('the agent ended by itself');
}

async function untilStaged(): Promise<void> {
  for (let looks = 0; staged() === 0 && looks < 1000; looks += 1) await setImmediate();
}

/** Entries that an unpublished change has written. */
function staged(): number {
  const epoch = control().getUint32(layout.control.epoch, true);
  const versions = [
    ['frontends', layout.frontend.size, layout.frontend.version],
    ['backends', layout.backend.size, layout.backend.version],
    ['rings', layout.ring.size, layout.ring.version],
    ['members', layout.member.size, layout.member.version],
  ] as const;
  let count = 0;
  for (const [map, size, offset] of versions) {
    const view = viewOf(map);
    for (let at = offset; at < view.byteLength; at += size)
      if (view.getUint32(at, true) >>> 1 > epoch) count += 1;
  }
  return count;
}

/** All one-to-one rules to another machine, in place. */
function moveAll(machine: number): void {
  const frontends = viewOf('frontends');
  for (let at = 0; at < frontends.byteLength; at += layout.frontend.size) {
    if (frontends.getUint8(at + layout.frontend.protocol) === 0) continue;
    for (const place of [0, 1]) {
      const target = at + layout.frontend.targets + place * layout.target.size;
      if (frontends.getUint8(target + layout.target.kind) !== layout.targetKind.nat) continue;
      frontends.setUint32(target + layout.target.to, machine % 32, true);
    }
  }
}

function control(): DataView {
  return viewOf('control');
}

function viewOf(map: string): DataView {
  return new DataView(looker.program.memory(map).buffer);
}
