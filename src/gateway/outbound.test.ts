// Outbound ports as the gateway keeps them: over restarts and crashes, counted, and told when they run out.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { FakeDataPlane, FakeKernel } from '../dataplane/fake.ts';
import type { LiveFlow } from '../dataplane/live-flow.ts';
import { type IpAddress, parseAddress } from '../resources/address.ts';
import type { ChangeSetDraft, OutboundRuleDraft } from '../resources/draft.ts';
import { SqliteStore } from '../store/sqlite/store.ts';
import type { GatewayEvent } from './contract.ts';
import { Gateway } from './gateway.ts';
import { levelOf, UseCounter } from './outbound-use.ts';
import { FailingStore, RememberedHost } from './testing/parts.ts';

const ip = (text: string) => parseAddress(text) as IpAddress;
const logger = pino({ level: 'silent' });
let directory: string;
let kernel: FakeKernel;
let running: { gateway: Gateway; plane: FakeDataPlane; store: FailingStore };

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'setTimeout', 'clearTimeout'] });
  directory = mkdtempSync(join(tmpdir(), 'penstock-outbound-'));
  kernel = new FakeKernel();
  running = await start();
});

afterEach(async () => {
  await running.gateway.close();
  await running.store.close();
  rmSync(directory, { recursive: true, force: true });
  vi.useRealTimers();
});

async function start() {
  const store = new FailingStore(new SqliteStore(directory));
  const plane = new FakeDataPlane({ kernel });
  const host = new RememberedHost();
  return {
    gateway: await Gateway.open({ store, dataPlane: plane, host, logger, version: 'test' }),
    plane,
    store,
  };
}

async function restart(): Promise<void> {
  await running.gateway.close();
  await running.store.close();
  running = await start();
}

const machines = (...ids: readonly number[]) => ids.map((id) => ({ id: `vm${id}`, address: `10.0.0.${id}` }));

function putShop(ids: readonly number[], rule: OutboundRuleDraft | undefined = {}): ChangeSetDraft {
  return {
    putLoadBalancers: [
      {
        name: 'shop',
        frontends: [{ name: 'front', address: '203.0.113.1' }],
        backendPools: [{ name: 'vms', members: machines(...ids) }],
        outboundRules: [
          { name: 'out', frontends: ['front'], protocol: 3, backendPool: 'vms', portsPerMember: 8, ...rule },
        ],
      },
    ],
  };
}
const add = (...ids: readonly number[]): ChangeSetDraft => ({
  putMembers: [{ loadBalancer: 'shop', backendPool: 'vms', members: machines(...ids) }],
});
const remove = (...ids: readonly string[]): ChangeSetDraft => ({
  deleteMembers: [{ loadBalancer: 'shop', backendPool: 'vms', ids }],
});

async function blocks(): Promise<readonly string[]> {
  const members = await running.gateway.outboundPorts({});
  return members.map(({ member, block }) => `${member} ${block.first}-${block.last}`);
}

/** What the kernel has, by machine and protocol. */
const sources = () =>
  [...kernel.outbound.values()]
    .map((entry) => `${entry.machine}/${entry.transport} ${entry.first}`)
    .toSorted();

/** Flows of a machine, each from a port of its own, to one destination. */
function flowsOf(id: number, count: number, port = 443): readonly LiveFlow[] {
  return Array.from({ length: count }, (_, index) => ({
    direction: 'outbound',
    transport: 'tcp',
    peer: { address: ip('198.51.100.7'), port },
    frontend: { address: ip('203.0.113.1'), port: 65_528 + index },
    machine: { address: ip(`10.0.0.${id}`), port: 40_000 + index },
    anyPort: false,
    state: 'established',
    keptBy: 'conntrack',
    packets: 0,
    bytes: 0,
  }));
}

