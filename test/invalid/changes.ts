// Changes that must be refused, as data: what is asked, why it is refused, and which fields are named.
import type {
  ChangeSetDraft,
  FrontendDraft,
  InboundNatRuleDraft,
  LoadBalancerDraft,
  LoadBalancingRuleDraft,
  MemberDraft,
  OutboundRuleDraft,
  ProbeDraft,
} from '../../src/resources/draft.ts';
import type { Reason } from '../../src/resources/refusal.ts';

/** A change to `base` that is refused as a whole. */
export interface InvalidChange {
  readonly title: string;
  readonly request: ChangeSetDraft;
  /** Of every violation. */
  readonly reason: Reason;
  /** Each field that is named, without repeats, in any order. */
  readonly fields: readonly string[];
}

const tcp = 1;
const udp = 2;
const all = 3;

const web: LoadBalancerDraft = {
  name: 'web',
  frontends: [
    { name: 'v4', address: '203.0.113.1', addressOwnership: 2 },
    { name: 'whole', address: '203.0.113.2', addressOwnership: 2 },
    { name: 'v6', address: '2001:db8::1', addressOwnership: 2 },
  ],
  backendPools: [
    {
      name: 'vms',
      members: [
        { id: 'vm-0', address: '10.0.0.10' },
        { id: 'vm-1', address: '10.0.0.11' },
        { id: 'vm-2', address: '10.0.0.12' },
      ],
    },
    { name: 'six', members: [{ id: 'six-0', address: 'fd00::10' }] },
    { name: 'spare' },
  ],
  inboundNatRules: [
    {
      name: 'ssh',
      frontend: 'v4',
      protocol: tcp,
      backendPort: 22,
      pool: { backendPool: 'vms', frontendPortRangeStart: 500, frontendPortRangeEnd: 504 },
    },
    {
      name: 'ssh6',
      frontend: 'v6',
      protocol: tcp,
      backendPort: 22,
      pool: { backendPool: 'six', frontendPortRangeStart: 500, maximumMachines: 2 },
    },
    {
      name: 'rdp',
      frontend: 'v4',
      protocol: tcp,
      backendPort: 3389,
      single: { frontendPort: 3389, member: 'vms/vm-0' },
    },
    { name: 'whole', frontend: 'whole', protocol: all, single: { address: '10.0.0.99' } },
  ],
  loadBalancingRules: [
    { name: 'http', frontend: 'v4', protocol: tcp, frontendPort: 80, backendPort: 8080, backendPool: 'vms' },
  ],
};

const mail: LoadBalancerDraft = {
  name: 'mail',
  frontends: [{ name: 'front', address: '203.0.113.20', addressOwnership: 2 }],
  backendPools: [{ name: 'relays', members: [{ address: '10.0.1.10' }, { address: '10.0.1.11' }] }],
  inboundNatRules: [
    {
      name: 'admin',
      frontend: 'front',
      protocol: tcp,
      backendPort: 8443,
      pool: { backendPool: 'relays', frontendPortRangeStart: 1000, maximumMachines: 10, portsPerMember: 2 },
    },
  ],
  loadBalancingRules: [
    {
      name: 'smtp',
      frontend: 'front',
      protocol: all,
      frontendPort: 25,
      backendPort: 25,
      backendPool: 'relays',
    },
  ],
  outboundRules: [
    { name: 'out', frontends: ['front'], protocol: all, backendPool: 'relays', portsPerMember: 24_000 },
  ],
};

/** The valid configuration that every change of the table starts from. */
export const base: ChangeSetDraft = { putLoadBalancers: [web, mail] };

const fresh: LoadBalancerDraft = {
  name: 'fresh',
  frontends: [{ name: 'front', address: '198.51.100.1', addressOwnership: 2 }],
  backendPools: [{ name: 'pool', members: [{ id: 'a', address: '10.9.0.1' }] }],
};
const natRule: InboundNatRuleDraft = {
  name: 'nat',
  frontend: 'front',
  protocol: tcp,
  backendPort: 22,
  pool: { backendPool: 'pool', frontendPortRangeStart: 500, frontendPortRangeEnd: 509 },
};
const singleRule: InboundNatRuleDraft = {
  name: 'one',
  frontend: 'front',
  protocol: tcp,
  backendPort: 22,
  single: { frontendPort: 22, address: '10.9.0.1' },
};
const balancing: LoadBalancingRuleDraft = {
  name: 'lb',
  frontend: 'front',
  protocol: tcp,
  frontendPort: 80,
  backendPort: 80,
  backendPool: 'pool',
};

const outboundRule: OutboundRuleDraft = {
  name: 'out',
  frontends: ['front'],
  protocol: all,
  backendPool: 'pool',
};

function put(...putLoadBalancers: readonly LoadBalancerDraft[]): ChangeSetDraft {
  return { putLoadBalancers };
}
function putFresh(change: Partial<LoadBalancerDraft>): ChangeSetDraft {
  return put({ ...fresh, ...change });
}
function withFrontend(change: Partial<FrontendDraft>): ChangeSetDraft {
  return putFresh({
    frontends: [{ name: 'front', address: '198.51.100.1', addressOwnership: 2, ...change }],
  });
}
function withMembers(...members: readonly MemberDraft[]): ChangeSetDraft {
  return putFresh({ backendPools: [{ name: 'pool', members }] });
}
function withNat(change: Partial<InboundNatRuleDraft>): ChangeSetDraft {
  return putFresh({ inboundNatRules: [{ ...natRule, ...change }] });
}
function withRange(change: NonNullable<InboundNatRuleDraft['pool']>): ChangeSetDraft {
  return withNat({ pool: { backendPool: 'pool', frontendPortRangeStart: 500, ...change } });
}
function withSingle(change: Partial<InboundNatRuleDraft>): ChangeSetDraft {
  return putFresh({ inboundNatRules: [{ ...singleRule, ...change }] });
}
function withBalancing(change: Partial<LoadBalancingRuleDraft>): ChangeSetDraft {
  return putFresh({ loadBalancingRules: [{ ...balancing, ...change }] });
}
function withOutbound(...changes: readonly Partial<OutboundRuleDraft>[]): ChangeSetDraft {
  return putFresh({ outboundRules: changes.map((change) => ({ ...outboundRule, ...change })) });
}
/** `mail` as it is, but for its outbound rule, or for more. */
function mailWithOutbound(
  change: Partial<OutboundRuleDraft>,
  more: Partial<LoadBalancerDraft> = {},
): ChangeSetDraft {
  const [rule] = mail.outboundRules ?? [];
  return put({ ...mail, outboundRules: [{ ...rule, ...change }], ...more });
}
function putVms(...members: readonly MemberDraft[]): ChangeSetDraft {
  return { putMembers: [{ loadBalancer: 'web', backendPool: 'vms', members }] };
}
function deleteVms(...ids: readonly string[]): ChangeSetDraft {
  return { deleteMembers: [{ loadBalancer: 'web', backendPool: 'vms', ids }] };
}
/** `web` as it is, but for one of its NAT rules. */
function webWithRule(index: number, change: Partial<InboundNatRuleDraft>): ChangeSetDraft {
  const rules = web.inboundNatRules ?? [];
  return put({
    ...web,
    inboundNatRules: rules.map((rule, at) => (at === index ? { ...rule, ...change } : rule)),
  });
}
function webWithRange(change: NonNullable<InboundNatRuleDraft['pool']>): ChangeSetDraft {
  return webWithRule(0, { pool: { backendPool: 'vms', ...change } });
}
/** A second load balancer on the frontend address of `web`. */
function beside(change: Partial<LoadBalancerDraft>): ChangeSetDraft {
  return putFresh({ frontends: [{ name: 'front', address: '203.0.113.1', addressOwnership: 2 }], ...change });
}

