import { Map as PersistentMap } from 'immutable';
import { describe, expect, test } from 'vitest';
import type { LoadBalancerPorts } from '../ports/assignment.ts';
import type { LoadBalancer } from '../resources/model.ts';
import { compile, emptyTable } from './compile.ts';
import { diff } from './diff.ts';
import type { CompiledLoadBalancer, Entry, ForwardingTable } from './table.ts';
import {
  assign,
  balancingRule,
  frontend,
  ip,
  loadBalancer,
  member,
  members,
  pool,
  poolRule,
  singleRule,
} from './testing/declare.ts';

interface State {
  readonly table: ForwardingTable;
  readonly ports: PersistentMap<string, LoadBalancerPorts>;
}

const nothing: State = { table: emptyTable(), ports: PersistentMap() };

function put(state: State, ...declared: readonly LoadBalancer[]): State {
  const ports = state.ports.withMutations((all) => {
    for (const each of declared) all.set(each.name, assign(each, state.ports.get(each.name)));
  });
  return { table: compile(state.table, new Map(declared.map((each) => [each.name, each])), ports), ports };
}

function drop(state: State, ...names: readonly string[]): State {
  const ports = state.ports.deleteAll(names);
  return { table: compile(state.table, new Map(names.map((name) => [name, undefined])), ports), ports };
}

test('a change of nothing leaves the load balancers the same object', () => {
  const state = put(nothing, loadBalancer('web'));
  expect(put(state).table.loadBalancers).toBe(state.table.loadBalancers);
});

function compiled(state: State, name = 'web'): CompiledLoadBalancer {
  const found = state.table.loadBalancers.get(name);
  if (found === undefined) throw new Error(`no ${name}`);
  return found;
}

function entriesOf(state: State, rule: string): readonly Entry[] {
  return [...(compiled(state).rules.get(rule)?.entries.values() ?? [])];
}

function lines(state: State, rule: string): readonly string[] {
  return entriesOf(state, rule).map(({ endpoint, target }) => {
    const from = `${endpoint.address} ${endpoint.transport} ${endpoint.port}`;
    const flags = target.masquerade ? ' masquerade' : '';
    return target.kind === 'nat'
      ? `${from} -> ${target.address} ${target.port}${flags}`
      : `${from} -> ring ${target.ring} ${target.affinity} ${target.port}${flags}`;
  });
}

const three = members(3);

