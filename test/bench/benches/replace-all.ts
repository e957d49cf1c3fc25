// A whole configuration of 100,000 mappings in one go: how long, how much memory, and whether the agent stays responsive.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import type { Bench, BenchContext } from '../bench.ts';
import { chunksOf, tenants } from '../declaration.ts';
import { type Figure, figure, median, shown } from '../figures.ts';
import { BenchGateway } from '../gateway.ts';
import { ChildMemory, HealthProbe, memoryOf } from '../replace-all/watch-agent.ts';

interface Run {
  readonly seconds: number;
  /** Of the kernel's part of it. */
  readonly commitSeconds: number;
  readonly memoryAfter: number;
  readonly memoryPeak: number;
  readonly nftPeak: number;
  /** Milliseconds that the event loop was blocked, as health checks saw it and as the agent itself did. */
  readonly blockedOutside: number;
  readonly blockedInside: number;
}

export const replaceAll: Bench = {
  name: 'replace-all',
  summary: '100,000 mappings in one ReplaceAll on an empty gateway: time, memory, responsiveness',
  run: async (context) => {
    const mappings = context.quick ? 5_000 : 100_000;
    const runs: Run[] = [];
    for (let number = 1; number <= (context.quick ? 1 : 3); number += 1) {
      context.note(`run ${number}`);
      runs.push(await measure(context, number, mappings));
    }
    return figuresOf(runs, mappings);
  },
};

async function measure(context: BenchContext, number: number, mappings: number): Promise<Run> {
  const delayFile = join(await context.directory(), 'loop-delay.json');
  const hook = pathToFileURL(join(import.meta.dirname, '../replace-all/loop-delay.ts')).href;
  const gateway = await BenchGateway.up(
    context,
    `replace-${number}`,
    {},
    { env: { NODE_OPTIONS: `--import ${hook}`, PENSTOCK_BENCH_LOOP_DELAY: delayFile } },
  );
  const pid = await gateway.pid();
  // Made beforehand, so that this process leaves the cores to the agent.
  const chunks = chunksOf(tenants(mappings));
  using probe = new HealthProbe(gateway.lab.address);
  using children = new ChildMemory(pid);
  await sleep(2_000);
  await loopDelay(pid, delayFile);

  const begin = performance.now();
  const { plan } = await gateway.client.replaceAll(chunks);
  const seconds = (performance.now() - begin) / 1000;

  const { longest, usual } = await probe.stop();
  const blockedInside = await loopDelay(pid, delayFile);
  const memory = await memoryOf(pid);
  const commit = plan?.commitTime;
  await gateway.lab.down();
  return {
    seconds,
    commitSeconds: Number(commit?.seconds ?? 0) + (commit?.nanos ?? 0) / 1e9,
    memoryAfter: memory?.now ?? Number.NaN,
    memoryPeak: memory?.peak ?? Number.NaN,
    nftPeak: children.peak,
    blockedOutside: longest - usual,
    blockedInside,
  };
}

/** The longest block since the last call. */
async function loopDelay(pid: number, file: string): Promise<number> {
  process.kill(pid, 'SIGUSR2');
  await sleep(300);
  return (JSON.parse(await readFile(file, 'utf8')) as { readonly milliseconds: number }).milliseconds;
}

function figuresOf(runs: readonly Run[], mappings: number): readonly Figure[] {
  const of = (name: string, key: keyof Run, unit: string, atMost?: number): Figure => {
    const values = runs.map((run) => run[key]);
    const note = `${runs.length} runs: ${values.map(shown).join(', ')}`;
    const target = atMost === undefined ? {} : { target: { atMost } };
    return figure(`${name}, ${shown(mappings)} mappings`, median(values), unit, { note, ...target });
  };
  return [
    of('ReplaceAll', 'seconds', 's', 5),
    of('kernel commit in it', 'commitSeconds', 's'),
    of('memory of the agent after', 'memoryAfter', 'MB', 400),
    of('memory of the agent, peak', 'memoryPeak', 'MB', 400),
    of('memory of nft, peak', 'nftPeak', 'MB'),
    of('event loop blocked, by health checks', 'blockedOutside', 'ms', 200),
    of('event loop blocked, from inside', 'blockedInside', 'ms', 200),
  ];
}