const lb = 'put_load_balancers[0]';
const frontend = `${lb}.frontends[0]`;
const member = `${lb}.backend_pools[0].members[0]`;
const nat = `${lb}.inbound_nat_rules[0]`;
const rule = `${lb}.load_balancing_rules[0]`;

const outbound = `${lb}.outbound_rules[0]`;

function invalid(
  title: string,
  request: ChangeSetDraft,
  reason: Reason,
  ...fields: readonly string[]
): InvalidChange {
  return { title, request, reason, fields };
}

const names: readonly InvalidChange[] = [
  invalid('a load balancer without a name', putFresh({ name: '' }), 'FIELD_REQUIRED', `${lb}.name`),
  invalid('a name of 81 characters', putFresh({ name: 'n'.repeat(81) }), 'NAME_INVALID', `${lb}.name`),
  invalid('a name that begins with a dot', putFresh({ name: '.web' }), 'NAME_INVALID', `${lb}.name`),
  invalid('a name that ends with a hyphen', putFresh({ name: 'web-' }), 'NAME_INVALID', `${lb}.name`),
  invalid('a name with a slash', putFresh({ name: 'a/b' }), 'NAME_INVALID', `${lb}.name`),
  invalid('a load balancer put twice', put(fresh, fresh), 'NAME_DUPLICATE', 'put_load_balancers[1].name'),
  invalid(
    'a load balancer put and deleted',
    { ...put(web), deleteLoadBalancers: ['web'] },
    'FIELDS_CONFLICT',
    'delete_load_balancers[0]',
  ),
  invalid('a frontend without a name', withFrontend({ name: '' }), 'FIELD_REQUIRED', `${frontend}.name`),
  invalid(
    'a frontend with a space in its name',
    withFrontend({ name: 'a b' }),
    'NAME_INVALID',
    `${frontend}.name`,
  ),
  invalid(
    'two frontends of one name',
    putFresh({
      frontends: [
        { name: 'front', address: '198.51.100.1' },
        { name: 'front', address: '198.51.100.2' },
      ],
    }),
    'NAME_DUPLICATE',
    `${lb}.frontends[1].name`,
  ),
  invalid(
    'a pool without a name',
    putFresh({ backendPools: [{ name: '' }] }),
    'FIELD_REQUIRED',
    `${lb}.backend_pools[0].name`,
  ),
  invalid(
    'two pools of one name',
    putFresh({ backendPools: [{ name: 'pool' }, { name: 'pool' }] }),
    'NAME_DUPLICATE',
    `${lb}.backend_pools[1].name`,
  ),
  invalid('a NAT rule without a name', withNat({ name: '' }), 'FIELD_REQUIRED', `${nat}.name`),
  invalid(
    'two NAT rules of one name',
    putFresh({ inboundNatRules: [natRule, { ...singleRule, name: 'nat' }] }),
    'NAME_DUPLICATE',
    `${lb}.inbound_nat_rules[1].name`,
  ),
  invalid(
    'a load-balancing rule without a name',
    withBalancing({ name: '' }),
    'FIELD_REQUIRED',
    `${rule}.name`,
  ),
  invalid(
    'two load-balancing rules of one name',
    putFresh({ loadBalancingRules: [balancing, { ...balancing, frontendPort: 81 }] }),
    'NAME_DUPLICATE',
    `${lb}.load_balancing_rules[1].name`,
  ),
];

const addresses: readonly InvalidChange[] = [
  invalid(
    'a frontend without an address',
    withFrontend({ address: '' }),
    'FIELD_REQUIRED',
    `${frontend}.address`,
  ),
  ...[
    '203.0.113',
    '203.0.113.256',
    '203.0.113.01',
    'example.com',
    '203.0.113.1/32',
    'fe80::1%eth0',
    '2001:db8:::1',
  ].map((address) =>
    invalid(
      `a frontend address that is none: ${address}`,
      withFrontend({ address }),
      'ADDRESS_INVALID',
      `${frontend}.address`,
    ),
  ),
  ...[
    '0.0.0.0',
    '127.0.0.1',
    '224.0.0.1',
    '255.255.255.255',
    '::',
    '::1',
    'ff02::1',
    'fe80::1',
    '::ffff:192.0.2.1',
  ].map((address) =>
    invalid(
      `a member address that no machine has: ${address}`,
      withMembers({ id: 'a', address }),
      'ADDRESS_INVALID',
      `${member}.address`,
    ),
  ),
  invalid(
    'two frontends of one address',
    putFresh({
      frontends: [
        { name: 'front', address: '2001:db8::5' },
        { name: 'other', address: '2001:DB8:0::5' },
      ],
    }),
    'ADDRESS_DUPLICATE',
    `${lb}.frontends[1].address`,
  ),
  invalid(
    'an unknown address ownership',
    withFrontend({ addressOwnership: 3 }),
    'ENUM_UNKNOWN',
    `${frontend}.address_ownership`,
  ),
];

