// What probing finds, as it changes rings and entries.
import { Map as PersistentMap } from 'immutable';
import { describe, expect, test } from 'vitest';
import type { IpAddress } from '../resources/address.ts';
import type { LoadBalancer } from '../resources/model.ts';
import type { Change } from './change.ts';
import { compile, emptyTable } from './compile.ts';
import { diff } from './diff.ts';
import type { HealthOf } from './health.ts';
import type { ForwardingTable, Ring } from './table.ts';
import {
  assign,
  balancingRule,
  ip,
  loadBalancer,
  member,
  members,
  pool,
  poolRule,
  singleRule,
} from './testing/declare.ts';

/** Who is up (`+`) and down (`-`), by probe: `{ http: '+vm-0 -vm-1' }`; all others are unknown. */
type Found = Readonly<Record<string, string>>;

const addressOf = (id: string): IpAddress => ip(`10.0.0.${id.replace('vm-', '')}`);

function healthOf(found: Found): HealthOf {
  const parsed = new Map(
    Object.entries(found).map(([probe, text]) => {
      const words = text.split(' ').filter((word) => word !== '');
      const those = (sign: string) =>
        new Set(words.filter((word) => word.startsWith(sign)).map((word) => addressOf(word.slice(1))));
      return [probe, { up: those('+'), down: those('-') }];
    }),
  );
  return (_loadBalancer, _pool, probe) => parsed.get(probe) ?? { up: new Set(), down: new Set() };
}

function table(
  declared: LoadBalancer,
  found: Found,
  before: ForwardingTable = emptyTable(),
): ForwardingTable {
  const ports = PersistentMap([[declared.name, assign(declared)]]);
  return compile(before, new Map([[declared.name, declared]]), ports, healthOf(found));
}

function change(declared: LoadBalancer, before: Found, after: Found): Change {
  const first = table(declared, before);
  return diff(first, table(declared, after, first));
}

function ringOf(of: ForwardingTable, name = 'pool/http'): Ring {
  const ring = of.loadBalancers.get('web')?.rings.get(name);
  if (ring === undefined) throw new Error(`no ring ${name}`);
  return ring;
}

/** Who owns slots. */
function owners({ members, slots }: Ring): readonly string[] {
  return [...new Set(slots)].map((owner) => members[owner]?.id ?? '?').toSorted();
}

function ends({ ending }: Change): readonly string[] {
  return ending.map((end) =>
    end.kind === 'ring-member' ? `${end.backend}${end.udpOnly ? ' udp' : ''}` : JSON.stringify(end),
  );
}

function web(over: Partial<LoadBalancer> = {}): LoadBalancer {
  return loadBalancer('web', {
    backendPools: [pool('pool', ...members(3))],
    loadBalancingRules: [balancingRule('http', { probe: 'http' })],
    ...over,
  });
}

