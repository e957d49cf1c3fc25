import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { IpAddress } from '../../../resources/address.ts';
import { control as layout } from '../memory/layout.ts';
import type { MapMemory } from '../memory/map-memory.ts';
import { mappedNumber } from './bytes.ts';
import type { HopPolicy } from './hop-policy.ts';
import { type HopRoute, prefixOf } from './prefix.ts';
import { encodeRoutes, type HopWriter, nextWord, openHopWriter } from './write-hops.ts';

const memoryOf = (entries: number, valueSize: number): MapMemory => ({
  buffer: new ArrayBuffer(entries * valueSize),
  entries,
  valueSize,
});

function gatewayRoute(address: string, length: number, gateway: string): HopRoute {
  const prefix = prefixOf(mappedNumber(address as IpAddress), length);
  return { ...prefix, kind: 'gateway', gateway: gateway as IpAddress, link: 3 };
}

const first: HopPolicy = { remember: true, routes: [gatewayRoute('0.0.0.0', 96, '10.0.0.2')] };
const second: HopPolicy = { remember: true, routes: [gatewayRoute('0.0.0.0', 96, '10.0.0.3')] };
const none: HopPolicy = { remember: false, reason: 'a test', routes: [] };

describe('the writer of next hops', () => {
  const control = memoryOf(1, layout.size);
  const routes = memoryOf(32, 128);
  const words = new Uint32Array(control.buffer);
  let writer: HopWriter;
  /** Ends the grace periods under way. */
  let graces: (() => void)[] = [];

  beforeEach(() => {
    words.fill(0);
    graces = [];
    writer = openHopWriter({ control, routes }, () => new Promise((resolve) => graces.push(resolve)));
  });
  afterEach(() => {
    writer.close();
    vi.useRealTimers();
  });
  const passGrace = async (): Promise<void> => {
    for (const end of graces.splice(0)) end();
    await new Promise((resolve) => setImmediate(resolve));
  };
  const bank = (number: number) => Buffer.from(routes.buffer, number * 16 * 128, 128);

  it('fills the bank that nobody reads, and shows it after a grace period', async () => {
    const written = writer.write(first);
    expect(words[4]).toBe(0);
    await passGrace();
    await written;
    expect(words[4]).toBe(0x80000001);
    expect(bank(1)).toEqual(encodeRoutes(first.routes));
    const next = writer.write(second);
    expect(words[4]).toBe(0x80000000);
    expect(bank(1)).toEqual(encodeRoutes(first.routes));
    await passGrace();
    await next;
    expect(words[4]).toBe(1);
    expect(bank(0)).toEqual(encodeRoutes(second.routes));
  });

  it('puts prefixes elsewhere at the end of a bank; until it shows them every address may be one', async () => {
    const tunnel = prefixOf(mappedNumber('10.9.0.0' as IpAddress), 112);
    const written = writer.write(first, { prefixes: [tunnel], all: false, names: ['tun0'] });
    expect(words[4]).toBe(0xff00);
    await passGrace();
    await written;
    expect(words[4]).toBe(0x80000101);
    expect(Buffer.from(routes.buffer, 31 * 128, 32).toString('hex')).toBe(
      '00000000000000000000ffff0a090000ffffffffffffffffffffffffffff0000',
    );
    const everywhere = writer.write(none, { prefixes: [], all: true, names: ['tun0'] });
    await passGrace();
    await everywhere;
    expect(words[4]).toBe(0xff00);
    const nowhere = writer.write(none);
    expect(words[4]).toBe(0xff00);
    await passGrace();
    await nowhere;
    expect(words[4]).toBe(0x80000000);
  });

  it('forbids at once, and writes of several policies the last', async () => {
    const written = writer.write(first);
    expect(words[3]).toBeGreaterThan(0);
    void writer.write(second);
    void writer.write(none);
    await passGrace();
    await passGrace();
    await written;
    expect([words[3], words[4]]).toEqual([0, 0]);
    const again = writer.write(none);
    expect(graces).toEqual([]);
    await again;
  });

  it('renews its word, until it is closed', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    writer.close();
    words[3] = 41;
    writer = openHopWriter({ control, routes }, async () => {});
    await writer.write({ remember: true, routes: [] });
    expect(words[3]).toBe(42);
    vi.advanceTimersByTime(1000);
    expect(words[3]).toBe(44);
    await writer.write(none);
    vi.advanceTimersByTime(1000);
    expect(words[3]).toBe(0);
    await writer.write(first);
    expect(words[3]).toBeGreaterThan(44);
    const last = words[3];
    writer.close();
    vi.advanceTimersByTime(5000);
    expect(words[3]).toBe(last);
  });

  it('never says a word with a meaning of its own', () => {
    expect([0, 1, 0xfffffffd, 0xfffffffe, 0xffffffff].map(nextWord)).toEqual([1, 2, 0xfffffffe, 1, 1]);
  });
});

it('lays out a route as bpf/abi.h says', () => {
  const [asking, leading] = [
    { ...prefixOf(mappedNumber('10.1.0.0' as IpAddress), 112), kind: 'ask' } as const,
    gatewayRoute('fd00::', 64, 'fe80::1'),
  ];
  const bytes = encodeRoutes([asking, leading]);
  expect(bytes.toString('hex', 0, 32)).toBe(
    '00000000000000000000ffff0a010000ffffffffffffffffffffffffffff0000',
  );
  expect(bytes.subarray(32, 128).every((byte) => byte === 0)).toBe(true);
  expect(bytes.toString('hex', 128, 160)).toBe(`fd00${'00'.repeat(14)}${'ff'.repeat(8)}${'00'.repeat(8)}`);
  expect(bytes.readUInt32LE(128 + 80)).toBe(1);
  expect(bytes.toString('hex', 128 + 88, 128 + 108)).toBe(`fe80${'00'.repeat(13)}0103000000`);
});
