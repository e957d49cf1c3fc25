// Which ports members get for their own connections: stable, disjoint, and refused with the figures.
import { describe, expect, it } from 'vitest';
import { applyChangeSet, emptyConfiguration } from '../resources/configuration.ts';
import type { ChangeSetDraft, LoadBalancerDraft, OutboundRuleDraft } from '../resources/draft.ts';
import type { Configuration } from '../resources/model.ts';
import { Refusal } from '../resources/refusal.ts';
import { assignOutbound } from './assign-outbound.ts';
import { noOutbound, type Outbound, sizeOf } from './outbound.ts';
import { defaultPorts } from './outbound-size.ts';

interface State {
  readonly configuration: Configuration;
  readonly outbound: Outbound;
}

const nothing: State = { configuration: emptyConfiguration, outbound: noOutbound };

function run({ configuration, outbound }: State, draft: ChangeSetDraft, allowRemap = false) {
  const change = applyChangeSet(configuration, draft);
  const { outbound: after, changes } = assignOutbound(change, outbound, { allowRemap, now: 7 });
  return { configuration: change.after, outbound: after, changes };
}

function refusalOf(state: State, draft: ChangeSetDraft, allowRemap = false): Refusal {
  try {
    run(state, draft, allowRemap);
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
  throw new Error('was not refused');
}

const machines = (count: number, from = 0) =>
  Array.from({ length: count }, (_, index) => ({
    id: `vm${from + index}`,
    address: `10.0.${(from + index) >> 8}.${(from + index) & 255}`,
  }));

function shop(
  count: number,
  rule: OutboundRuleDraft = {},
  over: Partial<LoadBalancerDraft> = {},
): LoadBalancerDraft {
  return {
    name: 'shop',
    frontends: [
      { name: 'a', address: '203.0.113.1' },
      { name: 'b', address: '203.0.113.2' },
    ],
    backendPools: [{ name: 'vms', members: machines(count) }],
    outboundRules: [{ name: 'out', frontends: ['a'], protocol: 3, backendPool: 'vms', ...rule }],
    ...over,
  };
}

const put = (...putLoadBalancers: LoadBalancerDraft[]): ChangeSetDraft => ({ putLoadBalancers });
const grow = (count: number, from: number): ChangeSetDraft => ({
  putMembers: [{ loadBalancer: 'shop', backendPool: 'vms', members: machines(count, from) }],
});
const shrink = (...ids: string[]): ChangeSetDraft => ({
  deleteMembers: [{ loadBalancer: 'shop', backendPool: 'vms', ids }],
});

function blocks({ outbound }: State, loadBalancer = 'shop', rule = 'out') {
  return [...(outbound.ports.get(loadBalancer)?.get(rule)?.blocks.values() ?? [])];
}

const texts = (state: State, ...at: readonly string[]) =>
  blocks(state, ...at).map(({ member, address, first, last }) => `${member} ${address}:${first}-${last}`);

describe('the table of defaults', () => {
  it.each([
    [1, 1_024],
    [50, 1_024],
    [51, 512],
    [100, 512],
    [101, 256],
    [200, 256],
    [201, 128],
    [400, 128],
    [401, 64],
    [800, 64],
    [801, 32],
    [1_000, 32],
    [2_000, 32],
  ])('a pool of %i gets %i ports each', (members, ports) => {
    expect(defaultPorts(members)).toBe(ports);
    const state = run(nothing, put(shop(members)));
    expect(blocks(state).map(sizeOf)).toEqual(Array.from({ length: members }, () => ports));
  });
});

describe('blocks', () => {
  it('come from the top, so that low ports are left to inbound rules, in the order of the pool', () => {
    const state = run(nothing, put(shop(3, { portsPerMember: 64 })));
    expect(texts(state)).toEqual([
      'vm0 203.0.113.1:65472-65535',
      'vm1 203.0.113.1:65408-65471',
      'vm2 203.0.113.1:65344-65407',
    ]);
    expect(state.changes).toEqual({ assigned: 3, released: 0, changed: 0 });
  });

  it('leave out every eight of which an inbound rule uses a port, for the protocol of that rule', () => {
    const inboundNatRules = [
      { name: 'one', frontend: 'a', protocol: 1, backendPort: 22, single: { frontendPort: 65_530 } },
      {
        name: 'range',
        frontend: 'a',
        protocol: 1,
        backendPort: 22,
        pool: { backendPool: 'vms', frontendPortRangeStart: 65_500, frontendPortRangeEnd: 65_515 },
      },
    ];
    const declared = shop(1, { portsPerMember: 16 }, { inboundNatRules });
    expect(texts(run(nothing, put(declared)))).toEqual(['vm0 203.0.113.1:65480-65495']);
    const udp = shop(1, { portsPerMember: 16, protocol: 2 }, { inboundNatRules });
    expect(texts(run(nothing, put(udp)))).toEqual(['vm0 203.0.113.1:65520-65535']);
  });

  it('leave out what another load balancer uses or has set aside on the same address', () => {
    const other: LoadBalancerDraft = {
      ...shop(1, { portsPerMember: 8 }),
      name: 'other',
      backendPools: [{ name: 'vms', members: machines(1, 100) }],
      loadBalancingRules: [
        {
          name: 'web',
          frontend: 'a',
          protocol: 1,
          frontendPort: 65_525,
          backendPort: 80,
          backendPool: 'vms',
        },
      ],
    };
    const state = run(run(nothing, put(other)), put(shop(2, { portsPerMember: 8 })));
    expect(texts(state, 'other')).toEqual(['vm100 203.0.113.1:65528-65535']);
    expect(texts(state)).toEqual(['vm0 203.0.113.1:65512-65519', 'vm1 203.0.113.1:65504-65511']);
  });

  it('may be the same ports for different protocols', () => {
    const rules = (['tcp', 'udp'] as const).map((name, index) => ({
      name,
      frontends: ['a'],
      protocol: index + 1,
      backendPool: 'vms',
      portsPerMember: 32_000,
    }));
    const state = run(nothing, put(shop(2, {}, { outboundRules: rules })));
    expect(texts(state, 'shop', 'udp')).toEqual(texts(state, 'shop', 'tcp'));
  });

  it('fill the first address, then the next', () => {
    const state = run(nothing, put(shop(3, { frontends: ['b', 'a'], portsPerMember: 32_000 })));
    expect(texts(state)).toEqual([
      'vm0 203.0.113.2:33536-65535',
      'vm1 203.0.113.2:1536-33535',
      'vm2 203.0.113.1:33536-65535',
    ]);
  });

  it('stay where they are while the pool grows and shrinks, also over the lines of the table', () => {
    let state: State = run(nothing, put(shop(50)));
    const before = texts(state);
    state = run(state, grow(10, 50));
    expect(texts(state).slice(0, 50)).toEqual(before);
    expect(blocks(state).slice(50).map(sizeOf)).toEqual(Array.from({ length: 10 }, () => 512));
    state = run(state, shrink(...Array.from({ length: 30 }, (_, index) => `vm${index * 2}`)));
    expect(blocks(state)).toHaveLength(30);
    expect(texts(state).slice(0, 25)).toEqual(before.filter((_, index) => index % 2 === 1));
    state = run(state, grow(1, 0));
    expect(sizeOf(blocks(state).at(-1) ?? { first: 0, last: 0 })).toBe(1_024);
  });

  it('follow the member, not its address', () => {
    const state = run(nothing, put(shop(2)));
    const moved = run(state, {
      putMembers: [
        { loadBalancer: 'shop', backendPool: 'vms', members: [{ id: 'vm0', address: '10.9.9.9' }] },
      ],
    });
    expect(texts(moved)).toEqual(texts(state));
    expect(moved.outbound.owners.get('10.9.9.9/tcp')).toEqual({
      loadBalancer: 'shop',
      rule: 'out',
      member: 'vm0',
    });
    expect(moved.outbound.owners.has('10.0.0.0/tcp')).toBe(false);
  });

  it('are as they were where nothing about them has changed', () => {
    const state = run(nothing, put(shop(3)));
    const same = run(state, put(shop(3, {}, { probes: [{ name: 'p', protocol: 1, port: 80 }] })));
    expect(same.outbound).toBe(state.outbound);
    const more = run(state, grow(1, 3));
    expect(blocks(more)[0]).toBe(blocks(state)[0]);
  });

  it('go with the rule, the load balancer, and the frontend that they were of', () => {
    const state = run(nothing, put(shop(2, { frontends: ['a', 'b'] })));
    expect(run(state, put(shop(2, {}, { outboundRules: [] }))).outbound.ports.size).toBe(0);
    const gone = run(state, { deleteLoadBalancers: ['shop'] });
    expect([gone.outbound.ports.size, gone.outbound.owners.size]).toEqual([0, 0]);
    expect(gone.changes).toEqual({ assigned: 0, released: 2, changed: 0 });
    const moved = run(state, put(shop(2, { frontends: ['b'] })));
    expect(texts(moved).every((text) => text.includes('203.0.113.2'))).toBe(true);
    expect(moved.changes).toEqual({ assigned: 0, released: 0, changed: 2 });
  });
});

describe('a change that does not fit', () => {
  it('names the figures, at the rule where the rule asks for too much', () => {
    const refusal = refusalOf(nothing, put(shop(70, { portsPerMember: 1_024 })));
    expect(refusal.violations).toEqual([
      {
        field: 'put_load_balancers[0].outbound_rules[0]',
        reason: 'OUTBOUND_PORTS_EXHAUSTED',
        description:
          'pool vms needs 71,680 ports (70 members × 1,024), and outbound rule shop/out has room for 62 members: 64,000 of the 64,000 ports of 203.0.113.1 are not used by other rules; set fewer ports_per_member, or add a frontend',
        metadata: {
          load_balancer: 'shop',
          rule: 'out',
          needed: '71680',
          available: '63488',
          members: '70',
          ports_per_member: '1024',
          addresses: '1',
        },
      },
    ]);
    expect(
      blocks(run(nothing, put(shop(70, { portsPerMember: 1_024, frontends: ['a', 'b'] })))),
    ).toHaveLength(70);
  });

  it('is the fault of the members that come too many', () => {
    const state = run(nothing, put(shop(2, { portsPerMember: 32_000 })));
    expect(refusalOf(state, grow(2, 2)).violations.map(({ field, reason }) => [field, reason])).toEqual([
      ['put_members[0].members[0]', 'OUTBOUND_PORTS_EXHAUSTED'],
      ['put_members[0].members[1]', 'OUTBOUND_PORTS_EXHAUSTED'],
    ]);
  });

  it('takes all of an address of which a rule uses every port', () => {
    const inboundNatRules = [{ name: 'all', frontend: 'a', protocol: 3, single: { address: '10.0.0.9' } }];
    const refusal = refusalOf(nothing, put(shop(1, {}, { inboundNatRules })));
    expect(refusal.violations[0]?.metadata).toMatchObject({ needed: '1024', available: '0' });
  });

  it('may need to take ports from members that have more than the default by now', () => {
    const state = run(run(nothing, put(shop(50))), grow(25, 50));
    const refusal = refusalOf(state, grow(1, 75));
    expect(refusal.violations[0]?.description).toMatch(/set allow_remap/);
    const after = run(state, grow(1, 75), true);
    expect(new Set(blocks(after).map(sizeOf))).toEqual(new Set([512]));
    expect(
      blocks(after)
        .map(({ first }) => first)
        .slice(0, 75),
    ).toEqual(blocks(state).map(({ first }) => first));
    expect(after.changes).toEqual({ assigned: 1, released: 0, changed: 50 });
  });

  it('may need to move members, because room is left in pieces only', () => {
    const eight = run(nothing, put(shop(8, { portsPerMember: 8_000 })));
    const gaps = run(eight, shrink('vm1', 'vm3', 'vm5'));
    const wide = {
      ...shop(8, { portsPerMember: 8_000 }),
      backendPools: [
        { name: 'vms', members: machines(8).filter((_, index) => ![1, 3, 5].includes(index)) },
        { name: 'large', members: machines(1, 100) },
      ],
    };
    const outboundRules = [
      ...(wide.outboundRules ?? []),
      { name: 'large', frontends: ['a'], protocol: 3, backendPool: 'large', portsPerMember: 16_000 },
    ];
    const refusal = refusalOf(gaps, put({ ...wide, outboundRules }));
    expect(refusal.violations.map(({ field }) => field)).toEqual(['put_load_balancers[0].outbound_rules[1]']);
  });
});

describe('ports that members have', () => {
  const claim = (port: number, more: Partial<LoadBalancerDraft> = {}) =>
    shop(
      2,
      { portsPerMember: 8 },
      {
        loadBalancingRules: [
          {
            name: 'web',
            frontend: 'a',
            protocol: 1,
            frontendPort: port,
            backendPort: 80,
            backendPool: 'vms',
          },
        ],
        ...more,
      },
    );

  it('are not taken by an inbound rule, unless members may be moved', () => {
    const state = run(nothing, put(shop(2, { portsPerMember: 8 })));
    const refusal = refusalOf(state, put(claim(65_534)));
    expect(refusal.violations).toMatchObject([
      {
        field: 'put_load_balancers[0].load_balancing_rules[0]',
        reason: 'OUTBOUND_PORTS_IN_USE',
        metadata: { member: 'vm0', first_port: '65528', last_port: '65535' },
      },
    ]);
    expect(texts(run(state, put(claim(65_534)), true))).toEqual([
      'vm0 203.0.113.1:65512-65519',
      'vm1 203.0.113.1:65520-65527',
    ]);
    expect(texts(run(state, put(claim(443))))).toEqual(texts(state));
  });

  it('are never taken by another load balancer', () => {
    const state = run(nothing, put(shop(2, { portsPerMember: 8 })));
    const intruder = { ...claim(65_534, { outboundRules: [] }), name: 'other' };
    for (const allowRemap of [false, true]) {
      expect(refusalOf(state, put(intruder), allowRemap).violations).toMatchObject([
        {
          field: 'put_load_balancers[0].load_balancing_rules[0]',
          reason: 'FRONTEND_PORT_OVERLAP',
          metadata: { other_rule: 'outbound rule shop/out' },
        },
      ]);
    }
  });

  it('are not lost to a smaller figure, unless that is allowed; then the lower ones stay', () => {
    const state = run(nothing, put(shop(2, { portsPerMember: 16 })));
    const refusal = refusalOf(state, put(shop(2, { portsPerMember: 8 })));
    expect(refusal.violations.map(({ field, reason }) => `${field} ${reason}`)).toEqual([
      'put_load_balancers[0].outbound_rules[0].ports_per_member OUTBOUND_PORTS_IN_USE',
      'put_load_balancers[0].outbound_rules[0].ports_per_member OUTBOUND_PORTS_IN_USE',
    ]);
    expect(texts(run(state, put(shop(2, { portsPerMember: 8 })), true))).toEqual([
      'vm0 203.0.113.1:65520-65527',
      'vm1 203.0.113.1:65504-65511',
    ]);
  });

  it('become more where they are, where there is room above', () => {
    const state = run(run(nothing, put(shop(2, { portsPerMember: 8 }))), shrink('vm0'));
    const members = machines(1, 1);
    const wider = { ...shop(1, { portsPerMember: 16 }), backendPools: [{ name: 'vms', members }] };
    expect(texts(run(state, put(wider)))).toEqual(['vm1 203.0.113.1:65520-65535']);
    const both = run(nothing, put(shop(2, { portsPerMember: 8 })));
    const refusal = refusalOf(both, put(shop(2, { portsPerMember: 16 })));
    expect(refusal.violations[0]?.description).toMatch(/set allow_remap/);
    expect(blocks(run(both, put(shop(2, { portsPerMember: 16 })), true)).map(sizeOf)).toEqual([16, 16]);
  });
});

describe('two rules for one machine', () => {
  const rule = (name: string, protocol: number) => ({ name, frontends: ['a'], protocol, backendPool: 'vms' });

  it('are refused where they share a protocol', () => {
    const refusal = refusalOf(nothing, put(shop(2, {}, { outboundRules: [rule('one', 3), rule('two', 2)] })));
    expect(refusal.violations).toMatchObject([
      {
        field: 'put_load_balancers[0].outbound_rules[1]',
        reason: 'OUTBOUND_OVERLAP',
        metadata: { rule: 'shop/two', other_rule: 'shop/one', source: '10.0.0.0/udp' },
      },
    ]);
    run(nothing, put(shop(2, {}, { outboundRules: [rule('one', 1), rule('two', 2)] })));
  });

  it('are refused across load balancers, and may change hands in one change', () => {
    const state = run(nothing, put(shop(2)));
    const other = { ...shop(3), name: 'other' };
    expect(refusalOf(state, put(other)).reason).toBe('OUTBOUND_OVERLAP');
    const swapped = run(state, { deleteLoadBalancers: ['shop'], putLoadBalancers: [other] });
    expect(swapped.outbound.owners.get('10.0.0.1/udp')?.loadBalancer).toBe('other');
    expect(texts(swapped, 'other')).toHaveLength(3);
  });
});