describe('a probed rule', () => {
  test('leads to those that are up alone: neither to those that are down, nor to those that nobody knows', () => {
    expect(owners(ringOf(table(web(), { http: '+vm-0 -vm-1' })))).toEqual(['vm-0']);
    expect(ringOf(table(web(), {})).slots).toHaveLength(0);
    expect(owners(ringOf(table(web(), { http: '+vm-0 +vm-1 +vm-2' })))).toEqual(['vm-0', 'vm-1', 'vm-2']);
  });

  test('leads by what the admin states say, whatever the probe does', () => {
    const [a, b, c] = members(3);
    if (!a || !b || !c) throw new Error('three members');
    const declared = web({
      backendPools: [
        pool('pool', { ...a, adminState: 'up' }, { ...b, adminState: 'down' }, { ...c, adminState: 'drain' }),
      ],
    });
    expect(owners(ringOf(table(declared, { http: '-vm-0 +vm-1 +vm-2' })))).toEqual(['vm-0']);
  });

  test('moves the flows of a member that goes down, and none of the others', () => {
    const before = table(web(), { http: '+vm-0 +vm-1 +vm-2' });
    const after = table(web(), { http: '+vm-0 -vm-1 +vm-2' }, before);
    const [was, is] = [ringOf(before), ringOf(after)];
    expect(owners(is)).toEqual(['vm-0', 'vm-2']);
    for (const [slot, owner] of was.slots.entries()) {
      if (was.members[owner]?.id !== 'vm-1') expect(is.slots[slot]).toBe(owner);
    }
    const committed = diff(before, after);
    expect([committed.added, committed.removed, committed.replaced]).toEqual([[], [], []]);
    expect(ends(committed)).toEqual(['10.0.0.1 udp']);
  });

  test('is back where it was when the member is', () => {
    const first = table(web(), { http: '+vm-0 +vm-1 +vm-2' });
    const down = table(web(), { http: '+vm-0 -vm-1 +vm-2' }, first);
    const back = table(web(), { http: '+vm-0 +vm-1 +vm-2' }, down);
    expect(ringOf(back).slots).toEqual(ringOf(first).slots);
    expect(ends(diff(down, back))).toEqual([]);
  });

  test('of many machines keeps their TCP flows when all are down, and ends UDP', () => {
    const committed = change(web(), { http: '+vm-0 +vm-1 +vm-2' }, { http: '-vm-0 -vm-1 -vm-2' });
    expect(committed.rings[0]?.after?.slots).toHaveLength(0);
    expect(committed.rings[0]?.after?.members).toHaveLength(3);
    expect(ends(committed)).toEqual(['10.0.0.0 udp', '10.0.0.1 udp', '10.0.0.2 udp']);
  });

  test('of one machine ends all its flows when that is down', () => {
    const declared = web({ backendPools: [pool('pool', ...members(1))] });
    const committed = change(declared, { http: '+vm-0' }, { http: '-vm-0' });
    expect(committed.rings[0]?.after?.members).toEqual([]);
    expect(ends(committed)).toEqual(['10.0.0.0']);
    const back = change(declared, { http: '-vm-0' }, { http: '+vm-0' });
    expect(owners(back.rings[0]?.after as Ring)).toEqual(['vm-0']);
  });

  test('with ALL_PROBED_UP turns to all when nobody is up, and leaves those alone that an operator took out', () => {
    const [a, b, c] = members(3);
    if (!a || !b || !c) throw new Error('three members');
    const declared = web({
      backendPools: [pool('pool', a, b, { ...c, adminState: 'down' })],
      loadBalancingRules: [balancingRule('http', { probe: 'http', noHealthyBackends: 'up' })],
    });
    const ring = (found: Found) => owners(ringOf(table(declared, found), 'pool/http/up'));
    expect(ring({ http: '-vm-0 -vm-1 -vm-2' })).toEqual(['vm-0', 'vm-1']);
    expect(ring({})).toEqual(['vm-0', 'vm-1']);
    expect(ring({ http: '-vm-0 +vm-1 +vm-2' })).toEqual(['vm-1']);
    expect(ends(change(declared, { http: '+vm-0 +vm-1' }, { http: '-vm-0 -vm-1' }))).toEqual([]);
  });
});

