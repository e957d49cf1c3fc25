import { describe, expect, it } from 'vitest';
import type { ClientRange } from '../../resources/client-range.ts';
import { address, balanced, endpoint, nat, ring } from '../nftables/testing/tables.ts';
import { addressBytes } from './address.ts';
import { type Flow, type FlowSelection, flowTest, hex, kernelFilters } from './selection.ts';
import { collectSuspects } from './stale.ts';

const marks = {
  ours: 0x50000000,
  nat: 0x50000000,
  natAnyPort: 0x51000000,
  balanced: 0x54000000,
  balancedAnyPort: 0x58000000,
  outbound: 0x5c000000,
};
const translated = 0x20;

function flow(
  to: string,
  port: number,
  from: string,
  mark: number,
  { protocol = 6, status = translated, fromPort = 80 } = {},
): Flow {
  const client = hex(address('192.0.2.1'));
  return {
    original: {
      source: client,
      destination: hex(address(to)),
      protocol,
      sourcePort: 4000,
      destinationPort: port,
    },
    reply: {
      source: hex(address(from)),
      destination: client,
      protocol,
      sourcePort: fromPort,
      destinationPort: 4000,
    },
    mark,
    status,
    state: 3,
    timeout: 100,
  };
}

const front = '203.0.113.1';
const at = endpoint(front, 'tcp', 500);
const every = endpoint(front, 'tcp', 0);
const through = flow(front, 500, '10.0.0.1', 0x50000000);
const throughEvery = flow(front, 500, '10.0.0.1', 0x51000000);
const toRing = flow(front, 500, '10.0.0.1', 0x55000047);
const toRingByUdp = flow(front, 500, '10.0.0.1', 0x55000047, { protocol: 17 });
const foreign = flow(front, 500, '10.0.0.1', 0x1234);
const untranslated = flow(front, 500, front, 0, { status: 0 });
const all = { through, throughEvery, toRing, toRingByUdp, foreign, untranslated };

const backend = address('10.0.0.1');
function clientsIn(...allowed: readonly string[]): FlowSelection {
  const entries = new Map([['', nat(at, '10.0.0.1', 80)]]);
  return { kind: 'clients', entries, allowed: allowed as readonly string[] as readonly ClientRange[] };
}

const cases: readonly (readonly [string, FlowSelection, readonly (keyof typeof all)[]])[] = [
  [
    'NAT by one port, even where the mark was missed',
    { kind: 'nat', endpoint: at, backend },
    ['through', 'foreign'],
  ],
  ['NAT by every port', { kind: 'nat', endpoint: every, backend }, ['throughEvery']],
  ['an endpoint', { kind: 'endpoint', endpoint: at }, ['through', 'toRing']],
  ['every port of an address', { kind: 'endpoint', endpoint: every }, ['throughEvery']],
  ['a member', { kind: 'ring-member', ring: 71, backend, udpOnly: false }, ['toRing', 'toRingByUdp']],
  [
    'a member through some endpoints',
    { kind: 'ring-member', ring: 71, backend, udpOnly: false, endpoints: [at] },
    ['toRing'],
  ],
  [
    'a member through none of its own',
    { kind: 'ring-member', ring: 71, backend, udpOnly: false, endpoints: [every] },
    [],
  ],
  ['a member, UDP only', { kind: 'ring-member', ring: 71, backend, udpOnly: true }, ['toRingByUdp']],
  [
    'a member of another ring of the pool',
    { kind: 'ring-member', ring: 64, backend, udpOnly: false },
    ['toRing', 'toRingByUdp'],
  ],
  ['a member of another pool', { kind: 'ring-member', ring: 128, backend, udpOnly: false }, []],
  ['clients that are in no range', clientsIn('10.0.0.0/8'), ['through', 'toRing']],
  ['no clients that are in one', clientsIn('10.0.0.0/8', '192.0.2.0/24'), []],
  ['who knocked', { kind: 'knocking', endpoint: at }, ['untranslated']],
  ['who knocked at an address', { kind: 'knocking', endpoint: every }, ['untranslated']],
];

describe('flowTest', () => {
  it.each(cases)('selects %s', async (_, selection, expected) => {
    const test = await flowTest([selection], marks);
    expect(Object.entries(all).flatMap(([name, each]) => (test(each) ? [name] : []))).toEqual(expected);
  });
});

describe('collectSuspects', () => {
  it('finds the flows that a table does not allow', async () => {
    const suspects = collectSuspects<string>(marks);
    for (const [name, each] of Object.entries(all)) suspects.add(each, () => name);
    suspects.add(flow(front, 500, '10.0.0.1', 0x50000000, { fromPort: 81 }), () => 'old port');
    suspects.add(flow(front, 501, '10.0.0.1', 0x50000000), () => 'no entry');
    const entries = [nat(at, '10.0.0.1', 80), balanced(endpoint(front, 'udp', 500), 64, 80)];
    const rings = [ring(64, ['10.0.0.1'], 1021, { '10.0.0.1': { eligible: false } })];
    const stale = await suspects.stale({ entries: () => entries, rings, outbound: [], limits: [] });
    expect(stale.toSorted()).toEqual([
      'no entry',
      'old port',
      'throughEvery',
      'toRing',
      'toRingByUdp',
      'untranslated',
    ]);
  });

  it('finds flows of clients that a limit does not allow', async () => {
    const staleWith = async (...allowed: readonly string[]): Promise<readonly string[]> => {
      const suspects = collectSuspects<string>(marks);
      suspects.add(through, () => 'through');
      const entry = nat(at, '10.0.0.1', 80);
      const entries = [{ ...entry, target: { ...entry.target, limit: 3 } }];
      const limit = {
        number: 3,
        family: 4,
        allowed: allowed as readonly string[] as readonly ClientRange[],
      } as const;
      return await suspects.stale({ entries: () => entries, rings: [], outbound: [], limits: [limit] });
    };
    expect(await staleWith()).toEqual([]);
    expect(await staleWith('192.0.2.0/24')).toEqual([]);
    expect(await staleWith('10.0.0.0/8')).toEqual(['through']);
  });
});