describe('inbound NAT rules', () => {
  test('give each member of a pool its ports', () => {
    const state = put(
      nothing,
      loadBalancer('web', {
        backendPools: [pool('pool', ...three)],
        inboundNatRules: [poolRule('ssh', { portsPerMember: 2 })],
      }),
    );
    expect(lines(state, 'nat/ssh')).toEqual([
      '203.0.113.1 tcp 500 -> 10.0.0.0 22',
      '203.0.113.1 tcp 501 -> 10.0.0.0 23',
      '203.0.113.1 tcp 502 -> 10.0.0.1 22',
      '203.0.113.1 tcp 503 -> 10.0.0.1 23',
      '203.0.113.1 tcp 504 -> 10.0.0.2 22',
      '203.0.113.1 tcp 505 -> 10.0.0.2 23',
    ]);
  });

  test('of every port, for both protocols, may change as a whole', () => {
    const whole = (backendPort: number) =>
      loadBalancer('web', {
        backendPools: [{ name: 'pool', members: members(65_535) }],
        inboundNatRules: [poolRule('ssh', { protocol: 'all', rangeStart: 1, rangeEnd: 65_535, backendPort })],
      });
    const before = put(nothing, whole(22));
    const after = put(before, whole(23));
    expect(compiled(after).rules.get('nat/ssh')?.entries.size).toBe(131_070);
    expect(diff(before.table, after.table).replaced).toHaveLength(131_070);
  });

  test('for both protocols make two entries, and port 0 is every port', () => {
    const state = put(
      nothing,
      loadBalancer('web', {
        inboundNatRules: [
          singleRule('whole', {
            protocol: 'all',
            frontendPort: 0,
            backendPort: 0,
            target: { kind: 'address', address: ip('10.0.0.9') },
            flow: { sourceNat: 'masquerade' },
          }),
          singleRule('later'),
        ],
      }),
    );
    expect(lines(state, 'nat/whole')).toEqual([
      '203.0.113.1 tcp 0 -> 10.0.0.9 0 masquerade',
      '203.0.113.1 udp 0 -> 10.0.0.9 0 masquerade',
    ]);
    expect(compiled(state).rules.get('nat/later')?.entries.size).toBe(0);
  });

  test('to a member follow its address', () => {
    const rule = singleRule('one', { target: { kind: 'member', backendPool: 'pool', id: 'vm-1' } });
    const before = loadBalancer('web', { backendPools: [pool('pool', ...three)], inboundNatRules: [rule] });
    const state = put(nothing, before);
    expect(lines(state, 'nat/one')).toEqual(['203.0.113.1 tcp 2222 -> 10.0.0.1 22']);
    const [first, , third] = three;
    if (!first || !third) throw new Error();
    const moved = { ...before, backendPools: [pool('pool', first, member('vm-1', '10.9.9.9'), third)] };
    const after = put(state, moved);
    expect(lines(after, 'nat/one')).toEqual(['203.0.113.1 tcp 2222 -> 10.9.9.9 22']);
    expect(
      put(after, { ...moved, backendPools: [pool('pool', first, member('vm-1', '10.9.9.9'))] }).table
        .backends,
    ).toEqual(PersistentMap([[ip('10.9.9.9'), 1]]));
  });

  test('follow the address of their frontend', () => {
    const before = loadBalancer('web', {
      backendPools: [pool('pool', ...three)],
      inboundNatRules: [poolRule('ssh')],
    });
    const state = put(put(nothing, before), { ...before, frontends: [frontend('fe', '203.0.113.7')] });
    expect(lines(state, 'nat/ssh')[0]).toBe('203.0.113.7 tcp 500 -> 10.0.0.0 22');
    expect([...state.table.localAddresses.keys()]).toEqual(['203.0.113.7']);
  });
});