const members: readonly InvalidChange[] = [
  invalid('a member without an address', withMembers({ id: 'a' }), 'FIELD_REQUIRED', `${member}.address`),
  invalid(
    'a member id with a slash',
    withMembers({ id: 'a/b', address: '10.9.0.1' }),
    'NAME_INVALID',
    `${member}.id`,
  ),
  invalid(
    'a member id with a space',
    withMembers({ id: 'a b', address: '10.9.0.1' }),
    'NAME_INVALID',
    `${member}.id`,
  ),
  invalid(
    'a member id of 129 characters',
    withMembers({ id: 'a'.repeat(129), address: '10.9.0.1' }),
    'NAME_INVALID',
    `${member}.id`,
  ),
  invalid(
    'two members of one id',
    withMembers({ id: 'a', address: '10.9.0.1' }, { id: 'a', address: '10.9.0.2' }),
    'NAME_DUPLICATE',
    `${lb}.backend_pools[0].members[1].id`,
  ),
  invalid(
    'two members of one address',
    withMembers({ id: 'a', address: '10.9.0.1' }, { id: 'b', address: '10.9.0.1' }),
    'ADDRESS_DUPLICATE',
    `${lb}.backend_pools[0].members[1].address`,
  ),
  invalid(
    'a weight of 1001',
    withMembers({ address: '10.9.0.1', weight: 1001 }),
    'VALUE_OUT_OF_RANGE',
    `${member}.weight`,
  ),
  invalid(
    'an unknown admin state',
    withMembers({ address: '10.9.0.1', adminState: 9 }),
    'ENUM_UNKNOWN',
    `${member}.admin_state`,
  ),
  invalid('no members to put', putVms(), 'FIELD_REQUIRED', 'put_members[0].members'),
  invalid('no ids to delete', deleteVms(), 'FIELD_REQUIRED', 'delete_members[0].ids'),
  invalid('an empty id to delete', deleteVms(''), 'FIELD_REQUIRED', 'delete_members[0].ids[0]'),
  invalid(
    'members for no load balancer',
    { putMembers: [{ backendPool: 'vms', members: [{ address: '10.0.0.50' }] }] },
    'FIELD_REQUIRED',
    'put_members[0].load_balancer',
  ),
  invalid(
    'members for no pool',
    { putMembers: [{ loadBalancer: 'web', members: [{ address: '10.0.0.50' }] }] },
    'FIELD_REQUIRED',
    'put_members[0].backend_pool',
  ),
  invalid(
    'a member put twice',
    putVms({ id: 'n', address: '10.0.0.50' }, { id: 'n', address: '10.0.0.51' }),
    'NAME_DUPLICATE',
    'put_members[0].members[1].id',
  ),
  invalid(
    'a member put and deleted',
    { ...putVms({ id: 'vm-1', address: '10.0.0.50' }), ...deleteVms('vm-1') },
    'NAME_DUPLICATE',
    'delete_members[0].ids[0]',
  ),
  invalid('a member deleted twice', deleteVms('vm-1', 'vm-1'), 'NAME_DUPLICATE', 'delete_members[0].ids[1]'),
  invalid(
    'a new member with the address of another',
    putVms({ id: 'n', address: '10.0.0.11' }),
    'ADDRESS_DUPLICATE',
    'put_members[0].members[0].address',
  ),
  invalid(
    'a member that takes the address of another',
    putVms({ id: 'vm-1', address: '10.0.0.12' }),
    'ADDRESS_DUPLICATE',
    'put_members[0].members[0].address',
  ),
  invalid(
    'every wrong member at once',
    putVms({ address: 'x' }, { id: 'ok', address: '10.0.0.50' }, { address: '0.0.0.0' }),
    'ADDRESS_INVALID',
    'put_members[0].members[0].address',
    'put_members[0].members[2].address',
  ),
];

const missing: readonly InvalidChange[] = [
  invalid(
    'deleting an unknown load balancer',
    { deleteLoadBalancers: ['nobody'] },
    'NOT_FOUND',
    'delete_load_balancers[0]',
  ),
  invalid(
    'deleting a load balancer twice',
    { deleteLoadBalancers: ['web', 'web'] },
    'NAME_DUPLICATE',
    'delete_load_balancers[1]',
  ),
  invalid(
    'members for an unknown load balancer',
    { putMembers: [{ loadBalancer: 'nobody', backendPool: 'vms', members: [{ address: '10.0.0.50' }] }] },
    'NOT_FOUND',
    'put_members[0].load_balancer',
  ),
  invalid(
    'members for an unknown pool',
    { putMembers: [{ loadBalancer: 'web', backendPool: 'none', members: [{ address: '10.0.0.50' }] }] },
    'NOT_FOUND',
    'put_members[0].backend_pool',
  ),
  invalid(
    'members for a load balancer that goes',
    { ...putVms({ address: '10.0.0.50' }), deleteLoadBalancers: ['web'] },
    'NOT_FOUND',
    'put_members[0].load_balancer',
  ),
  invalid(
    'deleting members of an unknown load balancer',
    { deleteMembers: [{ loadBalancer: 'nobody', backendPool: 'vms', ids: ['a'] }] },
    'NOT_FOUND',
    'delete_members[0].load_balancer',
  ),
  invalid(
    'deleting members of an unknown pool',
    { deleteMembers: [{ loadBalancer: 'web', backendPool: 'none', ids: ['a'] }] },
    'NOT_FOUND',
    'delete_members[0].backend_pool',
  ),
  invalid(
    'deleting unknown members',
    deleteVms('vm-1', 'vm-8', 'vm-9'),
    'NOT_FOUND',
    'delete_members[0].ids[1]',
    'delete_members[0].ids[2]',
  ),
  invalid('deleting the target of a rule', deleteVms('vm-0'), 'STILL_REFERENCED', 'delete_members[0].ids[0]'),
  invalid(
    'deleting the target of a rule that is put again',
    { ...put(web), ...deleteVms('vm-0') },
    'STILL_REFERENCED',
    'delete_members[0].ids[0]',
  ),
];