describe('outbound flows', () => {
  const machine = address('10.0.0.1');
  const entry = { machine, transport: 'tcp', address: address(front), first: 40_000, last: 40_007 } as const;
  const sourceNat = 0x10;
  const outward = (port: number, over: { mark?: number; status?: number; from?: string } = {}): Flow => {
    const { mark = marks.outbound + 40_000, status = sourceNat, from = front } = over;
    const made = flow('198.51.100.7', 443, '198.51.100.7', mark, { status });
    return {
      ...made,
      original: { ...made.original, source: hex(machine) },
      reply: { ...made.reply, destination: hex(address(from)), destinationPort: port },
    };
  };
  const known = {
    first: outward(40_000),
    last: outward(40_007),
    'another block': outward(40_000, { mark: marks.outbound + 39_992 }),
    'another frontend': outward(40_000, { from: '203.0.113.9' }),
    unanswered: outward(5_000, { status: 0, mark: 0, from: '10.0.0.1' }),
    answered: outward(5_000, { status: 2, mark: 0, from: '10.0.0.1' }),
    'of somebody else’s translation': outward(5_000, { mark: 0 }),
  };
  const selected = async (selection: FlowSelection) => {
    const test = await flowTest([selection], marks);
    return Object.entries(known).flatMap(([name, each]) => (test(each) ? [name] : []));
  };

  it('are chosen by entry and port', async () => {
    expect(await selected({ kind: 'outbound', entry, first: 40_000, last: 40_007 })).toEqual([
      'first',
      'last',
    ]);
    expect(await selected({ kind: 'outbound', entry, first: 40_004, last: 40_007 })).toEqual(['last']);
    const udp = { ...entry, transport: 'udp' } as const;
    expect(await selected({ kind: 'outbound', entry: udp, first: 40_000, last: 40_007 })).toEqual([]);
  });

  it('that were not translated are chosen where they have no answer', async () => {
    expect(await selected({ kind: 'unanswered', machine, transport: 'tcp' })).toEqual(['unanswered']);
    expect(await selected({ kind: 'unanswered', machine, transport: 'udp' })).toEqual([]);
  });

  it('are ended by the kernel alone only where all of an entry goes', () => {
    const exact = (first: number) =>
      kernelFilters({ kind: 'outbound', entry, first, last: 40_007 }, marks).map((each) => each.exact);
    expect([exact(40_000), exact(40_004)]).toEqual([[true], [false]]);
  });

  it('are stale after a load where the table has no such entry, or a smaller one', async () => {
    const suspects = collectSuspects<string>(marks);
    for (const [name, each] of Object.entries(known)) suspects.add(each, () => name);
    const stale = async (last: number) =>
      (
        await suspects.stale({ entries: () => [], rings: [], limits: [], outbound: [{ ...entry, last }] })
      ).toSorted();
    expect(await stale(40_007)).toEqual(['another block', 'another frontend']);
    expect(await stale(40_003)).toEqual(['another block', 'another frontend', 'last']);
  });
});

describe('addressBytes', () => {
  it.each([
    ['10.1.2.3', '0a010203'],
    ['::', '00000000000000000000000000000000'],
    ['2001:db8::1', '20010db8000000000000000000000001'],
    ['fe80::', 'fe800000000000000000000000000000'],
    ['1:2:3:4:5:6:7:8', '00010002000300040005000600070008'],
    ['::ffff:10.1.2.3', '00000000000000000000ffff0a010203'],
  ])('knows %s', (text, bytes) => {
    expect(addressBytes(address(text)).toString('hex')).toBe(bytes);
  });
});

describe('what the kernel is asked to compare', () => {
  const filtersOf = (backend: string, udpOnly: boolean) =>
    kernelFilters({ kind: 'ring-member', ring: 1, backend: address(backend), udpOnly }, marks);

  it('is all of it in IPv4', () => {
    const [filter] = filtersOf('10.0.0.4', true);
    expect(filter?.exact).toBe(true);
    expect(Buffer.concat(filter?.attributes ?? []).includes(addressBytes(address('10.0.0.4')))).toBe(true);
  });

  // It takes IPv6 addresses that are the same for different, and the other way round.
  it('is never an IPv6 address', () => {
    for (const udpOnly of [true, false]) {
      const [filter] = filtersOf('fd00::4', udpOnly);
      expect(filter?.exact).toBe(false);
      expect(Buffer.concat(filter?.attributes ?? []).includes(addressBytes(address('fd00::4')))).toBe(false);
    }
  });
});
