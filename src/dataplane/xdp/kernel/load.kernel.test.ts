// Loading a program, its settings and its maps, on the real kernel. Needs root, libbpf and clang, and fails without.
import { existsSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { DataPlaneUnavailable } from '../../dataplane.ts';
import { gracePeriod } from './grace.ts';
import { type LoadRequest, loadProgram, ProgramRefused } from './load.ts';
import type { LoadedProgram } from './program.ts';
import { type Compiled, compile } from './testing/compile.ts';

const frame = Buffer.alloc(64, 7);
const cellSize = 16;

let small: Compiled;
const opened: LoadedProgram[] = [];

beforeAll(async () => {
  small = await compile('small.bpf.c');
});
afterAll(() => small?.[Symbol.dispose]());
afterEach(() => {
  for (const program of opened.splice(0)) program.close();
});

async function load(request: Partial<LoadRequest> = {}): Promise<LoadedProgram> {
  const program = await loadProgram({ object: small.object, shape: {}, settings: {}, ...request });
  opened.push(program);
  return program;
}

describe('settings', () => {
  it('sets constants of every width by name, leaves the others, and reads them back', async () => {
    const program = await load({ settings: { mark: 0x99, wide: 2 ** 40 } });
    expect(program.settings).toEqual({ which: 0, mark: 0x99, wide: 2 ** 40 });
    expect(program.testRun({ frame }).frame[0]).toBe(0x99);
  });

  it('refuses names that the program does not have, and values that do not fit', async () => {
    await expect(load({ settings: { marc: 1 } })).rejects.toThrow('the program has no setting marc');
    await expect(load({ settings: { mark: 256 } })).rejects.toThrow('do not hold 256');
    await expect(load({ settings: { mark: -1 } })).rejects.toThrow('do not hold -1');
  });
});

describe('memory', () => {
  it('is read by the program at once, and written by it', async () => {
    const program = await load({ shape: { cells: 1000 }, settings: { which: 999 } });
    const cells = program.memory('cells');
    expect(cells).toMatchObject({ entries: 1000, valueSize: 12, stride: cellSize });
    const words = new Uint32Array(cells.buffer);
    expect(words.length).toBe((1000 * cellSize) / 4);
    const at = (999 * cellSize) / 4;
    for (const [number, verdict] of [
      [1, 'XDP_DROP'],
      [2, 'XDP_PASS'],
      [3, 'XDP_TX'],
      [4, 'XDP_REDIRECT'],
    ] as const) {
      Atomics.store(words, at, number);
      expect(program.testRun({ frame, repeat: 5 }).verdict).toBe(verdict);
      expect(words[at + 1]).toBe(5 * number);
    }
  });

  it('stays for those who hold it when the program is closed, and is out of reach for others', async () => {
    const program = await load({ shape: { cells: 4 } });
    const words = new Uint32Array(program.memory('cells').buffer);
    words[0] = 2;
    program.close();
    program.close();
    expect(words[0]).toBe(2);
    expect(() => program.memory('cells')).toThrow('the program is closed');
    expect(() => program.testRun({ frame })).toThrow('the program is closed');
  });

  it('is that of the other program where maps are reused', async () => {
    const first = await load({ shape: { cells: 10 } });
    new Uint32Array(first.memory('cells').buffer)[0] = 3;
    const second = await load({ reuse: { from: first, maps: ['cells'] } });
    expect(second.maps.get('cells')).toEqual(first.maps.get('cells'));
    expect(second.maps.get('verdicts')?.id).not.toBe(first.maps.get('verdicts')?.id);
    expect(second.programs.get('penstock')?.tag).toBe(first.programs.get('penstock')?.tag);
    first.close();
    expect(second.testRun({ frame }).verdict).toBe('XDP_TX');
    expect(new Uint32Array(second.memory('cells').buffer)[1]).toBe(1);
  });

  it('is not shared with a map of another layout', async () => {
    using other = await compile('small.bpf.c', ['WIDER']);
    const first = await load();
    await expect(load({ object: other.object, reuse: { from: first, maps: ['cells'] } })).rejects.toThrow(
      'the map cells has another layout',
    );
  });

  it('holds what is large', async () => {
    const program = await load({ shape: { cells: 2 ** 22 }, settings: { which: 2 ** 22 - 1 } });
    const words = new Uint32Array(program.memory('cells').buffer);
    words[words.length - cellSize / 4] = 1;
    expect(program.testRun({ frame }).verdict).toBe('XDP_DROP');
    const bytes = program.maps.get('cells')?.bytes ?? 0;
    expect(bytes / (2 ** 22 * cellSize)).toBeCloseTo(1, 2);
  });
});

describe('elements', () => {
  it('come, go, and are listed', async () => {
    const program = await load({ settings: { wide: 5 } });
    const verdicts = program.elements('verdicts');
    const [key, other, value] = [Buffer.alloc(8), Buffer.alloc(8, 1), Buffer.alloc(4)];
    key[0] = 5;
    value[0] = 3;
    expect(verdicts.keys()).toEqual([]);
    verdicts.put(key, value);
    verdicts.put(other, value);
    expect(program.testRun({ frame }).verdict).toBe('XDP_TX');
    expect(verdicts.get(key)).toEqual(value);
    expect(verdicts.keys()).toHaveLength(2);
    expect(verdicts.keys()).toEqual(expect.arrayContaining([key, other]));
    expect(verdicts.delete(key)).toBe(true);
    expect(verdicts.delete(key)).toBe(false);
    expect(verdicts.get(key)).toBeUndefined();
    expect(program.testRun({ frame }).verdict).toBe('XDP_ABORTED');
    expect(() => verdicts.put(Buffer.alloc(7), value)).toThrow('a key has 8 bytes, not 7');
  });

  it('are summed over all CPUs', async () => {
    const program = await load();
    program.testRun({ frame, repeat: 1234 });
    expect(program.perCpuSums('counts')).toEqual([0, 1234, 0]);
  });
});

describe('a test run', () => {
  it('gives the frame back, whole and as long as it was', async () => {
    const program = await load({ settings: { mark: 1 } });
    for (const length of [14, 60, 1514, 3400]) {
      const sent = Buffer.alloc(length, 9);
      const { frame: got } = program.testRun({ frame: sent });
      expect(got).toEqual(Buffer.concat([Buffer.of(1), sent.subarray(1)]));
    }
  });

  it('takes jumbo frames through the frags program', async () => {
    const program = await load();
    expect([...program.programs.keys()].sort()).toEqual(['penstock', 'penstock_frags']);
    const jumbo = Buffer.alloc(9014, 5);
    expect(program.testRun({ frame: jumbo, program: 'penstock_frags' }).frame).toEqual(jumbo);
  });

  it('says where the frame came in', async () => {
    const program = await load();
    const words = new Uint32Array(program.memory('cells').buffer);
    program.testRun({ frame, ifindex: 1 });
    expect(words[2]).toBe(1);
    expect(() => program.testRun({ frame, ifindex: 12_345 })).toThrow('ENODEV');
  });

  it('is timed', async () => {
    const program = await load();
    expect(program.testRun({ frame, repeat: 100_000 }).duration).toBeGreaterThan(0);
  });
});

describe('what cannot be loaded', () => {
  it('comes with the reason first, and the whole log of the verifier', async () => {
    using broken = await compile('small.bpf.c', ['BROKEN']);
    const error = await load({ object: broken.object }).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(ProgramRefused);
    expect(error).toBeInstanceOf(DataPlaneUnavailable);
    if (!(error instanceof ProgramRefused)) return;
    expect(error.findings).toMatchObject([{ code: 'XDP_PROGRAM_REFUSED' }]);
    expect(error.findings[0]?.message).toContain('offset is outside of the packet');
    expect(error.log).toContain('-- BEGIN PROG LOAD LOG --');
    expect(error.log).toContain('processed');
  });

  it('loads without the frags program where only that one is refused', async () => {
    using half = await compile('small.bpf.c', ['BROKEN_FRAGS']);
    const program = await load({ object: half.object });
    expect([...program.programs.keys()]).toEqual(['penstock']);
  });

  it('is an object that is not there', async () => {
    expect(existsSync('/none.o')).toBe(false);
    await expect(load({ object: '/none.o' })).rejects.toMatchObject({
      findings: [{ code: 'BPF_OBJECT_MISSING' }],
    });
  });

  it('is a map that the object does not have', async () => {
    await expect(load({ shape: { cell: 1 } })).rejects.toThrow('the object has no map cell');
  });
});

it('waits for a grace period without blocking', async () => {
  let turns = 0;
  const timer = setInterval(() => {
    turns += 1;
  }, 1);
  await Promise.all([gracePeriod(), gracePeriod()]);
  await gracePeriod();
  clearInterval(timer);
  expect(turns).toBeGreaterThan(0);
});