const natRules: readonly InvalidChange[] = [
  invalid('a NAT rule without a frontend', withNat({ frontend: '' }), 'FIELD_REQUIRED', `${nat}.frontend`),
  invalid(
    'a NAT rule on an unknown frontend',
    withNat({ frontend: 'none' }),
    'REFERENCE_UNKNOWN',
    `${nat}.frontend`,
  ),
  invalid('a NAT rule without a protocol', withNat({ protocol: 0 }), 'FIELD_REQUIRED', `${nat}.protocol`),
  invalid('a NAT rule with an unknown protocol', withNat({ protocol: 4 }), 'ENUM_UNKNOWN', `${nat}.protocol`),
  invalid('a NAT rule to nothing', withNat({ pool: null }), 'FIELD_REQUIRED', `${nat}.kind`),
  invalid(
    'a pool rule without a pool',
    withRange({ backendPool: '', frontendPortRangeEnd: 509 }),
    'FIELD_REQUIRED',
    `${nat}.pool.backend_pool`,
  ),
  invalid(
    'a pool rule for an unknown pool',
    withRange({ backendPool: 'none', frontendPortRangeEnd: 509 }),
    'REFERENCE_UNKNOWN',
    `${nat}.pool.backend_pool`,
  ),
  invalid(
    'a range that starts at 0',
    withRange({ frontendPortRangeStart: 0, frontendPortRangeEnd: 9 }),
    'VALUE_OUT_OF_RANGE',
    `${nat}.pool.frontend_port_range_start`,
  ),
  invalid(
    'a range that ends at 65535',
    withRange({ frontendPortRangeEnd: 65_535 }),
    'VALUE_OUT_OF_RANGE',
    `${nat}.pool.frontend_port_range_end`,
  ),
  invalid(
    'a range that ends before it starts',
    withRange({ frontendPortRangeEnd: 499 }),
    'VALUE_OUT_OF_RANGE',
    `${nat}.pool.frontend_port_range_end`,
  ),
  invalid('a range without a size', withRange({}), 'FIELD_REQUIRED', `${nat}.pool.size`),
  invalid(
    'a maximum of 0 machines',
    withRange({ maximumMachines: 0 }),
    'VALUE_OUT_OF_RANGE',
    `${nat}.pool.maximum_machines`,
  ),
  invalid(
    'a maximum that ends at 65535',
    withRange({ frontendPortRangeStart: 65_526, maximumMachines: 10 }),
    'VALUE_OUT_OF_RANGE',
    `${nat}.pool.maximum_machines`,
  ),
  invalid(
    'a maximum with ports for each that ends above',
    withRange({ frontendPortRangeStart: 65_000, maximumMachines: 100, portsPerMember: 8 }),
    'VALUE_OUT_OF_RANGE',
    `${nat}.pool.maximum_machines`,
  ),
  invalid(
    'a range too small for one machine',
    withRange({ frontendPortRangeEnd: 502, portsPerMember: 4 }),
    'VALUE_OUT_OF_RANGE',
    `${nat}.pool.frontend_port_range_end`,
  ),
  invalid(
    'more ports for each than there are',
    withRange({ frontendPortRangeEnd: 509, portsPerMember: 65_535 }),
    'VALUE_OUT_OF_RANGE',
    `${nat}.pool.ports_per_member`,
  ),
  invalid(
    'a pool rule to backend port 0',
    withNat({ backendPort: 0 }),
    'VALUE_OUT_OF_RANGE',
    `${nat}.backend_port`,
  ),
  invalid(
    'a pool rule to backend port 65536',
    withNat({ backendPort: 65_536 }),
    'VALUE_OUT_OF_RANGE',
    `${nat}.backend_port`,
  ),
  invalid(
    'backend ports that pass 65535',
    withNat({ backendPort: 65_535, pool: { ...natRule.pool, portsPerMember: 2 } }),
    'VALUE_OUT_OF_RANGE',
    `${nat}.pool.ports_per_member`,
  ),
  invalid(
    'a single frontend port of 65535',
    withSingle({ single: { frontendPort: 65_535 } }),
    'VALUE_OUT_OF_RANGE',
    `${nat}.single.frontend_port`,
  ),
  invalid(
    'a single frontend port of 0 for TCP',
    withSingle({ single: { frontendPort: 0 } }),
    'VALUE_OUT_OF_RANGE',
    `${nat}.single.frontend_port`,
  ),
  invalid(
    'a single backend port of 0 for UDP',
    withSingle({ protocol: udp, backendPort: 0 }),
    'VALUE_OUT_OF_RANGE',
    `${nat}.backend_port`,
  ),
  invalid(
    'every port to one port',
    withSingle({ protocol: all, single: { frontendPort: 0 } }),
    'FIELDS_CONFLICT',
    `${nat}.backend_port`,
  ),
  invalid(
    'one port to every port',
    withSingle({ protocol: all, backendPort: 0 }),
    'FIELDS_CONFLICT',
    `${nat}.single.frontend_port`,
  ),
  invalid(
    'an address and a member',
    withSingle({ single: { frontendPort: 22, address: '10.9.0.1', member: 'pool/a' } }),
    'FIELDS_CONFLICT',
    `${nat}.single.member`,
  ),
  invalid(
    'a target address that is none',
    withSingle({ single: { frontendPort: 22, address: '10.9.0' } }),
    'ADDRESS_INVALID',
    `${nat}.single.address`,
  ),
  invalid(
    'a member without a pool',
    withSingle({ single: { frontendPort: 22, member: 'a' } }),
    'NAME_INVALID',
    `${nat}.single.member`,
  ),
  invalid(
    'a member of an unknown pool',
    withSingle({ single: { frontendPort: 22, member: 'none/a' } }),
    'REFERENCE_UNKNOWN',
    `${nat}.single.member`,
  ),
  invalid(
    'an unknown member',
    withSingle({ single: { frontendPort: 22, member: 'pool/z' } }),
    'REFERENCE_UNKNOWN',
    `${nat}.single.member`,
  ),
  invalid(
    'an unknown source NAT',
    withNat({ flow: { sourceNat: 7 } }),
    'ENUM_UNKNOWN',
    `${nat}.flow.source_nat`,
  ),
  invalid(
    'an unknown when_unhealthy',
    withNat({ whenUnhealthy: 3 }),
    'ENUM_UNKNOWN',
    `${nat}.when_unhealthy`,
  ),
];

const balancingRules: readonly InvalidChange[] = [
  invalid(
    'a load-balancing rule without a frontend',
    withBalancing({ frontend: '' }),
    'FIELD_REQUIRED',
    `${rule}.frontend`,
  ),
  invalid(
    'a load-balancing rule on an unknown frontend',
    withBalancing({ frontend: 'none' }),
    'REFERENCE_UNKNOWN',
    `${rule}.frontend`,
  ),
  invalid(
    'a load-balancing rule without a pool',
    withBalancing({ backendPool: '' }),
    'FIELD_REQUIRED',
    `${rule}.backend_pool`,
  ),
  invalid(
    'a load-balancing rule to an unknown pool',
    withBalancing({ backendPool: 'none' }),
    'REFERENCE_UNKNOWN',
    `${rule}.backend_pool`,
  ),
  invalid(
    'a load-balancing rule without a protocol',
    withBalancing({ protocol: 0 }),
    'FIELD_REQUIRED',
    `${rule}.protocol`,
  ),
  invalid(
    'a load-balancing rule on port 65535',
    withBalancing({ frontendPort: 65_535 }),
    'VALUE_OUT_OF_RANGE',
    `${rule}.frontend_port`,
  ),
  invalid(
    'a load-balancing rule on port 0 of TCP',
    withBalancing({ frontendPort: 0, backendPort: 0 }),
    'VALUE_OUT_OF_RANGE',
    `${rule}.frontend_port`,
    `${rule}.backend_port`,
  ),
  invalid(
    'a load-balancing rule to port 65536',
    withBalancing({ backendPort: 65_536 }),
    'VALUE_OUT_OF_RANGE',
    `${rule}.backend_port`,
  ),
  invalid(
    'an HA-ports rule to one port',
    withBalancing({ protocol: all, frontendPort: 0 }),
    'FIELDS_CONFLICT',
    `${rule}.backend_port`,
  ),
  invalid(
    'an unknown session persistence',
    withBalancing({ sessionPersistence: 4 }),
    'ENUM_UNKNOWN',
    `${rule}.session_persistence`,
  ),
];

const tooMany: readonly InvalidChange[] = [
  invalid(
    '10,001 frontends',
    putFresh({ frontends: new Array(10_001).fill({ name: 'f', address: '198.51.100.1' }) }),
    'LIMIT_EXCEEDED',
    `${lb}.frontends`,
  ),
  invalid(
    '50,001 members',
    withMembers(...new Array(50_001).fill({ address: '10.9.0.1' })),
    'LIMIT_EXCEEDED',
    `${lb}.backend_pools[0].members`,
  ),
  invalid(
    '50,001 members put',
    putVms(...new Array(50_001).fill({ address: '10.9.0.1' })),
    'LIMIT_EXCEEDED',
    'put_members[0].members',
  ),
];

