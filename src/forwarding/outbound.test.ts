// From blocks to outbound entries, what differs, and which flows end with it.
import { Map as PersistentMap } from 'immutable';
import { expect, test } from 'vitest';
import { noOutbound, type Outbound } from '../ports/outbound.ts';
import type { LoadBalancer } from '../resources/model.ts';
import { isEmpty } from './change.ts';
import { compile, emptyTable } from './compile.ts';
import { diff, wholeTable } from './diff.ts';
import type { ForwardingTable } from './table.ts';
import { ip, loadBalancer, members, pool } from './testing/declare.ts';

type Blocks = Readonly<Record<string, readonly [first: number, last: number, address?: string]>>;

function outboundOf(owner: string, blocks: Blocks): Outbound {
  const given = Object.entries(blocks).map(
    ([member, [first, last, address = '203.0.113.1']]) =>
      [member, { member, address: ip(address), first, last, since: 0 }] as const,
  );
  const ports = new Map([['out', { backendPool: 'pool', blocks: new Map(given) }]]);
  return { ...noOutbound, ports: PersistentMap([[owner, ports]]) };
}

function shop(count: number, over: Partial<LoadBalancer> = {}): LoadBalancer {
  return loadBalancer('shop', {
    backendPools: [pool('pool', ...members(count))],
    outboundRules: [
      { name: 'out', frontends: ['fe'], protocol: 'all', backendPool: 'pool', portsPerMember: 8 },
    ],
    ...over,
  });
}

function compiled(
  before: ForwardingTable,
  declared: LoadBalancer | undefined,
  blocks: Blocks,
  name = 'shop',
): ForwardingTable {
  return compile(
    before,
    new Map([[name, declared]]),
    PersistentMap(),
    undefined,
    undefined,
    outboundOf(name, blocks),
  );
}

const text = (change: ReturnType<typeof diff>) => [
  ...(change.outbound ?? []).map(({ before, after }) => {
    const { machine, transport } = before ?? after;
    const range = (entry: typeof before) => (entry === undefined ? '-' : `${entry.first}-${entry.last}`);
    return `${machine}/${transport} ${range(before)} -> ${range(after)}`;
  }),
  ...change.ending.map((end) =>
    end.kind === 'outbound' ? `end ${end.entry.machine} ${end.first}-${end.last}` : end.kind,
  ),
];

const tcpOnly = {
  name: 'out',
  frontends: ['fe'],
  protocol: 'tcp',
  backendPool: 'pool',
  portsPerMember: 8,
} as const;

test('one for each member and protocol; members without a block have none', () => {
  const table = compiled(emptyTable(), shop(2), { 'vm-0': [40_000, 40_007] });
  expect(text(wholeTable(table))).toEqual(['10.0.0.0/tcp - -> 40000-40007', '10.0.0.0/udp - -> 40000-40007']);
  expect(table.backends.size).toBe(0);
});

test('what is as it was is the same object, and no change', () => {
  const blocks = { 'vm-0': [40_000, 40_007], 'vm-1': [40_008, 40_015] } as const;
  const before = compiled(emptyTable(), shop(2), blocks);
  const after = compiled(before, shop(2, { probes: [] }), blocks);
  expect(after.loadBalancers.get('shop')?.outbound).toBe(before.loadBalancers.get('shop')?.outbound);
  expect(isEmpty(diff(before, after))).toBe(true);
  const more = compiled(before, shop(3), { ...blocks, 'vm-2': [50_000, 50_007] });
  const [old, now] = [before, more].map((each) =>
    each.loadBalancers.get('shop')?.outbound?.get('10.0.0.0/tcp'),
  );
  expect(now).toBe(old);
});

test('flows end on the ports that an entry has no more, and all of them where its first port is another', () => {
  const rule = { outboundRules: [tcpOnly] };
  const before = compiled(emptyTable(), shop(3, rule), {
    'vm-0': [40_000, 40_015],
    'vm-1': [40_016, 40_023],
    'vm-2': [40_032, 40_039],
  });
  const after = compiled(before, shop(3, rule), {
    'vm-0': [40_000, 40_007],
    'vm-1': [40_016, 40_031],
    'vm-2': [50_000, 50_007],
  });
  expect(text(diff(before, after))).toEqual([
    '10.0.0.0/tcp 40000-40015 -> 40000-40007',
    '10.0.0.1/tcp 40016-40023 -> 40016-40031',
    '10.0.0.2/tcp 40032-40039 -> 50000-50007',
    'end 10.0.0.0 40008-40015',
    'end 10.0.0.2 40032-40039',
  ]);
  const moved = compiled(before, shop(1, rule), { 'vm-0': [40_000, 40_015, '203.0.113.2'] });
  expect(text(diff(before, moved))).toContain('end 10.0.0.0 40000-40015');
  expect(
    text(diff(before, compiled(before, undefined, {}))).filter((line) => line.startsWith('end')),
  ).toHaveLength(3);
});

test('a machine that goes to another load balancer has its entry replaced', () => {
  const rule = { outboundRules: [tcpOnly] };
  const before = compiled(emptyTable(), shop(1, rule), { 'vm-0': [40_000, 40_007] });
  const other = { ...shop(1, rule), name: 'other' };
  const changed = new Map([
    ['shop', undefined],
    ['other', other],
  ]);
  const same = compile(
    before,
    changed,
    PersistentMap(),
    undefined,
    undefined,
    outboundOf('other', { 'vm-0': [40_000, 40_007] }),
  );
  expect(diff(before, same).outbound).toEqual([]);
  const elsewhere = compile(
    before,
    changed,
    PersistentMap(),
    undefined,
    undefined,
    outboundOf('other', { 'vm-0': [40_008, 40_015] }),
  );
  expect(text(diff(before, elsewhere))).toEqual([
    '10.0.0.0/tcp 40000-40007 -> 40008-40015',
    'end 10.0.0.0 40000-40007',
  ]);
});