describe('rings', () => {
  test('are one for each pool and probe, however many rules there are', () => {
    const rules = Array.from({ length: 100 }, (_, index) =>
      balancingRule(`rule-${index}`, {
        frontendPort: 1_000 + index,
        probe: index % 2 === 0 ? 'http' : 'tcp',
      }),
    );
    const declared = web({ loadBalancingRules: [...rules, balancingRule('unprobed')] });
    const both = { http: '+vm-0 +vm-1 +vm-2', tcp: '+vm-0 +vm-1 +vm-2' };
    const before = table(declared, both);
    expect([...(before.loadBalancers.get('web')?.rings.keys() ?? [])]).toEqual([
      'pool/http',
      'pool/tcp',
      'pool',
    ]);
    const committed = diff(before, table(declared, { ...both, http: '-vm-0 +vm-1 +vm-2' }, before));
    expect(committed.rings).toHaveLength(1);
    expect(committed.added.length + committed.removed.length + committed.replaced.length).toBe(0);
  });

  test('keep their number, and the flows, when their rules take a probe, another one, or none', () => {
    const unprobed = web({
      loadBalancingRules: [balancingRule('a'), balancingRule('b', { frontendPort: 81 })],
    });
    const with_ = (probe: string) =>
      web({
        loadBalancingRules: unprobed.loadBalancingRules.map((rule) => ({ ...rule, probe })),
      });
    const all = { http: '+vm-0 +vm-1 +vm-2', other: '+vm-0 +vm-1 +vm-2' };
    let before = table(unprobed, all);
    for (const declared of [with_('http'), with_('other'), unprobed]) {
      const after = table(declared, all, before);
      const committed = diff(before, after);
      expect([ends(committed), committed.replaced, committed.rings]).toEqual([[], [], []]);
      expect([...after.ringNumbers.values()]).toEqual([64]);
      before = after;
    }
  });

  test('part where only some of the rules take a probe', () => {
    const [a, b] = [balancingRule('a'), balancingRule('b', { frontendPort: 81 })];
    const before = table(web({ loadBalancingRules: [a, b] }), {});
    const after = table(web({ loadBalancingRules: [a, { ...b, probe: 'http' }] }), { http: '+vm-0' }, before);
    expect(after.ringNumbers.toObject()).toEqual({ 'web/pool': 64, 'web/pool/http': 65 });
    expect(owners(ringOf(after))).toEqual(['vm-0']);
    expect(owners(ringOf(after, 'pool'))).toEqual(['vm-0', 'vm-1', 'vm-2']);
  });
});

describe('an inbound NAT rule with REFUSE', () => {
  const declared = web({
    inboundNatRules: [
      poolRule('all', { whenUnhealthy: 'refuse' }),
      poolRule('always', { rangeStart: 2_000, rangeEnd: 2_010 }),
      singleRule('one', {
        whenUnhealthy: 'refuse',
        target: { kind: 'member', backendPool: 'pool', id: 'vm-1' },
      }),
    ],
    loadBalancingRules: [
      balancingRule('http', { probe: 'http' }),
      balancingRule('tcp', { probe: 'tcp', frontendPort: 81 }),
    ],
  });
  const entries = ({ added, removed }: Change) => ({
    added: added.map(({ endpoint }) => endpoint.port),
    removed: removed.map(({ endpoint }) => endpoint.port),
  });

  test('does not lead to a machine that all probes of its pool find down, until one finds it up', () => {
    const [none, http, both] = [{}, { http: '-vm-1' }, { http: '-vm-1', tcp: '-vm-1 +vm-0' }];
    expect(entries(change(declared, none, http))).toEqual({ added: [], removed: [] });
    expect(entries(change(declared, http, both))).toEqual({ added: [], removed: [501, 2222] });
    expect(ends(change(declared, http, both))).toHaveLength(2);
    expect(entries(change(declared, both, { ...both, http: '+vm-1' }))).toEqual({
      added: [501, 2222],
      removed: [],
    });
  });

  test('leads to everybody again when it is told to forward', () => {
    const down = { http: '-vm-0 -vm-1', tcp: '-vm-0 -vm-1' };
    const first = table(declared, down);
    const forwarding = {
      ...declared,
      inboundNatRules: declared.inboundNatRules.map((rule) => ({
        ...rule,
        whenUnhealthy: 'forward' as const,
      })),
    };
    const after = table(forwarding, down, first);
    expect(entries(diff(first, after))).toEqual({ added: [500, 501, 2222], removed: [] });
  });

  test('does not care for the admin state', () => {
    const [a, ...others] = members(3);
    const off = {
      ...declared,
      backendPools: [pool('pool', { ...member('vm-0', '10.0.0.0'), ...a, adminState: 'down' }, ...others)],
    };
    const ports = table(off, {}).loadBalancers.get('web')?.rules.get('nat/all')?.entries.size;
    expect(ports).toBe(3);
  });
});
