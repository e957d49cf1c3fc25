// What an accepted change leads to: defaults, joined parts, and objects that stay the same.
import { describe, expect, test } from 'vitest';
import { applyChangeSet, emptyConfiguration, replaceConfiguration } from './configuration.ts';
import type { LoadBalancerDraft } from './draft.ts';

const web: LoadBalancerDraft = {
  name: 'web',
  frontends: [{ name: 'front', address: '2001:DB8:0::1' }],
  backendPools: [
    { name: 'vms', members: [{ address: 'FD00::1' }, { id: 'vm_1', address: 'fd00::2', weight: 5 }] },
  ],
  inboundNatRules: [
    {
      name: 'ssh',
      frontend: 'front',
      protocol: 1,
      backendPort: 22,
      pool: { backendPool: 'vms', frontendPortRangeStart: 500, maximumMachines: 1000 },
    },
  ],
};
const start = applyChangeSet(emptyConfiguration, { putLoadBalancers: [web] }).after;

test('fills in every default and writes addresses in their canonical text', () => {
  const loadBalancer = start.get('web');
  expect(loadBalancer?.frontends).toEqual([
    { name: 'front', address: '2001:db8::1', addressOwnership: 'local' },
  ]);
  expect(loadBalancer?.backendPools[0]?.members).toEqual([
    { id: 'fd00::1', address: 'fd00::1', weight: 1, adminState: 'none', pins: {} },
    { id: 'vm_1', address: 'fd00::2', weight: 5, adminState: 'none', pins: {} },
  ]);
  expect(loadBalancer?.inboundNatRules[0]).toMatchObject({
    rangeStart: 500,
    rangeEnd: 1499,
    portsPerMember: 1,
  });
});

describe('what is said again', () => {
  test('changes nothing', () => {
    const change = applyChangeSet(start, { putLoadBalancers: [web] });
    expect(change.changed.size).toBe(0);
    expect(change.after).toBe(start);
    expect(replaceConfiguration(start, [web]).after).toBe(start);
  });

  test('stays the same object beside what differs', () => {
    const after = applyChangeSet(start, {
      putMembers: [{ loadBalancer: 'web', backendPool: 'vms', members: [{ id: 'n', address: 'fd00::3' }] }],
    }).after.get('web');
    const before = start.get('web');
    expect(after?.inboundNatRules).toBe(before?.inboundNatRules);
    expect(after?.backendPools[0]?.members[1]).toBe(before?.backendPools[0]?.members[1]);
  });

  test('is no change when a put and its edits lead back to it', () => {
    const change = applyChangeSet(start, {
      putLoadBalancers: [{ ...web, backendPools: [{ name: 'vms', members: [{ address: 'fd00::1' }] }] }],
      putMembers: [
        { loadBalancer: 'web', backendPool: 'vms', members: [{ id: 'vm_1', address: 'fd00::2', weight: 5 }] },
      ],
    });
    expect(change.changed.size).toBe(0);
  });
});

test('joins parts of one name, and members of pools of one name', () => {
  const { inboundNatRules = [], ...head } = web;
  const parts = [
    head,
    { name: 'other' },
    { name: 'web', backendPools: [{ name: 'vms', members: [{ address: 'fd00::9' }] }], inboundNatRules },
  ];
  const { after, changed } = replaceConfiguration(start, parts);
  expect([...changed.keys()].toSorted()).toEqual(['other', 'web']);
  expect(after.get('web')?.backendPools[0]?.members.map(({ id }) => id)).toEqual([
    'fd00::1',
    'vm_1',
    'fd00::9',
  ]);
  expect(changed.get('web')?.origin.natRuleSize('ssh')).toBe(
    'load_balancers[2].inbound_nat_rules[0].pool.maximum_machines',
  );
  expect(changed.get('web')?.origin.member('vms', 'fd00::9')).toBe(
    'load_balancers[2].backend_pools[0].members[0]',
  );
  expect(() =>
    replaceConfiguration(start, [...parts, { name: 'web', frontends: head.frontends ?? [] }]),
  ).toThrow('stands twice');
});

test('takes what goes from a replaced configuration', () => {
  const { after, changed } = replaceConfiguration(start, []);
  expect(after.size).toBe(0);
  expect(changed.get('web')).toMatchObject({ name: 'web', before: { name: 'web' } });
});

test('lets a change delete what it replaces, and frees endpoints for others in the same change', () => {
  const twin = { ...web, name: 'twin' };
  expect(() => applyChangeSet(start, { putLoadBalancers: [twin] })).toThrow(
    'inbound NAT rule web/ssh claims',
  );
  const change = applyChangeSet(start, { putLoadBalancers: [twin], deleteLoadBalancers: ['web'] });
  expect([...change.after.keys()]).toEqual(['twin']);
});
