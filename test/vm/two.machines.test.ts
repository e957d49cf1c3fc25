// A gateway that is a machine of its own: its cards are wired to another machine, where client and members are.
import { access, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Runner } from './testing/runner.ts';

const scripts = new URL('two-machines/', import.meta.url).pathname;
/** Seconds that each guest has; it takes a fifth of it on two processors without hardware virtualisation. */
const limit = 1200;

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'vm-test-two-'));
});
afterAll(async () => {
  await rm(directory, { recursive: true, force: true });
});

/** A card at each end of a Unix socket, where one machine listens and the other connects. */
function card(wire: 'wan' | 'lan', mac: number, listens: boolean): readonly string[] {
  const end = `server=${listens ? 'on' : 'off'},addr.type=unix,addr.path=${join(directory, wire)}`;
  const device = `virtio-net-pci,netdev=${wire},mac=52:54:00:00:00:0${mac},romfile=`;
  return ['--qemu', ` -netdev stream,id=${wire},${end} -device ${device}`];
}

function start(script: string, cards: readonly string[]): Promise<Runner> {
  const settings = ['--kernel', '6.12', '--timeout', `${limit}`, '--output', join(directory, 'output')];
  return Runner.start(['run', ...settings, ...cards, '--', join(scripts, script)]);
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

it(
  'forwards between its cards in the driver, and its stack nothing',
  async () => {
    const gateway = await start('gateway.sh', [...card('wan', 1, true), ...card('lan', 2, true)]);
    await untilThere(join(directory, 'lan'), gateway);
    const peer = await start('peer.sh', [...card('wan', 3, false), ...card('lan', 4, false)]);
    const ends = await Promise.all([gateway.process, peer.process]);
    expect(ends.map(({ exitCode, stderr }) => (exitCode === 0 ? '' : stderr))).toEqual(['', '']);
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
