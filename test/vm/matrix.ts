// Runs suites of tests under the kernels of the matrix, a guest for each.
import { createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import type { Kernel } from './kernels.ts';
import { countReport, type Outcome, reasonToFail, withoutReport } from './outcome.ts';
import { run } from './run.ts';
import type { Suite } from './suites.ts';
import { Trouble } from './trouble.ts';

export interface Cell {
  readonly kernel: Kernel;
  readonly suite: Suite;
}

/** What goes together: a suite runs where everything that it needs is promised. */
export function cells(kernels: readonly Kernel[], suites: readonly Suite[]): readonly Cell[] {
  return kernels.flatMap((kernel) =>
    suites
      .filter(({ needs }) => needs.every((feature) => kernel.promises.includes(feature)))
      .map((suite) => ({ kernel, suite })),
  );
}

/** So many guests at a time; a line on each as it begins and ends, and all that a failed one said. */
export async function runMatrix(
  all: readonly Cell[],
  jobs: number,
  say: (text: string) => void,
  signal: AbortSignal,
): Promise<readonly Outcome[]> {
  const outcomes: Outcome[] = [];
  const queue = all.entries();
  const lane = async () => {
    for (const [index, cell] of queue) outcomes[index] = await runCell(cell, say, signal);
  };
  await Promise.all(Array.from({ length: jobs }, lane));
  return outcomes;
}

async function runCell(
  { kernel, suite }: Cell,
  say: (text: string) => void,
  signal: AbortSignal,
): Promise<Outcome> {
  const directory = await mkdtemp(join(tmpdir(), 'penstock-matrix-'));
  const title = `${kernel.name} ${suite.name}`;
  const begin = performance.now();
  const elapsed = () => (performance.now() - begin) / 1000;
  const heartbeat = setInterval(() => say(`${title}: ${Math.round(elapsed())} s so far`), 60_000);
  try {
    say(`${title}: begins`);
    const output = join(directory, 'output');
    await mkdir(output);
    const said = join(directory, 'said');
    const outcome = await runSuite({ kernel, suite }, output, said, say, elapsed, signal);
    if (outcome.failure === undefined) {
      say(`${title}: ${outcome.passed} passed, ${Math.round(outcome.seconds)} s`);
    } else {
      say(`${title}: failed after ${Math.round(outcome.seconds)} s, and said:`);
      process.stderr.write(await readFile(said));
      say(`${title}: ${outcome.failure}`);
    }
    return outcome;
  } finally {
    clearInterval(heartbeat);
    await rm(directory, { recursive: true, force: true });
  }
}

async function runSuite(
  { kernel, suite }: Cell,
  output: string,
  said: string,
  say: (text: string) => void,
  elapsed: () => number,
  signal: AbortSignal,
): Promise<Outcome> {
  const file = createWriteStream(said);
  try {
    const { cpus = 1, memory = 3072, nics = 0, queues = 1, qemu = [], timeout } = suite;
    const order = { kernel, command: command(suite), cpus, memory, nics, queues, timeout, output, qemu };
    const status = await run(order, { stdout: file, stderr: file, say }, signal);
    const report = await readFile(join(output, 'report.json'), 'utf8').catch(() => undefined);
    if (report === undefined) {
      return withoutReport(
        kernel.name,
        suite,
        elapsed(),
        `vitest ended with status ${status} and wrote no report`,
      );
    }
    const counts = countReport(report);
    return {
      kernel: kernel.name,
      suite: suite.name,
      ...counts,
      seconds: elapsed(),
      failure: reasonToFail(status, counts),
    };
  } catch (error) {
    if (signal.aborted || !(error instanceof Trouble)) throw error;
    return withoutReport(kernel.name, suite, elapsed(), error.message);
  } finally {
    file.end();
    await finished(file);
  }
}

function command(suite: Suite): readonly string[] {
  return [
    'vitest',
    'run',
    ...suite.projects.flatMap((project) => ['--project', project]),
    ...['--reporter=default', '--reporter=json', '--outputFile.json=/vm-output/report.json'],
    ...suite.files,
  ];
}