const families: readonly InvalidChange[] = [
  invalid(
    'an IPv4 frontend with IPv6 members',
    putFresh({
      backendPools: [{ name: 'pool', members: [{ address: 'fd00::1' }] }],
      inboundNatRules: [natRule],
      loadBalancingRules: [balancing],
    }),
    'FAMILY_MISMATCH',
    `${nat}.pool.backend_pool`,
    `${rule}.backend_pool`,
  ),
  invalid(
    'an IPv6 frontend with IPv4 members',
    putFresh({ frontends: [{ name: 'front', address: '2001:db8::9' }], loadBalancingRules: [balancing] }),
    'FAMILY_MISMATCH',
    `${rule}.backend_pool`,
  ),
  invalid(
    'an IPv4 frontend to an IPv6 address',
    withSingle({ single: { frontendPort: 22, address: 'fd00::1' } }),
    'FAMILY_MISMATCH',
    `${nat}.single.address`,
  ),
  invalid(
    'an IPv6 member put behind an IPv4 frontend',
    putVms({ id: 'n', address: 'fd00::50' }),
    'FAMILY_MISMATCH',
    'put_members[0].members[0].address',
  ),
  invalid(
    'an IPv4 member put behind an IPv6 frontend',
    { putMembers: [{ loadBalancer: 'web', backendPool: 'six', members: [{ address: '10.0.0.60' }] }] },
    'FAMILY_MISMATCH',
    'put_members[0].members[0].address',
  ),
];

const overlaps: readonly InvalidChange[] = [
  invalid(
    'two ranges that touch in one port',
    putFresh({
      inboundNatRules: [
        natRule,
        {
          ...natRule,
          name: 'two',
          pool: { backendPool: 'pool', frontendPortRangeStart: 509, frontendPortRangeEnd: 520 },
        },
      ],
    }),
    'FRONTEND_PORT_OVERLAP',
    `${lb}.inbound_nat_rules[1].pool.frontend_port_range_start`,
  ),
  invalid(
    'a single port inside a range',
    putFresh({ inboundNatRules: [natRule, { ...singleRule, single: { frontendPort: 505 } }] }),
    'FRONTEND_PORT_OVERLAP',
    `${lb}.inbound_nat_rules[1].single.frontend_port`,
  ),
  invalid(
    'a load-balancing rule inside a range',
    putFresh({ inboundNatRules: [natRule], loadBalancingRules: [{ ...balancing, frontendPort: 500 }] }),
    'FRONTEND_PORT_OVERLAP',
    `${rule}.frontend_port`,
  ),
  invalid(
    'ALL on a port of TCP',
    putFresh({ loadBalancingRules: [balancing, { ...balancing, name: 'all', protocol: all }] }),
    'FRONTEND_PORT_OVERLAP',
    `${lb}.load_balancing_rules[1].frontend_port`,
  ),
  invalid(
    'UDP on a port of ALL',
    putFresh({
      loadBalancingRules: [
        { ...balancing, protocol: all },
        { ...balancing, name: 'udp', protocol: udp },
      ],
    }),
    'FRONTEND_PORT_OVERLAP',
    `${lb}.load_balancing_rules[1].frontend_port`,
  ),
  invalid(
    'two rules on every port',
    putFresh({
      inboundNatRules: [{ ...singleRule, protocol: all, backendPort: 0, single: {} }],
      loadBalancingRules: [{ ...balancing, protocol: all, frontendPort: 0, backendPort: 0 }],
    }),
    'FRONTEND_PORT_OVERLAP',
    `${rule}.frontend_port`,
  ),
  invalid(
    'a rule on a port of another load balancer',
    beside({ loadBalancingRules: [balancing] }),
    'FRONTEND_PORT_OVERLAP',
    `${rule}.frontend_port`,
  ),
  invalid(
    'a range over ports of another load balancer',
    beside({ inboundNatRules: [natRule] }),
    'FRONTEND_PORT_OVERLAP',
    `${nat}.pool.frontend_port_range_start`,
  ),
  invalid(
    'two new load balancers on one port',
    put(
      { ...fresh, loadBalancingRules: [balancing] },
      { ...fresh, name: 'twin', loadBalancingRules: [balancing] },
    ),
    'FRONTEND_PORT_OVERLAP',
    'put_load_balancers[1].load_balancing_rules[0].frontend_port',
  ),
  invalid(
    'a frontend moved onto the ports of another load balancer',
    put({
      ...mail,
      frontends: [{ name: 'front', address: '203.0.113.1', addressOwnership: 2 }],
      loadBalancingRules: [
        {
          name: 'smtp',
          frontend: 'front',
          protocol: all,
          frontendPort: 80,
          backendPort: 25,
          backendPool: 'relays',
        },
      ],
    }),
    'FRONTEND_PORT_OVERLAP',
    `${rule}.frontend_port`,
  ),
];

