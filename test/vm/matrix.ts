// Runs suites of tests under the kernels of the matrix, a guest for each.
import { createWriteStream } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import type { Kernel } from './kernels.ts';
import { countReport, type Outcome, reasonToFail, withoutReport } from './outcome.ts';
import { run } from './run.ts';
import type { Suite } from './suites.ts';
import { inTemporary } from './temporary.ts';

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

/** What runs a guest. */
type Boot = typeof run;

/**
 * So many guests at a time; a line on each as it begins and ends, and all that a failed one said. What goes wrong with one
 * is its outcome, and keeps no other from running; only the signal ends them all.
 */
export async function runMatrix(
  all: readonly Cell[],
  jobs: number,
  say: (text: string) => void,
  signal: AbortSignal,
  boot: Boot = run,
): Promise<readonly Outcome[]> {
  const outcomes: Outcome[] = [];
  const queue = all.entries();
  const lane = async () => {
    for (const [index, cell] of queue) outcomes[index] = await runCell(cell, say, signal, boot);
  };
  await Promise.all(Array.from({ length: jobs }, lane));
  return outcomes;
}

async function runCell(
  { kernel, suite }: Cell,
  say: (text: string) => void,
  signal: AbortSignal,
  boot: Boot,
): Promise<Outcome> {
  const title = `${kernel.name} ${suite.name}`;
  const begin = performance.now();
  const elapsed = () => (performance.now() - begin) / 1000;
  const heartbeat = setInterval(() => say(`${title}: ${Math.round(elapsed())} s so far`), 60_000);
  say(`${title}: begins`);
  try {
    return await inTemporary(tmpdir(), 'penstock-matrix', async (directory) => {
      const output = join(directory, 'output');
      await mkdir(output);
      const said = join(directory, 'said');
      const outcome = await runSuite({ kernel, suite }, output, said, say, elapsed, signal, boot);
      if (outcome.failure === undefined) {
        say(`${title}: ${outcome.passed} passed, ${Math.round(outcome.seconds)} s`);
      } else {
        say(`${title}: failed after ${Math.round(outcome.seconds)} s, and said:`);
        process.stderr.write(await readFile(said).catch(() => ''));
        say(`${title}: ${outcome.failure}`);
      }
      return outcome;
    });
  } catch (error) {
    if (signal.aborted) throw error;
    say(`${title}: ${messageOf(error)}`);
    return withoutReport(kernel.name, suite, elapsed(), messageOf(error));
  } finally {
    clearInterval(heartbeat);
  }
}

async function runSuite(
  { kernel, suite }: Cell,
  output: string,
  said: string,
  say: (text: string) => void,
  elapsed: () => number,
  signal: AbortSignal,
  boot: Boot,
): Promise<Outcome> {
  const file = createWriteStream(said);
  // Without room for what it says, its report still counts.
  file.on('error', () => {});
  try {
    const { cpus = 1, memory = 3072, nics = 0, queues = 1, qemu = [], timeout } = suite;
    const order = { kernel, command: command(suite), cpus, memory, nics, queues, timeout, output, qemu };
    const { status, fault } = await boot(order, { stdout: file, stderr: file, say }, signal);
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
      failure: reasonToFail(status, counts, fault),
    };
  } catch (error) {
    if (signal.aborted) throw error;
    return withoutReport(kernel.name, suite, elapsed(), messageOf(error));
  } finally {
    file.end();
    await finished(file).catch(() => {});
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
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
