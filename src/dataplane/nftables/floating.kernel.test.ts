// The tables for floating addresses in the kernel: that they change with the other, and what other hands do to them. What
// becomes of traffic, test/e2e/floating.test.ts has.
import { execa } from 'execa';
import { describe, expect, it } from 'vitest';
import type { Entry, Ring } from '../../forwarding/table.ts';
import { openNetlinkSocket } from '../netlink/socket.ts';
import { readFloatingTables } from './kernel.ts';
import { NftablesDataPlane } from './plane.ts';
import { gatewayUnderTest, logger, pause } from './testing/gateway.ts';
import { balanced, endpoint, nat, ring, table, unchanged } from './testing/tables.ts';

const gateway = gatewayUnderTest(2);
const front = '203.0.113.1';
const members = ['10.1.0.1', '10.1.0.2'];
const key = `${front} . udp . 53`;

function floats(number: number, port: number): Entry {
  const entry = balanced(endpoint(front, 'udp', port), number, port);
  return { ...entry, target: { ...entry.target, floating: 'neighbour' } };
}

function floatingRing(number: number): Ring {
  return { ...ring(number, members), floating: true };
}

const rings = [floatingRing(1)];
const one = floats(1, 53);
const whole = table([one], rings);
const many = Array.from({ length: 20_000 }, (_, at) =>
  nat(endpoint('203.0.113.2', 'udp', 10_000 + at), '10.1.0.1', 8080),
);

async function standing(): Promise<string> {
  const socket = await openNetlinkSocket();
  try {
    return readFloatingTables(socket);
  } finally {
    socket.close();
  }
}

describe('a rule for every port of an address that is the gateway’s own', () => {
  it('leaves alone what the gateway itself has begun', async () => {
    const { plane, lab, stamp } = gateway;
    const entries = (['tcp', 'udp'] as const).map((transport): Entry => {
      const entry = balanced(endpoint('10.0.0.1', transport, 0), 1, 0);
      return { ...entry, target: { ...entry.target, floating: 'neighbour' } };
    });
    await plane.load(table(entries, rings), stamp());
    for (const [transport, port] of [
      ['tcp', 9_001],
      ['udp', 9_002],
    ] as const) {
      await lab.client.listen(transport, '10.0.0.2', port);
      await lab.gateway.connect(transport, transport, '10.0.0.2', port);
      expect((await lab.gateway.ask(transport)).name).toBe(`10.0.0.2:${port}`);
      await lab.gateway.close(transport);
    }
  });
});

describe('tables for floating addresses', () => {
  it.each([
    ['as the kernel tells', {}],
    ['listed', { elementCounts: 'listed' }],
  ] as const)('are mended whatever other hands do to them: numbers %s', async (_, options) => {
    const { stamp } = gateway;
    const plane = new NftablesDataPlane({ logger, ...options });
    await plane.open();
    await plane.load(whole, stamp());
    expect(await plane.verify()).toEqual({ kind: 'intact' });
    const inTable = ['ip', 'penstock_floating'];
    for (const command of [
      ['delete', 'element', ...inTable, 'float4', `{ ${key} }`],
      ['add', 'element', ...inTable, 'float4', `{ ${front} . tcp . 22 : 0x50000001 }`],
      ['flush', 'map', ...inTable, 'float_slot4'],
      ['insert', 'rule', ...inTable, 'prerouting_port', 'accept'],
      ['add', 'table', ...inTable, '{ flags dormant; }'],
      ['delete', 'table', ...inTable],
      ['delete', 'table', 'ip6', 'penstock_floating'],
    ]) {
      await execa('nft', command);
      expect((await plane.verify()).kind, command.join(' ')).toBe('damaged');
      await plane.load(whole, stamp());
      expect(await plane.verify()).toEqual({ kind: 'intact' });
      expect((await plane.counters([one])).size).toBe(1);
    }
    // By changes as well, with rings and without.
    await plane.commit(
      { ...unchanged, added: [floats(2, 54)], rings: [{ after: floatingRing(2) }] },
      stamp(),
    );
    expect(await plane.verify()).toEqual({ kind: 'intact' });
    await execa('nft', ['delete', 'element', ...inTable, 'float4', `{ ${front} . udp . 54 }`]);
    expect((await plane.verify()).kind).toBe('damaged');
    await plane.close();
  });

  it('come with the first rule that asks for them, and are known to the next agent', async () => {
    const { plane, stamp } = gateway;
    await plane.load(table([]), stamp());
    expect(await standing()).toBe('absent');
    await plane.commit({ ...unchanged, added: [one], rings: [{ after: floatingRing(1) }] }, stamp());
    expect(await plane.verify()).toEqual({ kind: 'intact' });
    const next = new NftablesDataPlane({ logger });
    await next.open();
    expect(await next.verify()).toEqual({ kind: 'intact' });
    await next.commit({ ...unchanged, removed: [one], rings: [{ before: floatingRing(1) }] }, stamp());
    expect(await next.verify()).toEqual({ kind: 'intact' });
    await next.load(table([]), stamp());
    expect(await standing()).toBe('absent');
    expect(await next.verify()).toEqual({ kind: 'intact' });
    await next.close();
  });

  // What meets the gateway itself is answered by it, TCP with a reset.
  it.each([
    ['a rule in ours', ['insert', 'rule', 'inet', 'penstock', 'prerouting', 'accept']],
    ['a rule in theirs', ['insert', 'rule', 'ip', 'penstock_floating', 'send4', 'counter']],
    [
      'the loss of an element',
      ['delete', 'element', 'ip', 'penstock_floating', 'float_slot4', '{ 1 . 0:9 }'],
      // As many as are counted where the kernel does not tell.
      2_000,
    ],
  ])('let no packet through to the gateway while %s is mended', async (_, command, count = many.length) => {
    const { plane, lab, stamp } = gateway;
    const large = table([...many.slice(0, count), one], rings);
    await plane.load(large, stamp());
    await lab.gateway.listen('udp', front, 53);
    await lab.client.send('steady', front, 53);
    try {
      await execa('nft', command);
      expect((await plane.verify()).kind).toBe('damaged');
      await plane.load(large, stamp());
      expect(await plane.verify()).toEqual({ kind: 'intact' });
      await pause(100);
      const { sent, answers } = await lab.client.heard('steady');
      expect(sent).toBeGreaterThan(10);
      expect(answers).toEqual({});
      expect((await plane.counters([one])).get(one)?.packets).toBeGreaterThan(0);
    } finally {
      await lab.client.hush('steady');
    }
  });

  it('leave the empty table as it was where the kernel refuses the first entries', async () => {
    const { plane, stamp } = gateway;
    await plane.load(table([]), stamp());
    const twice = nat(endpoint('203.0.113.2', 'udp', 10_000), '10.1.0.1', 9090);
    const change = { ...unchanged, added: [...many, one, twice], rings: [{ after: floatingRing(1) }] };
    await expect(plane.commit(change, stamp())).rejects.toThrow('the kernel refused the transaction');
    expect(await plane.verify()).toEqual({ kind: 'intact' });
    await plane.commit({ ...unchanged, added: [one], rings: [{ after: floatingRing(1) }] }, stamp());
    expect(await plane.verify()).toEqual({ kind: 'intact' });
  });
});