const ports: readonly InvalidChange[] = [
  invalid(
    'one machine more than a new range holds',
    putFresh({
      backendPools: [{ name: 'pool', members: [{ address: '10.9.0.1' }, { address: '10.9.0.2' }] }],
      inboundNatRules: [
        { ...natRule, pool: { backendPool: 'pool', frontendPortRangeStart: 500, maximumMachines: 1 } },
      ],
    }),
    'PORT_RANGE_EXHAUSTED',
    nat,
  ),
  invalid(
    'members that outgrow a range',
    putVms(...[3, 4, 5, 6].map((n) => ({ id: `vm-${n}`, address: `10.0.0.${20 + n}` }))),
    'PORT_RANGE_EXHAUSTED',
    'put_members[0].members[2]',
    'put_members[0].members[3]',
  ),
  invalid(
    'a range cut at its end under machines',
    webWithRange({ frontendPortRangeStart: 500, frontendPortRangeEnd: 500 }),
    'PORT_RANGE_IN_USE',
    `${nat}.pool.frontend_port_range_end`,
  ),
  invalid(
    'a maximum below the machines that are',
    webWithRange({ frontendPortRangeStart: 500, maximumMachines: 2 }),
    'PORT_RANGE_IN_USE',
    `${nat}.pool.maximum_machines`,
  ),
  invalid(
    'a range cut at its start under machines',
    webWithRange({ frontendPortRangeStart: 501, frontendPortRangeEnd: 510 }),
    'PORT_RANGE_IN_USE',
    `${nat}.pool.frontend_port_range_start`,
  ),
  invalid(
    'more ports for each between ports that are taken',
    webWithRange({ frontendPortRangeStart: 500, frontendPortRangeEnd: 510, portsPerMember: 2 }),
    'PORT_RANGE_IN_USE',
    `${nat}.pool.ports_per_member`,
  ),
  invalid(
    'a pin outside the range',
    putVms({ id: 'n', address: '10.0.0.50', pins: { ssh: 505 } }),
    'PIN_INVALID',
    'put_members[0].members[0].pins["ssh"]',
  ),
  invalid(
    'a pin between the ports of two machines',
    {
      putMembers: [
        {
          loadBalancer: 'mail',
          backendPool: 'relays',
          members: [{ address: '10.0.1.12', pins: { admin: 1005 } }],
        },
      ],
      // Whose outbound ports it gets.
      deleteMembers: [{ loadBalancer: 'mail', backendPool: 'relays', ids: ['10.0.1.11'] }],
    },
    'PIN_INVALID',
    'put_members[0].members[0].pins["admin"]',
  ),
  invalid(
    'a pin for an unknown rule',
    putVms({ id: 'n', address: '10.0.0.50', pins: { none: 503 } }),
    'PIN_INVALID',
    'put_members[0].members[0].pins["none"]',
  ),
  invalid(
    'a pin for a rule on another pool',
    putVms({ id: 'n', address: '10.0.0.50', pins: { ssh6: 501 } }),
    'PIN_INVALID',
    'put_members[0].members[0].pins["ssh6"]',
  ),
  invalid(
    'a pin for a rule with a single target',
    putVms({ id: 'n', address: '10.0.0.50', pins: { rdp: 3389 } }),
    'PIN_INVALID',
    'put_members[0].members[0].pins["rdp"]',
  ),
  invalid(
    "a pin on another machine's port",
    putVms({ id: 'n', address: '10.0.0.50', pins: { ssh: 501 } }),
    'PIN_TAKEN',
    'put_members[0].members[0].pins["ssh"]',
  ),
  invalid(
    'a pin for a machine that has another port',
    putVms({ id: 'vm-1', address: '10.0.0.11', pins: { ssh: 504 } }),
    'PIN_TAKEN',
    'put_members[0].members[0].pins["ssh"]',
  ),
  invalid(
    'one pin for two machines',
    putVms(
      { id: 'n', address: '10.0.0.50', pins: { ssh: 504 } },
      { id: 'm', address: '10.0.0.51', pins: { ssh: 504 } },
    ),
    'PIN_TAKEN',
    'put_members[0].members[1].pins["ssh"]',
  ),
];

const probe: ProbeDraft = { name: 'p', protocol: 2, port: 80, path: '/healthz' };
const probeField = `${lb}.probes[0]`;
function withProbe(change: Partial<ProbeDraft>): ChangeSetDraft {
  return putFresh({ probes: [{ ...probe, ...change }] });
}
const seconds = (count: number, nanos = 0) => ({ seconds: count, nanos });

const probes: readonly InvalidChange[] = [
  invalid('a probe without a name', withProbe({ name: '' }), 'FIELD_REQUIRED', `${probeField}.name`),
  invalid('a probe name with a space', withProbe({ name: 'a b' }), 'NAME_INVALID', `${probeField}.name`),
  invalid(
    'two probes of one name',
    putFresh({ probes: [probe, probe] }),
    'NAME_DUPLICATE',
    `${lb}.probes[1].name`,
  ),
  invalid(
    'a probe without a protocol',
    withProbe({ protocol: 0 }),
    'FIELD_REQUIRED',
    `${probeField}.protocol`,
  ),
  invalid('an unknown probe protocol', withProbe({ protocol: 9 }), 'ENUM_UNKNOWN', `${probeField}.protocol`),
  invalid('a probe without a port', withProbe({ port: 0 }), 'VALUE_OUT_OF_RANGE', `${probeField}.port`),
  invalid('a probe of port 65536', withProbe({ port: 65_536 }), 'VALUE_OUT_OF_RANGE', `${probeField}.port`),
  invalid(
    'a probe path with a line break',
    withProbe({ path: '/a\r\nHost: x' }),
    'PATH_INVALID',
    `${probeField}.path`,
  ),
  invalid('a probe path with a zero byte', withProbe({ path: '/a\0' }), 'PATH_INVALID', `${probeField}.path`),
  invalid('a probe path with a space', withProbe({ path: '/a b' }), 'PATH_INVALID', `${probeField}.path`),
  invalid(
    'a probe path with an umlaut',
    withProbe({ path: '/gesünder' }),
    'PATH_INVALID',
    `${probeField}.path`,
  ),
  invalid('a probe path with a fragment', withProbe({ path: '/a#b' }), 'PATH_INVALID', `${probeField}.path`),
  invalid(
    'a probe path without a slash',
    withProbe({ path: 'healthz' }),
    'PATH_INVALID',
    `${probeField}.path`,
  ),
  invalid(
    'a probe path that is a URL',
    withProbe({ path: 'http://x/' }),
    'PATH_INVALID',
    `${probeField}.path`,
  ),
  invalid(
    'a probe path of 2,049 characters',
    withProbe({ path: `/${'a'.repeat(2_048)}` }),
    'PATH_INVALID',
    `${probeField}.path`,
  ),
  invalid('a TCP probe with a path', withProbe({ protocol: 1 }), 'FIELDS_CONFLICT', `${probeField}.path`),
  invalid(
    'an HTTP probe that verifies certificates',
    withProbe({ verifyCertificate: true }),
    'FIELDS_CONFLICT',
    `${probeField}.verify_certificate`,
  ),
  invalid(
    'a probe interval below a second',
    withProbe({ interval: seconds(0, 999_000_000) }),
    'VALUE_OUT_OF_RANGE',
    `${probeField}.interval`,
  ),
  invalid(
    'a probe interval above an hour',
    withProbe({ interval: seconds(3_601) }),
    'VALUE_OUT_OF_RANGE',
    `${probeField}.interval`,
  ),
  invalid(
    'a negative probe interval',
    withProbe({ interval: seconds(-5) }),
    'VALUE_OUT_OF_RANGE',
    `${probeField}.interval`,
  ),
  invalid(
    'a probe interval with two billion nanoseconds',
    withProbe({ interval: seconds(1, 2_000_000_000) }),
    'VALUE_OUT_OF_RANGE',
    `${probeField}.interval`,
  ),
  invalid(
    'a probe timeout above its interval',
    withProbe({ interval: seconds(2), timeout: seconds(2, 1_000_000) }),
    'VALUE_OUT_OF_RANGE',
    `${probeField}.timeout`,
  ),
  invalid(
    'a probe timeout above the interval that is the default',
    withProbe({ timeout: seconds(6) }),
    'VALUE_OUT_OF_RANGE',
    `${probeField}.timeout`,
  ),
  invalid(
    'a probe timeout of 0',
    withProbe({ timeout: seconds(0) }),
    'VALUE_OUT_OF_RANGE',
    `${probeField}.timeout`,
  ),
  invalid(
    'a probe threshold of 101',
    withProbe({ threshold: 101 }),
    'VALUE_OUT_OF_RANGE',
    `${probeField}.threshold`,
  ),
  invalid(
    'more probes than a load balancer carries',
    putFresh({ probes: new Array<ProbeDraft>(10_001).fill(probe) }),
    'LIMIT_EXCEEDED',
    `${lb}.probes`,
  ),
  invalid(
    'a rule with a probe that is not there',
    withBalancing({ probe: 'p' }),
    'REFERENCE_UNKNOWN',
    `${rule}.probe`,
  ),
  invalid(
    'ALL_PROBED_UP without a probe',
    withBalancing({ noHealthyBackends: 2 }),
    'FIELDS_CONFLICT',
    `${rule}.no_healthy_backends`,
  ),
  invalid(
    'REFUSE for a pool that nobody probes',
    withNat({ whenUnhealthy: 2 }),
    'FIELDS_CONFLICT',
    `${nat}.when_unhealthy`,
  ),
  invalid(
    'REFUSE for an address',
    withSingle({ whenUnhealthy: 2 }),
    'FIELDS_CONFLICT',
    `${nat}.when_unhealthy`,
  ),
  invalid(
    'REFUSE for a member whose pool nobody probes',
    withSingle({ single: { frontendPort: 22, member: 'pool/a' }, whenUnhealthy: 2 }),
    'FIELDS_CONFLICT',
    `${nat}.when_unhealthy`,
  ),
];

