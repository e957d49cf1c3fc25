// The thread that probes, as the gateway has it.
import { type AddressInfo, createServer, type Server } from 'node:net';
import { pino } from 'pino';
import { afterEach, expect, test } from 'vitest';
import { type IpAddress, parseAddress } from '../resources/address.ts';
import { ThreadedHealthChecks } from './checks.ts';
import type { Assigned, VerdictChange } from './monitor.ts';
import { type ProbeTarget, targetKey } from './target.ts';

const logger = pino({ level: 'silent' });
let server: Server | undefined;
let checks: ThreadedHealthChecks | undefined;

afterEach(async () => {
  await checks?.close();
  server?.close();
});

async function machine(): Promise<Assigned> {
  server = createServer((socket) => socket.on('error', () => {}).end());
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
  const target: ProbeTarget = {
    address: parseAddress('127.0.0.1') as IpAddress,
    protocol: 'tcp',
    port: (server.address() as AddressInfo).port,
    path: '',
    interval: 1_000,
    timeout: 500,
    threshold: 1,
    verifyCertificate: false,
  };
  return { key: targetKey(target, target), target };
}

function follow(): Map<string, VerdictChange[1]> {
  const verdicts = new Map<string, VerdictChange[1]>();
  checks = new ThreadedHealthChecks(logger);
  checks.onChange((changes) => {
    for (const [key, verdict] of changes) verdicts.set(key, verdict);
  });
  return verdicts;
}

const patience = { timeout: 20_000 };

test('verdicts come from a thread, as machines come and go', async () => {
  const assigned = await machine();
  const verdicts = follow();
  checks?.assign({ removed: [], added: [assigned] });
  await expect.poll(() => verdicts.get(assigned.key)?.state, patience).toBe('up');
  server?.close();
  await expect.poll(() => verdicts.get(assigned.key)?.detail, patience).toBe('connection refused');
  expect(verdicts.get(assigned.key)?.state).toBe('down');
  await expect.poll(() => checks?.report()?.begun, patience).toBeGreaterThan(0);
  checks?.assign({ removed: [assigned.key], added: [] });
  expect(checks?.report()).toBeUndefined();
}, 60_000);

test('a thread that fails is followed by another, which goes on with what was known', async () => {
  const assigned = await machine();
  const verdicts = follow();
  checks?.assign({ removed: [], added: [assigned] });
  await expect.poll(() => verdicts.get(assigned.key)?.state, patience).toBe('up');
  const before = verdicts.get(assigned.key);
  // Nothing that a gateway would ask for: it ends the thread.
  checks?.assign({ removed: [], added: [{ key: 'poison', target: null as never }] });
  checks?.assign({ removed: ['poison'], added: [] });
  verdicts.clear();
  server?.close();
  await expect.poll(() => verdicts.get(assigned.key)?.state, patience).toBe('down');
  expect(before?.state).toBe('up');
}, 60_000);
