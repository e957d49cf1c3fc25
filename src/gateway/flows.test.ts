// Which rule and member a flow belongs to, and what each filter leaves.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { FakeDataPlane } from '../dataplane/fake.ts';
import type { LiveFlow } from '../dataplane/live-flow.ts';
import { type IpAddress, parseAddress } from '../resources/address.ts';
import { SqliteStore } from '../store/sqlite/store.ts';
import { Gateway } from './gateway.ts';
import { RememberedHost } from './testing/parts.ts';

const ip = (text: string) => parseAddress(text) as IpAddress;
const front = ip('203.0.113.1');
let directory: string;
let plane: FakeDataPlane;
let gateway: Gateway;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'penstock-flows-'));
  plane = new FakeDataPlane();
  gateway = await Gateway.open({
    store: new SqliteStore(directory),
    dataPlane: plane,
    host: new RememberedHost(),
    logger: pino({ level: 'silent' }),
    version: 'test',
  });
  const members = ['10.0.0.1', '10.0.0.2'].map((address, index) => ({ id: `vm${index + 1}`, address }));
  const rule = { name: 'web', frontend: 'front', protocol: 1, backendPool: 'vms' };
  await gateway.apply({
    putLoadBalancers: [
      {
        name: 'shop',
        frontends: [{ name: 'front', address: front }],
        backendPools: [{ name: 'vms', members }],
        loadBalancingRules: [{ ...rule, frontendPort: 80, backendPort: 8080 }],
        inboundNatRules: [
          // One name for rules of two kinds.
          {
            ...rule,
            backendPort: 22,
            pool: { backendPool: 'vms', frontendPortRangeStart: 500, maximumMachines: 2 },
          },
          {
            name: 'plain',
            frontend: 'front',
            protocol: 2,
            backendPort: 53,
            single: { frontendPort: 53, address: '10.0.0.9' },
          },
        ],
      },
      {
        name: 'whole',
        frontends: [{ name: 'front', address: front }],
        backendPools: [{ name: 'vms', members: members.slice(1) }],
        inboundNatRules: [{ name: 'all', frontend: 'front', protocol: 3, single: { member: 'vms/vm2' } }],
      },
    ],
  });
});

afterEach(async () => {
  await gateway.close();
  rmSync(directory, { recursive: true, force: true });
});

function flow(port: number, machine: string, over: Partial<LiveFlow> = {}): LiveFlow {
  return {
    direction: 'inbound',
    transport: 'tcp',
    peer: { address: ip('198.51.100.7'), port: 40_000 + port },
    frontend: { address: front, port },
    machine: { address: ip(machine), port: 1 },
    anyPort: false,
    state: 'established',
    keptBy: 'conntrack',
    packets: 0,
    bytes: 0,
    ...over,
  };
}

const all = [
  flow(80, '10.0.0.2'),
  flow(501, '10.0.0.2'),
  flow(53, '10.0.0.9', { transport: 'udp' }),
  flow(80, '10.0.0.2', { anyPort: true }),
  // To a machine that is no member any more, by a port that nothing leads to, and by one that leads elsewhere.
  flow(80, '10.0.0.7'),
  flow(502, '10.0.0.2'),
  flow(500, '10.0.0.2'),
];

async function list(filter: Parameters<Gateway['flows']>[0], most = 100): Promise<readonly string[]> {
  const { flows, more } = await gateway.flows(filter, most);
  const words = flows.map((each) => `${each.loadBalancer}/${each.rule} ${each.frontend.port} ${each.member}`);
  return more ? [...words, 'more'] : words;
}

it('names the rule and member of each flow, and leaves out what no rule leads to', async () => {
  plane.kernel.flows = all;
  expect(await list({})).toEqual([
    'shop/web 80 vm2',
    'shop/web 501 vm2',
    'shop/plain 53 ',
    'whole/all 80 vm2',
  ]);
});

it('names the rule of a flow that a machine has begun, while it has that port', async () => {
  await gateway.apply({
    putLoadBalancers: [
      {
        name: 'out',
        frontends: [{ name: 'front', address: '203.0.113.9' }],
        backendPools: [{ name: 'vms', members: [{ id: 'vm1', address: '10.0.0.1' }] }],
        outboundRules: [
          { name: 'all', frontends: ['front'], protocol: 3, backendPool: 'vms', portsPerMember: 8 },
        ],
      },
    ],
  });
  const frontend = { address: ip('203.0.113.9'), port: 65_528 };
  const outward = flow(443, '10.0.0.1', { direction: 'outbound', frontend });
  plane.kernel.flows = [
    outward,
    { ...outward, frontend: { ...frontend, port: 65_527 } },
    { ...outward, machine: { address: ip('10.0.0.2'), port: 1 } },
  ];
  expect(await list({})).toEqual(['out/all 65528 vm1']);
  expect(await list({ rule: 'all', backendPool: 'vms', member: 'vm1' })).toHaveLength(1);
  expect(await list({ loadBalancer: 'shop' })).toEqual([]);
});

it('narrows by each field', async () => {
  plane.kernel.flows = all;
  expect(await list({ loadBalancer: 'whole' })).toEqual(['whole/all 80 vm2']);
  expect(await list({ rule: 'web' })).toEqual(['shop/web 80 vm2', 'shop/web 501 vm2']);
  expect(await list({ backendPool: 'vms', frontendPort: 80 })).toEqual([
    'shop/web 80 vm2',
    'whole/all 80 vm2',
  ]);
  expect(await list({ member: 'vm1' })).toEqual([]);
  expect(await list({ memberAddress: '10.0.0.9' })).toEqual(['shop/plain 53 ']);
  expect(await list({ frontendAddress: '203.0.113.2' })).toEqual([]);
  expect(await list({ peerAddress: '198.51.100.8' })).toEqual([]);
});

it('stops at the bound, and says so only where there is more', async () => {
  plane.kernel.flows = all;
  expect(await list({}, 2)).toEqual(['shop/web 80 vm2', 'shop/web 501 vm2', 'more']);
  expect(await list({ rule: 'web' }, 2)).toEqual(['shop/web 80 vm2', 'shop/web 501 vm2']);
});
