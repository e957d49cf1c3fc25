// The program that looks at pairs, built from the program's own headers, and threads that run it.
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { execa } from 'execa';
import { loadProgram } from '../../../src/dataplane/xdp/kernel/load.ts';
import type { LoadedProgram } from '../../../src/dataplane/xdp/kernel/program.ts';
import { mapNames } from '../../../src/dataplane/xdp/memory/map-memory.ts';
import type { Shape } from '../../../src/dataplane/xdp/memory/shape.ts';
import { mapEntries, settingsOf } from '../world/tables.ts';
import { pairCount, writePairs } from './pairs.ts';
import type { ReaderTask } from './reader.ts';

const root = new URL('../../../', import.meta.url).pathname;
const object = join(root, 'bpf/penstock.bpf.o');

/** So many looks, by what they saw; see `enum sight`. */
export interface Sights {
  readonly both: number;
  readonly neither: number;
  readonly mixed: number;
  readonly astray: number;
  readonly dead: number;
}

export interface Looker {
  /** The program proper, whose maps are looked at. */
  readonly program: LoadedProgram;
  sights(): Sights;
  /** Looks until the answer is called. Rejects where a thread did. */
  start(threads: number): () => Promise<void>;
  close(): void;
}

export async function openLooker(shape: Shape): Promise<Looker> {
  const folder = await mkdtemp(join(tmpdir(), 'penstock-hammer-'));
  const built = join(folder, 'hammer.bpf.o');
  try {
    await execa(join(root, 'scripts/build-bpf'), [join(root, 'test/packets/hammer/hammer.bpf.c'), built]);
    const program = await loadProgram({ object, shape: mapEntries(shape), settings: settingsOf(shape) });
    const looking = await loadProgram({
      object: built,
      shape: {},
      settings: { ...settingsOf(shape), pair_count: pairCount },
      reuse: { from: program, maps: mapNames },
    });
    writePairs(looking);
    return {
      program,
      sights() {
        const [both = 0, neither = 0, mixed = 0, astray = 0, dead = 0] = looking.perCpuSums('sights');
        return { both, neither, mixed, astray, dead };
      },
      start: (threads) => startReaders(looking.programFile('hammer'), threads),
      close() {
        looking.close();
        program.close();
      },
    };
  } finally {
    await rm(folder, { recursive: true });
  }
}

function startReaders(file: number, threads: number): () => Promise<void> {
  const stop = new SharedArrayBuffer(4);
  const workerData: ReaderTask = { file, stop };
  const ended = Array.from({ length: threads }, async () => {
    const worker = new Worker(new URL('reader.ts', import.meta.url), { workerData });
    // Rejects with the thread's error.
    await once(worker, 'exit');
  });
  const all = Promise.all(ended);
  all.catch(() => {});
  return async () => {
    Atomics.store(new Int32Array(stop), 0, 1);
    await all;
  };
}