const periods: readonly InvalidChange[] = [
  ...[{ seconds: 0 }, { seconds: -1 }, { seconds: 0, nanos: 999_000_000 }, { seconds: 86_401 }].flatMap(
    (duration) => [
      invalid(
        `a drain period of ${JSON.stringify(duration)}`,
        withBalancing({ drainPeriod: duration }),
        'VALUE_OUT_OF_RANGE',
        `${rule}.drain_period`,
      ),
      invalid(
        `an idle timeout of ${JSON.stringify(duration)}`,
        withBalancing({ flow: { idleTimeout: duration } }),
        'VALUE_OUT_OF_RANGE',
        `${rule}.flow.idle_timeout`,
      ),
    ],
  ),
  invalid(
    'an idle timeout of parts of a second',
    withNat({ flow: { idleTimeout: { seconds: 1, nanos: 500_000_000 } } }),
    'VALUE_OUT_OF_RANGE',
    `${nat}.flow.idle_timeout`,
  ),
  invalid(
    'an idle timeout of parts of a millisecond',
    withNat({ flow: { idleTimeout: { seconds: 1, nanos: 1 } } }),
    'VALUE_OUT_OF_RANGE',
    `${nat}.flow.idle_timeout`,
  ),
  invalid(
    'a TCP reset of UDP',
    withBalancing({ protocol: 2, flow: { tcpReset: true } }),
    'FIELDS_CONFLICT',
    `${rule}.flow.tcp_reset`,
  ),
];

const sixFront = { name: 'six', address: '2001:db8:9::1', addressOwnership: 2 } as const;

const outboundRules: readonly InvalidChange[] = [
  invalid(
    'an outbound rule without a name',
    withOutbound({ name: '' }),
    'FIELD_REQUIRED',
    `${outbound}.name`,
  ),
  invalid(
    'two outbound rules of one name',
    withOutbound({ protocol: tcp }, { protocol: udp }),
    'NAME_DUPLICATE',
    `${lb}.outbound_rules[1].name`,
  ),
  invalid(
    'an outbound rule without a frontend',
    withOutbound({ frontends: [] }),
    'FIELD_REQUIRED',
    `${outbound}.frontends`,
  ),
  invalid(
    'an outbound rule with an empty frontend',
    withOutbound({ frontends: ['front', ''] }),
    'FIELD_REQUIRED',
    `${outbound}.frontends[1]`,
  ),
  invalid(
    'an outbound rule with a frontend twice',
    withOutbound({ frontends: ['front', 'front'] }),
    'NAME_DUPLICATE',
    `${outbound}.frontends[1]`,
  ),
  invalid(
    'an outbound rule with a frontend that is not there',
    withOutbound({ frontends: ['front', 'back'] }),
    'REFERENCE_UNKNOWN',
    `${outbound}.frontends[1]`,
  ),
  invalid(
    'an outbound rule without a pool',
    withOutbound({ backendPool: '' }),
    'FIELD_REQUIRED',
    `${outbound}.backend_pool`,
  ),
  invalid(
    'an outbound rule with a pool that is not there',
    withOutbound({ backendPool: 'other' }),
    'REFERENCE_UNKNOWN',
    `${outbound}.backend_pool`,
  ),
  invalid(
    'an outbound rule without a protocol',
    withOutbound({ protocol: 0 }),
    'FIELD_REQUIRED',
    `${outbound}.protocol`,
  ),
  invalid(
    'an outbound rule with a protocol that nobody knows',
    withOutbound({ protocol: 9 }),
    'ENUM_UNKNOWN',
    `${outbound}.protocol`,
  ),
  ...[1, 12, 1_023, 64_008, 4_294_967_288].map((portsPerMember) =>
    invalid(
      `${portsPerMember} outbound ports per member`,
      withOutbound({ portsPerMember }),
      'VALUE_OUT_OF_RANGE',
      `${outbound}.ports_per_member`,
    ),
  ),
  invalid(
    'a floating address of an outbound rule',
    withOutbound({ flow: { floatingIp: true } }),
    'FIELDS_CONFLICT',
    `${outbound}.flow.floating_ip`,
  ),
  invalid(
    'masquerading by an outbound rule',
    withOutbound({ flow: { sourceNat: 2 } }),
    'FIELDS_CONFLICT',
    `${outbound}.flow.source_nat`,
  ),
  invalid(
    'an outbound rule with frontends of both families',
    putFresh({
      frontends: [...(fresh.frontends ?? []), sixFront],
      outboundRules: [{ ...outboundRule, frontends: ['front', 'six'] }],
    }),
    'FAMILY_MISMATCH',
    `${outbound}.frontends[1]`,
  ),
  invalid(
    'an outbound rule that joins IPv6 to IPv4',
    putFresh({ frontends: [sixFront], outboundRules: [{ ...outboundRule, frontends: ['six'] }] }),
    'FAMILY_MISMATCH',
    `${outbound}.backend_pool`,
  ),
  invalid(
    'a machine of IPv6 for an outbound rule of IPv4',
    {
      ...withOutbound({}),
      putMembers: [
        { loadBalancer: 'fresh', backendPool: 'pool', members: [{ id: 'b', address: 'fd00::1' }] },
      ],
    },
    'FAMILY_MISMATCH',
    'put_members[0].members[0].address',
  ),
  invalid(
    'two outbound rules for one machine',
    withOutbound({ name: 'one' }, { name: 'two', protocol: udp }),
    'OUTBOUND_OVERLAP',
    `${lb}.outbound_rules[1]`,
  ),
  invalid(
    'an outbound rule for a machine of another load balancer’s',
    putFresh({
      backendPools: [{ name: 'pool', members: [{ id: 'a', address: '10.0.1.10' }] }],
      outboundRules: [outboundRule],
    }),
    'OUTBOUND_OVERLAP',
    outbound,
  ),
  invalid(
    'more outbound ports than an address has',
    mailWithOutbound({ portsPerMember: 32_008 }),
    'OUTBOUND_PORTS_EXHAUSTED',
    outbound,
  ),
  invalid(
    'outbound ports of an address of which a rule uses every port',
    putFresh({
      inboundNatRules: [{ name: 'all', frontend: 'front', protocol: all, single: { address: '10.9.0.1' } }],
      outboundRules: [outboundRule],
    }),
    'OUTBOUND_PORTS_EXHAUSTED',
    outbound,
  ),
  invalid(
    'a machine too many for an outbound rule',
    {
      putMembers: [{ loadBalancer: 'mail', backendPool: 'relays', members: [{ address: '10.0.1.12' }] }],
    },
    'OUTBOUND_PORTS_EXHAUSTED',
    'put_members[0].members[0]',
  ),
  invalid(
    'fewer outbound ports than machines have',
    mailWithOutbound({ portsPerMember: 16_000 }),
    'OUTBOUND_PORTS_IN_USE',
    `${outbound}.ports_per_member`,
  ),
  invalid(
    'an inbound rule on a port that a machine has for its own connections',
    mailWithOutbound(
      {},
      {
        loadBalancingRules: [
          {
            name: 'smtp',
            frontend: 'front',
            protocol: all,
            frontendPort: 60_000,
            backendPort: 25,
            backendPool: 'relays',
          },
        ],
      },
    ),
    'OUTBOUND_PORTS_IN_USE',
    rule,
  ),
  invalid(
    'an inbound rule on a port that another load balancer’s machine has for its own connections',
    putFresh({
      frontends: [{ name: 'front', address: '203.0.113.20', addressOwnership: 2 }],
      inboundNatRules: [{ ...singleRule, single: { frontendPort: 60_000, address: '10.9.0.1' } }],
    }),
    'FRONTEND_PORT_OVERLAP',
    nat,
  ),
];

