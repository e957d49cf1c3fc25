// Loaded into the agent by `node --import`: on SIGUSR2, writes the longest block of the event loop since the last time.
import { writeFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';

const file = process.env.PENSTOCK_BENCH_LOOP_DELAY;
const resolution = 2;

// Processes that the agent starts inherit the options, but not this file's name: see below.
if (file !== undefined) {
  delete process.env.PENSTOCK_BENCH_LOOP_DELAY;
  const delays = monitorEventLoopDelay({ resolution });
  delays.enable();
  process.on('SIGUSR2', () => {
    writeFileSync(file, JSON.stringify({ milliseconds: delays.max / 1e6 - resolution }));
    delays.reset();
  });
}