describe('load-balancing rules', () => {
  const declared = loadBalancer('web', {
    backendPools: [pool('pool', ...three), pool('other', ...members(2)), pool('unused', ...members(4))],
    loadBalancingRules: [
      balancingRule('http'),
      balancingRule('dns', {
        protocol: 'all',
        frontendPort: 53,
        backendPort: 53,
        sessionPersistence: 'client-ip',
      }),
      balancingRule('more', {
        backendPool: 'other',
        frontendPort: 81,
        sessionPersistence: 'client-ip-protocol',
      }),
    ],
  });

  test('share one ring per pool', () => {
    const state = put(nothing, declared);
    expect(lines(state, 'lb/http')).toEqual(['203.0.113.1 tcp 80 -> ring 64 five-tuple 8080']);
    expect(lines(state, 'lb/dns')).toEqual([
      '203.0.113.1 tcp 53 -> ring 64 client-ip 53',
      '203.0.113.1 udp 53 -> ring 64 client-ip 53',
    ]);
    expect(lines(state, 'lb/more')).toEqual(['203.0.113.1 tcp 81 -> ring 128 client-ip-protocol 8080']);
    expect([...compiled(state).rings.keys()]).toEqual(['pool', 'other']);
    expect([...state.table.ringNumbers]).toEqual([
      ['web/pool', 64],
      ['web/other', 128],
    ]);
  });

  test('give flows to eligible members only', () => {
    const states = ['none', 'up', 'down', 'drain'] as const;
    const list = states.map((adminState, index) => member(adminState, `10.0.0.${index}`, { adminState }));
    const state = put(nothing, { ...declared, backendPools: [pool('pool', ...list), pool('other')] });
    const ring = compiled(state).rings.get('pool');
    expect(ring?.members.map(({ id, eligible, keepsUdp }) => [id, eligible, keepsUdp])).toEqual([
      ['down', false, false],
      ['drain', false, true],
      ['none', true, true],
      ['up', true, true],
    ]);
    expect(new Set(ring?.slots)).toEqual(new Set([2, 3]));
    expect(compiled(state).rings.get('other')?.slots).toHaveLength(0);
  });

  test('keep the number of a ring, and never give it on within a change', () => {
    const first = put(nothing, declared);
    const swapped = put(first, {
      ...declared,
      loadBalancingRules: [
        balancingRule('more', { backendPool: 'other' }),
        balancingRule('new', { backendPool: 'unused', frontendPort: 1 }),
      ],
    });
    expect(swapped.table.ringNumbers.toObject()).toEqual({ 'web/other': 128, 'web/unused': 192 });
    const back = put(swapped, declared);
    expect(back.table.ringNumbers.toObject()).toEqual({ 'web/pool': 64, 'web/other': 128 });
    expect(drop(back, 'web').table.ringNumbers.size).toBe(0);
  });

  test('take the numbers of before a restart', () => {
    const table = emptyTable(
      new Map([
        ['web/other', 64],
        ['web/pool', 448],
        ['web/unused', 192],
      ]),
    );
    const state = put({ ...nothing, table }, declared);
    expect(state.table.ringNumbers.toObject()).toEqual({ 'web/pool': 448, 'web/other': 64 });
    expect(compiled(state).rings.get('pool')?.number).toBe(448);
  });

  test('make the same ring whatever the history', () => {
    const whole = compiled(put(nothing, declared)).rings.get('pool');
    let state = put(nothing, { ...declared, backendPools: [pool('pool', ...members(40)), pool('other')] });
    state = put(state, {
      ...declared,
      backendPools: [pool('pool', ...members(3, { adminState: 'down' })), pool('other')],
    });
    state = put(state, { ...declared, backendPools: [pool('pool', ...three.toReversed()), pool('other')] });
    expect(compiled(state).rings.get('pool')).toEqual(whole);
  });
});

