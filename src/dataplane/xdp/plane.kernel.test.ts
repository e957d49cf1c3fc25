// The plane without an agent: what of it stays, and how it gets out of trouble. Needs root, nft, libbpf, and fails without.

import { execa } from 'execa';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { emptyTable } from '../../forwarding/compile.ts';
import { CommitFailed } from '../dataplane.ts';
import { endpoint, nat, table, unchanged } from '../nftables/testing/tables.ts';
import { openPinDirectory } from './kernel/pin-directory.ts';
import { runningPrograms } from './kernel/pinned-programs.ts';
import { buildNetwork, ip, type Network } from './kernel/testing/network.ts';
import { frontend, target } from './memory/layout.ts';
import { XdpDataPlane, type XdpOptions } from './plane.ts';

const logger = pino({ level: 'silent' });
const stamp = (revision: number) => ({ instance: '00000000000000a2', revision });
const front = '203.0.113.1';
const first = nat(endpoint(front, 'tcp', 501), '10.77.0.2', 22);
const second = nat(endpoint(front, 'tcp', 502), '10.77.0.2', 23);

let network: Network;
let planes: XdpDataPlane[] = [];

function planeWith(over: Partial<XdpOptions> = {}): XdpDataPlane {
  const plane = new XdpDataPlane({
    interfaces: ['near'],
    flowTableSize: 1000,
    acceptLocalSources: async () => {},
    logger,
    ...over,
  });
  planes.push(plane);
  return plane;
}

/** Whatever runs, with its memory. */
async function running() {
  const directory = openPinDirectory();
  const [last] = (await runningPrograms(directory)).slice(-1);
  directory.close();
  if (last === undefined) throw new Error('no program runs');
  return last.program;
}

/** The port that packets to the frontend's port are sent on to; 0: there is no such entry. */
async function portBehind(port: number): Promise<number> {
  const program = await running();
  const bytes = Buffer.from(program.memory('frontends').buffer);
  const epoch = Buffer.from(program.memory('control').buffer).readUInt32LE(4);
  let found = 0;
  for (let at = 0; at < bytes.length; at += frontend.size) {
    if (bytes[at + frontend.protocol] === 0 || bytes.readUInt16BE(at + frontend.port) !== port) continue;
    const version = bytes.readUInt32LE(at + frontend.version);
    const place = (version & 1) ^ (version >>> 1 > epoch ? 1 : 0);
    found = bytes.readUInt16BE(at + frontend.targets + place * target.size + target.port);
  }
  program.close();
  return found;
}

async function nft(...args: string[]): Promise<string> {
  const { stdout } = await execa('nft', args, { reject: false });
  return stdout;
}

beforeAll(async () => {
  network = await buildNetwork();
});
afterAll(() => network?.close());
beforeEach(() => {
  planes = [];
});
afterEach(async () => {
  for (const plane of planes.slice(0, -1)) await plane.close();
  const last = planes.at(-1);
  await last?.open().catch(() => {});
  await last?.flush().catch(() => {});
  await last?.close();
});

it('leaves nothing behind that was on its way when it was flushed', async () => {
  let calls = 0;
  const waiting: (() => void)[] = [];
  const plane = planeWith({
    interfaces: 'auto',
    acceptLocalSources: async () => {
      calls += 1;
      if (calls > 1) await new Promise<void>((resolve) => waiting.push(resolve));
    },
  });
  await plane.open();
  await plane.load(table([first]), stamp(1));
  await ip([
    'link add more type veth peer name more2',
    'address add 10.99.0.1/24 dev more',
    'link set more up',
  ]);
  while (waiting.length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
  setTimeout(() => {
    for (const resolve of waiting.splice(0)) resolve();
  }, 500);
  await plane.flush();
  expect(waiting).toEqual([]);
  expect(await nft('list', 'tables')).toBe('');
  await ip(['link del more']);
  expect((await execa('ip', ['link', 'show', 'near'])).stdout).not.toContain('xdp');
});

it('changes nothing where nftables refuses', async () => {
  const plane = planeWith();
  await plane.open();
  await plane.load(table([first]), stamp(1));
  await nft('delete', 'table', 'inet', 'penstock');
  await expect(plane.commit({ ...unchanged, added: [second] }, stamp(2))).rejects.toThrow(CommitFailed);
  expect(await portBehind(501)).toBe(22);
  expect(await portBehind(502)).toBe(0);
  await plane.load(table([first, second]), stamp(2));
  expect(await portBehind(502)).toBe(23);
});

it('builds its maps anew where they contradict themselves', async () => {
  const plane = planeWith();
  await plane.open();
  await plane.load(table([first, second]), stamp(1));
  const program = await running();
  // Somebody has written over ways back.
  new Uint8Array(program.memory('backends').buffer).fill(0);
  program.close();
  await expect(plane.commit({ ...unchanged, removed: [first] }, stamp(2))).rejects.toThrow();
  await plane.load(table([second]), stamp(2));
  expect(await portBehind(501)).toBe(0);
  expect(await portBehind(502)).toBe(23);
});

it('keeps as many flows as it is told to when it is started again', async () => {
  const plane = planeWith();
  await plane.open();
  await plane.load(table([first]), stamp(1));
  const before = (await plane.report(emptyTable())).flows?.capacity ?? 0;
  await plane.close();
  const next = planeWith({ flowTableSize: 100_000 });
  expect((await next.open()).stamp).toEqual(stamp(1));
  expect((await next.report(emptyTable())).flows?.capacity).toBeGreaterThanOrEqual(100_000);
  expect(before).toBeLessThan(10_000);
  expect(await portBehind(501)).toBe(22);
});