it('is refused together with what inbound rules are refused for', async () => {
  const [shop] = putShop([1, 2, 3], { portsPerMember: 40_000 }).putLoadBalancers ?? [];
  const pool = { backendPool: 'vms', frontendPortRangeStart: 500, maximumMachines: 2 };
  const ssh = { name: 'ssh', frontend: 'front', protocol: 1, backendPort: 22, pool };
  const refused = running.gateway.apply({ putLoadBalancers: [{ ...shop, inboundNatRules: [ssh] }] });
  await expect(refused).rejects.toMatchObject({
    violations: [
      { field: 'put_load_balancers[0].inbound_nat_rules[0]', reason: 'PORT_RANGE_EXHAUSTED' },
      { field: 'put_load_balancers[0].outbound_rules[0]', reason: 'OUTBOUND_PORTS_EXHAUSTED' },
    ],
  });
});

describe('ports', () => {
  it('are in the kernel, and the plan counts whose they are', async () => {
    const { plan } = await running.gateway.apply(putShop([1, 2]));
    expect([plan.outboundAssigned, plan.outboundReleased, plan.outboundChanged]).toEqual([2, 0, 0]);
    expect(sources()).toEqual([
      '10.0.0.1/tcp 65528',
      '10.0.0.1/udp 65528',
      '10.0.0.2/tcp 65520',
      '10.0.0.2/udp 65520',
    ]);
    const next = await running.gateway.apply({ ...remove('vm1'), ...add(3) });
    expect([next.plan.outboundAssigned, next.plan.outboundReleased]).toEqual([1, 1]);
    expect(running.plane.ended).toMatchObject([
      { kind: 'outbound', entry: { machine: '10.0.0.1', transport: 'tcp' }, first: 65_528, last: 65_535 },
      { kind: 'outbound', entry: { machine: '10.0.0.1', transport: 'udp' } },
    ]);
    expect((await running.gateway.status()).outboundRules).toBe(1);
  });

  it('are the same after a restart, and members that come later get others', async () => {
    await running.gateway.apply(putShop([1, 2, 3]));
    await running.gateway.apply(remove('vm2'));
    const before = await blocks();
    await restart();
    expect(await blocks()).toEqual(before);
    expect(running.plane.loads).toBe(0);
    await running.gateway.apply(add(4));
    expect(await blocks()).toEqual(['vm1 65528-65535', 'vm3 65512-65519', 'vm4 65520-65527']);
    await restart();
    expect(await blocks()).toEqual(['vm1 65528-65535', 'vm3 65512-65519', 'vm4 65520-65527']);
    await expect(
      running.gateway.apply({ putLoadBalancers: [{ ...putShop([3]).putLoadBalancers?.[0], name: 'other' }] }),
    ).rejects.toMatchObject({ reason: 'OUTBOUND_OVERLAP' });
  });

  it('keep the size that they had, also where the default is another by now', async () => {
    await running.gateway.apply(putShop([1], { portsPerMember: 0 }));
    await running.gateway.apply(add(...Array.from({ length: 60 }, (_, index) => index + 2)));
    await restart();
    const members = await running.gateway.outboundPorts({});
    expect(members.map(({ block }) => block.last - block.first + 1)).toEqual([
      1_024,
      ...Array.from({ length: 60 }, () => 512),
    ]);
  });

  it('reach the kernel after a crash between journal and commit, as a difference', async () => {
    await running.gateway.apply(putShop([1]));
    running.plane.failNext(new Error('killed'));
    running.store.failNext('revert', new Error('killed'));
    await expect(running.gateway.apply(add(2))).rejects.toThrow('killed');
    running.store.failNext('revert', new Error('killed'));
    await running.gateway.close().catch(() => {});
    await running.store.close();
    running = await start();
    expect(sources()).toHaveLength(4);
    expect(running.plane.loads).toBe(0);
    expect(await blocks()).toEqual(['vm1 65528-65535', 'vm2 65520-65527']);
  });

  it('are as before where the kernel refuses', async () => {
    await running.gateway.apply(putShop([1]));
    running.plane.failNext();
    await expect(running.gateway.apply(add(2))).rejects.toThrow();
    expect(await blocks()).toEqual(['vm1 65528-65535']);
    await restart();
    expect(await blocks()).toEqual(['vm1 65528-65535']);
  });
});