describe('sharing', () => {
  const web = loadBalancer('web', {
    frontends: [frontend('fe', '203.0.113.1'), frontend('away', '203.0.113.2', 'external')],
    backendPools: [pool('pool', ...members(300)), pool('other', ...three)],
    inboundNatRules: [
      poolRule('ssh'),
      poolRule('rdp', { backendPool: 'other', rangeStart: 5000, rangeEnd: 5999 }),
      singleRule('one', { target: { kind: 'member', backendPool: 'pool', id: 'vm-1' } }),
    ],
    loadBalancingRules: [
      balancingRule('http', { backendPool: 'other' }),
      balancingRule('alt', { frontendPort: 81 }),
    ],
  });
  const [first, ...rest] = web.backendPools;
  const newcomer = member('new', '10.7.7.7');
  const added = { ...web, backendPools: [pool('pool', ...(first?.members ?? []), newcomer), ...rest] };

  test('keeps everything that one more member does not touch', () => {
    const before = put(nothing, web, {
      ...web,
      name: 'mail',
      frontends: [frontend('fe', '198.51.100.1')],
      inboundNatRules: [],
    });
    const after = put(before, added);
    expect(compiled(after, 'mail')).toBe(compiled(before, 'mail'));
    const [left, right] = [compiled(before), compiled(after)];
    for (const same of ['nat/rdp', 'nat/one', 'lb/http', 'lb/alt'])
      expect(right.rules.get(same)).toBe(left.rules.get(same));
    expect(right.rings.get('other')).toBe(left.rings.get('other'));
    expect(right.rings.get('pool')).not.toBe(left.rings.get('pool'));
    expect(right.localAddresses).toBe(left.localAddresses);
    const entries = right.rules.get('nat/ssh')?.entries;
    expect(entries?.size).toBe(301);
    for (const [key, entry] of left.rules.get('nat/ssh')?.entries ?? [])
      expect(entries?.get(key)).toBe(entry);
  });

  test('keeps entries where members come out the same as other objects', () => {
    const before = put(nothing, web);
    const after = put(before, {
      ...web,
      backendPools: [pool('pool', ...members(300)), pool('other', ...members(3))],
    });
    expect(compiled(after).rules).toBe(compiled(before).rules);
    expect(compiled(after).rings).toBe(compiled(before).rings);
    expect(after.table.backends).toBe(before.table.backends);
  });

  test('keeps entries where a range grows', () => {
    const before = put(nothing, web);
    const wider = web.inboundNatRules.with(0, poolRule('ssh', { rangeEnd: 2000 }));
    const after = put(before, { ...web, inboundNatRules: wider });
    expect(compiled(after).rules).toBe(compiled(before).rules);
  });

  test('counts uses', () => {
    const state = put(
      nothing,
      loadBalancer('web', {
        backendPools: [pool('pool', ...three)],
        inboundNatRules: [poolRule('ssh', { protocol: 'all' })],
        loadBalancingRules: [balancingRule('http'), balancingRule('https', { frontendPort: 443 })],
      }),
      loadBalancer('mail', {
        frontends: [frontend('fe', '203.0.113.1'), frontend('more', '203.0.113.3')],
        inboundNatRules: [singleRule('one', { target: { kind: 'address', address: ip('10.0.0.2') } })],
      }),
    );
    expect(state.table.backends.toObject()).toEqual({ '10.0.0.0': 3, '10.0.0.1': 3, '10.0.0.2': 4 });
    expect(state.table.localAddresses.toObject()).toEqual({ '203.0.113.1': 2, '203.0.113.3': 1 });
    const less = drop(state, 'web');
    expect(less.table.backends.toObject()).toEqual({ '10.0.0.2': 1 });
    expect(less.table.localAddresses.toObject()).toEqual({ '203.0.113.1': 1, '203.0.113.3': 1 });
    expect(drop(less, 'mail').table).toEqual(nothing.table);
  });

  test('leaves the other pools alone when one machine comes', () => {
    // 100 pools of 1,000 machines behind 100 frontends of one load balancer.
    const many = loadBalancer('web', {
      frontends: Array.from({ length: 100 }, (_, index) => frontend(`fe-${index}`, `203.0.113.${index}`)),
      backendPools: Array.from({ length: 100 }, (_, index) => pool(`pool-${index}`, ...members(1000))),
      inboundNatRules: Array.from({ length: 100 }, (_, index) =>
        poolRule(`ssh-${index}`, { frontend: `fe-${index}`, backendPool: `pool-${index}`, rangeEnd: 1600 }),
      ),
    });
    let state = put(nothing, many);
    const others = compiled(state).rules.get('nat/ssh-8');
    for (let index = 0; index < 40; index++) {
      const declared = compiled(state).source?.loadBalancer ?? many;
      const grown = pool(
        'pool-7',
        ...(declared.backendPools[7]?.members ?? []),
        member(`new-${index}`, `10.7.7.${index}`),
      );
      const next = { ...declared, backendPools: declared.backendPools.with(7, grown) };
      const earlier = state.ports.get('web') ?? new Map();
      const changedPorts = assign({ ...next, inboundNatRules: next.inboundNatRules.slice(7, 8) }, earlier);
      const ports = state.ports.set('web', new Map([...earlier, ...changedPorts]));
      const changed = new Map([['web', next]]);
      state = { table: compile(state.table, changed, ports), ports };
    }
    expect(compiled(state).rules.get('nat/ssh-7')?.entries.size).toBe(1040);
    expect(compiled(state).rules.get('nat/ssh-8')).toBe(others);
  });
});
