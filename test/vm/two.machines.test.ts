// A gateway that is a machine of its own: its cards are wired to another machine, where client and members are.
import { access, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { kernels } from './kernels.ts';
import { leavesTheHostAlone } from './testing/host.ts';
import { Runner } from './testing/runner.ts';

leavesTheHostAlone();

const scripts = new URL('two-machines/', import.meta.url).pathname;
/** Seconds that each guest has; it takes a fifth of it on two processors without hardware virtualisation. */
const limit = 1200;

let directory: string;
let runners: Runner[];
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'vm-test-two-'));
  runners = [];
});
afterEach(async () => {
  abort();
  await Promise.all(runners.map((runner) => runner.process));
  const left = await Promise.all(runners.map((runner) => runner.leftovers()));
  await rm(directory, { recursive: true, force: true });
  expect(left.flat()).toEqual([]);
});

/** Ends those that run. */
function abort(): void {
  for (const { process } of runners) process.kill('SIGINT');
}

/** A card at each end of a Unix socket, where one machine listens and the other connects. */
function card(wire: 'wan' | 'lan', mac: number, listens: boolean): readonly string[] {
  const end = `server=${listens ? 'on' : 'off'},addr.type=unix,addr.path=${join(directory, wire)}`;
  const device = `virtio-net-pci,netdev=${wire},mac=52:54:00:00:00:0${mac},romfile=`;
  return ['--qemu', ` -netdev stream,id=${wire},${end} -device ${device}`];
}

async function start(kernel: string, script: string, cards: readonly string[]): Promise<Runner> {
  const settings = ['--kernel', kernel, '--timeout', `${limit}`, '--output', join(directory, 'output')];
  const runner = await Runner.start(['run', ...settings, ...cards, '--', join(scripts, script)]);
  runners.push(runner);
  return runner;
}

/** Its end; with one that fails goes the other, which would wait for it. */
async function end({ process }: Runner): Promise<{ readonly status: number; readonly said: string }> {
  const { exitCode = -1, stderr } = await process;
  if (exitCode !== 0) abort();
  return { status: exitCode, said: stderr };
}

async function untilThere(path: string, runner: Runner): Promise<void> {
  while (runner.process.exitCode === null || runner.process.exitCode === undefined) {
    if (
      await access(path).then(
        () => true,
        () => false,
      )
    )
      return;
    await sleep(100);
  }
  throw new Error(`${path} has not appeared: ${(await runner.process).stderr}`);
}

async function read(name: string): Promise<string> {
  return await readFile(join(directory, 'output', name), 'utf8');
}

/** The sum of a counter over all queues. */
function counted(text: string, pattern: RegExp): number {
  const values = [...text.matchAll(pattern)].map(([, value]) => Number(value));
  if (values.length === 0) throw new Error(`no counter is like ${pattern.source}`);
  return values.reduce((sum, value) => sum + value, 0);
}

async function grown(file: string, pattern: RegExp): Promise<number> {
  return counted(await read(`${file}-after`), pattern) - counted(await read(`${file}-before`), pattern);
}

it.each(kernels)(
  'forwards between its cards in the driver, and its stack nothing, under $name',
  async ({ name }) => {
    const gateway = await start(name, 'gateway.sh', [...card('wan', 1, true), ...card('lan', 2, true)]);
    await untilThere(join(directory, 'lan'), gateway);
    const peer = await start(name, 'peer.sh', [...card('wan', 3, false), ...card('lan', 4, false)]);
    const ends = await Promise.all([end(gateway), end(peer)]);
    expect(
      ends.map(({ status }) => status),
      ends.map(({ said }) => said).join('\n'),
    ).toEqual([0, 0]);
    expect(await read('complaints-warm')).toBe('');
    expect(await read('complaints')).toBe('');

    const status = JSON.parse(await read('status.json')) as {
      readonly interfaces: readonly {
        readonly name: string;
        readonly xdpMode: string;
        readonly driver: string;
      }[];
    };
    expect(status.interfaces.map(({ name, xdpMode, driver }) => [name, xdpMode, driver]).toSorted()).toEqual([
      ['lan0', 'native', 'virtio_net'],
      ['wan0', 'native', 'virtio_net'],
    ]);
    const links = JSON.parse(await read('links.json')) as readonly {
      readonly xdp?: { readonly mode: number };
    }[];
    // XDP_ATTACHED_DRV of linux/if_link.h.
    expect(links.flatMap(({ xdp }) => (xdp === undefined ? [] : [xdp.mode]))).toEqual([1, 1]);

    expect(await grown('stack', /^Ip: (?:\d+ ){5}(\d+) /gm)).toBe(0);
    expect(await grown('stack', /^Ip6OutForwDatagrams\s+(\d+)$/gm)).toBe(0);
    // Ten times ten requests; six of them by TCP, of which each side sends three packets at the least.
    const packets = 10 * (6 * 3 + 4);
    const redirected = /^\s*rx(?:_queue_)?\d+_xdp_redirects: (\d+)$/gm;
    expect(await grown('wan0', redirected)).toBeGreaterThanOrEqual(packets);
    expect(await grown('lan0', redirected)).toBeGreaterThanOrEqual(packets);
  },
  limit * 2000,
);