describe('use', () => {
  it('is that of the busiest destination, and of the fuller protocol', async () => {
    await running.gateway.apply(putShop([1, 2]));
    kernel.flows = [
      ...flowsOf(1, 3),
      ...flowsOf(1, 2, 80),
      ...flowsOf(1, 4).map((flow) => ({ ...flow, transport: 'udp' as const })),
    ];
    expect(await running.gateway.outboundPorts({ member: 'vm1' })).toMatchObject([
      { flows: 9, used: 4, busiest: '198.51.100.7:443/udp', level: 'normal' },
    ]);
    expect(await running.gateway.outboundPorts({ memberAddress: '10.0.0.2' })).toMatchObject([
      { flows: 0, used: 0, busiest: '' },
    ]);
    for (const filter of [{ loadBalancer: 'x' }, { rule: 'x' }, { frontendAddress: '203.0.113.2' }])
      expect(await running.gateway.outboundPorts(filter)).toEqual([]);
    const counter = new UseCounter();
    for (const flow of flowsOf(1, 1))
      counter.add({ ...flow, peer: { address: ip('2001:db8::7'), port: 53 } });
    expect(counter.use.get('10.0.0.1/tcp')?.busiest).toBe('[2001:db8::7]:53/tcp');
  });

  it.each([
    ['normal', 5, 'normal'],
    ['normal', 6, 'low'],
    ['normal', 8, 'exhausted'],
    ['low', 6, 'low'],
    ['low', 5, 'normal'],
    ['exhausted', 8, 'exhausted'],
    ['exhausted', 7, 'low'],
    ['exhausted', 5, 'normal'],
  ] as const)('of %s becomes, with %i of 8, %s', (before, used, after) => {
    expect(levelOf(used, 8, before)).toBe(after);
  });

  it('is told when it reaches 75 % and when all ports are in use, and when it falls again', async () => {
    await running.gateway.apply(putShop([1, 2]));
    const done = new AbortController();
    const told: string[] = [];
    const reading = (async () => {
      for await (const event of running.gateway.watch(0, done.signal)) told.push(textOf(event));
    })();
    const look = async (flows: readonly LiveFlow[]) => {
      kernel.flows = flows;
      await vi.advanceTimersByTimeAsync(3_000);
      return told.splice(0);
    };
    expect(await look(flowsOf(1, 5))).toEqual([]);
    expect(await look(flowsOf(1, 6))).toEqual(['vm1 low 6']);
    expect(await look(flowsOf(1, 7))).toEqual([]);
    expect((await running.gateway.status()).warnings).toMatchObject([
      { code: 'OUTBOUND_PORTS_LOW', message: expect.stringContaining('vm1 uses 7 of its 8 ports') },
    ]);
    // All at once: both are told.
    expect(await look([...flowsOf(1, 8), ...flowsOf(2, 8)])).toEqual([
      'vm1 exhausted 8',
      'vm2 low 8',
      'vm2 exhausted 8',
    ]);
    expect((await running.gateway.status()).warnings.map(({ code }) => code)).toEqual([
      'OUTBOUND_PORTS_EXHAUSTED',
    ]);
    expect(await look([])).toEqual(['vm1 normal 0', 'vm2 normal 0']);
    expect((await running.gateway.status()).warnings).toEqual([]);
    done.abort();
    await reading;
  });

  it('is not counted where nobody has outbound ports', async () => {
    const asked = vi.spyOn(running.plane, 'flows');
    await vi.advanceTimersByTimeAsync(5_000);
    expect(await running.gateway.outboundPorts({})).toEqual([]);
    expect(asked).not.toHaveBeenCalled();
  });
});

function textOf(event: GatewayEvent): string {
  return event.kind === 'outbound'
    ? `${event.member.member} ${event.member.level} ${event.member.used}`
    : event.kind;
}
