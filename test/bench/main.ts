// npm run bench [NAME...]: runs the benches, prints one table and writes the figures as JSON.
import { parseArgs } from 'node:util';
import { type Bench, BenchContext } from './bench.ts';
import { healthProbes } from './benches/health-probes.ts';
import { memberAdded } from './benches/member-added.ts';
import { newFlow } from './benches/new-flow.ts';
import { replaceAll } from './benches/replace-all.ts';
import { ring } from './benches/ring.ts';
import { start } from './benches/start.ts';
import { steadyLoad } from './benches/steady-load.ts';
import { xdpCommit } from './benches/xdp-commit.ts';
import { xdpPacket } from './benches/xdp-packet.ts';
import { xdpVeth } from './benches/xdp-veth.ts';
import { type BenchResult, tableOf, writeResults } from './report.ts';

const benches: readonly Bench[] = [
  memberAdded,
  replaceAll,
  newFlow,
  start,
  steadyLoad,
  ring,
  xdpPacket,
  xdpCommit,
  xdpVeth,
  healthProbes,
];

const usage = `Usage: npm run bench -- [NAME...] [--json FILE] [--quick]

${benches.map(({ name, summary }) => `  ${name.padEnd(14)}${summary}`).join('\n')}

Needs root. Figures depend on the machine: compare those of one run, and leave the machine alone meanwhile.
--quick takes few samples of small tables, which shows that a bench works and nothing else.
`;

/** The bench under way, for the signal handler. */
let context: BenchContext | undefined;
let interrupted = false;

async function run(bench: Bench, quick: boolean): Promise<BenchResult> {
  process.stderr.write(`${bench.name}: ${bench.summary}\n`);
  const begin = performance.now();
  const seconds = (): number => Math.round((performance.now() - begin) / 100) / 10;
  try {
    await using current = new BenchContext(quick);
    context = current;
    const figures = await bench.run(current);
    return { bench: bench.name, seconds: seconds(), figures };
  } catch (error) {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    if (!interrupted) process.stderr.write(`${text}\n`);
    return { bench: bench.name, seconds: seconds(), figures: [], error: text };
  }
}

// A lab's own handler ends the process when that lab is down; this one waits until everything is.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    if (interrupted) return;
    interrupted = true;
    void context?.[Symbol.asyncDispose]().finally(() => process.exit(130));
    if (context === undefined) process.exit(130);
  });
}

class UsageError extends Error {
  override readonly name = 'UsageError';
}

function commandLine() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        json: { type: 'string' },
        quick: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

async function main(): Promise<number> {
  const { values, positionals } = commandLine();
  const unknown = positionals.filter((name) => !benches.some((bench) => bench.name === name));
  if (unknown.length > 0) throw new UsageError(`No such bench: ${unknown.join(', ')}`);
  if (values.help === true) {
    process.stdout.write(usage);
    return 0;
  }
  const results: BenchResult[] = [];
  for (const bench of benches) {
    if (positionals.length > 0 && !positionals.includes(bench.name)) continue;
    const result = await run(bench, values.quick ?? false);
    if (interrupted) return await new Promise(() => {});
    results.push(result);
  }
  process.stdout.write(`${tableOf(results)}\n`);
  process.stderr.write(`written to ${await writeResults(results, values.json)}\n`);
  return results.some(({ error }) => error !== undefined) ? 1 : 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  process.stderr.write(`${error.message}\n\n${usage}`);
  process.exitCode = 2;
}