const ranges = (...allowedClients: readonly string[]) => ({ limits: { allowedClients } });

const flowLimits: readonly InvalidChange[] = [
  ...['198.51.100.7/24', '198.51.100.7', '10.0.0.0/33', '10.0.0.0/08', 'example.com/8', ''].map((text) =>
    invalid(
      `a client range ${JSON.stringify(text)}`,
      withBalancing(ranges('192.0.2.0/24', text)),
      'CLIENT_RANGE_INVALID',
      `${rule}.limits.allowed_clients[1]`,
    ),
  ),
  invalid(
    'client ranges of which several are wrong',
    withNat(ranges('10.0.0.1/8', '192.0.2.0/24', '2001:db8::1/32')),
    'CLIENT_RANGE_INVALID',
    `${nat}.limits.allowed_clients[0]`,
    `${nat}.limits.allowed_clients[2]`,
  ),
  invalid(
    'client ranges of the other family, of a mapping',
    withNat(ranges('2001:db8::/32', '192.0.2.0/24', '::/0')),
    'FAMILY_MISMATCH',
    `${nat}.limits.allowed_clients[0]`,
    `${nat}.limits.allowed_clients[2]`,
  ),
  invalid(
    'a client range of the other family, of a balanced rule',
    withBalancing(ranges('2001:db8::/32')),
    'FAMILY_MISMATCH',
    `${rule}.limits.allowed_clients[0]`,
  ),
  invalid(
    'more client ranges than a rule may have',
    withBalancing(ranges(...Array.from({ length: 1_001 }, (_, at) => `10.${at >> 8}.${at & 255}.0/24`))),
    'LIMIT_EXCEEDED',
    `${rule}.limits.allowed_clients`,
  ),
  invalid(
    'limits above what a gateway counts',
    withNat({ limits: { newFlowsPerSecond: 1_000_001, newFlowsBurst: 1_000_001, concurrentFlows: 50_001 } }),
    'VALUE_OUT_OF_RANGE',
    `${nat}.limits.new_flows_per_second`,
    `${nat}.limits.new_flows_burst`,
    `${nat}.limits.concurrent_flows`,
  ),
  invalid(
    'a burst without a rate',
    withBalancing({ limits: { newFlowsBurst: 5, concurrentFlows: 5 } }),
    'FIELDS_CONFLICT',
    `${rule}.limits.new_flows_burst`,
  ),
];

const unsupported: readonly InvalidChange[] = [
  invalid(
    'an idle timeout of an outbound rule',
    withOutbound({ flow: { idleTimeout: { seconds: 240 } } }),
    'FEATURE_UNSUPPORTED',
    `${outbound}.flow.idle_timeout`,
  ),
  invalid(
    'a TCP reset of an outbound rule',
    withOutbound({ flow: { tcpReset: true } }),
    'FEATURE_UNSUPPORTED',
    `${outbound}.flow.tcp_reset`,
  ),
  invalid(
    'a floating address of an inbound NAT rule',
    withNat({ flow: { floatingIp: true } }),
    'FEATURE_UNSUPPORTED',
    `${nat}.flow.floating_ip`,
  ),
];

const floating: readonly InvalidChange[] = [
  invalid(
    'a floating address and limits',
    withBalancing({ flow: { floatingIp: true }, limits: { concurrentFlows: 10 } }),
    'FIELDS_CONFLICT',
    `${rule}.limits`,
  ),
  invalid(
    'a floating address and masquerading',
    withBalancing({ flow: { floatingIp: true, sourceNat: 2 } }),
    'FIELDS_CONFLICT',
    `${rule}.flow.source_nat`,
  ),
  invalid(
    'a floating address and a TCP reset',
    withBalancing({ flow: { floatingIp: true, tcpReset: true } }),
    'FIELDS_CONFLICT',
    `${rule}.flow.tcp_reset`,
  ),
  invalid(
    'a floating address and an idle timeout',
    withBalancing({ flow: { floatingIp: true, idleTimeout: { seconds: 60 } } }),
    'FIELDS_CONFLICT',
    `${rule}.flow.idle_timeout`,
  ),
  invalid(
    'an encapsulation without a floating address',
    withBalancing({ flow: { encapsulation: 2 } }),
    'FIELDS_CONFLICT',
    `${rule}.flow.encapsulation`,
  ),
  invalid(
    'an unknown encapsulation',
    withBalancing({ flow: { floatingIp: true, encapsulation: 9 } }),
    'ENUM_UNKNOWN',
    `${rule}.flow.encapsulation`,
  ),
];

/** All of them; each is refused with its reason, and leaves everything as it was. */
export const invalidChanges: readonly InvalidChange[] = [
  ...names,
  ...addresses,
  ...members,
  ...missing,
  ...natRules,
  ...balancingRules,
  ...tooMany,
  ...families,
  ...overlaps,
  ...ports,
  ...probes,
  ...periods,
  ...flowLimits,
  ...outboundRules,
  ...unsupported,
  ...floating,
];
