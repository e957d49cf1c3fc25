import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CommitFailed } from '../dataplane/dataplane.ts';
import { FakeDataPlane, FakeKernel } from '../dataplane/fake.ts';
import { emptyTable } from '../forwarding/compile.ts';
import type { ChangeSetDraft, MemberDraft } from '../resources/draft.ts';
import { Refusal } from '../resources/refusal.ts';
import { SqliteStore } from '../store/sqlite/store.ts';
import { StoreFailed } from '../store/store.ts';
import type { GatewayEvent } from './contract.ts';
import { Gateway } from './gateway.ts';
import { FailingStore, RememberedHost } from './testing/parts.ts';

const logger = pino({ level: 'silent' });

const members = (...ids: readonly number[]): MemberDraft[] =>
  ids.map((id) => ({ id: `vm${id}`, address: `10.0.0.${id}` }));

const putLb = (name: string, ids: readonly number[], address = '203.0.113.1'): ChangeSetDraft => ({
  putLoadBalancers: [
    {
      name,
      frontends: [{ name: 'public', address }],
      backendPools: [{ name: 'vms', members: members(...ids) }],
      inboundNatRules: [
        {
          name: 'tls',
          frontend: 'public',
          protocol: 1,
          backendPort: 443,
          pool: { backendPool: 'vms', frontendPortRangeStart: 500, maximumMachines: 10 },
        },
      ],
      loadBalancingRules: [
        {
          name: 'web',
          frontend: 'public',
          protocol: 1,
          frontendPort: 80,
          backendPort: 80,
          backendPool: 'vms',
        },
      ],
    },
  ],
});

const addMembers = (...ids: readonly number[]): ChangeSetDraft => ({
  putMembers: [{ loadBalancer: 'shop', backendPool: 'vms', members: members(...ids) }],
});

let directory: string;
let kernel: FakeKernel;
let host: RememberedHost;
let running: { gateway: Gateway; plane: FakeDataPlane; store: FailingStore } | undefined;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'penstock-gateway-'));
  kernel = new FakeKernel();
  host = new RememberedHost();
});

afterEach(async () => {
  await stop();
  rmSync(directory, { recursive: true, force: true });
});

async function start() {
  const store = new FailingStore(new SqliteStore(directory));
  const plane = new FakeDataPlane({ kernel });
  const gateway = await Gateway.open({ store, dataPlane: plane, host, logger, version: 'test' });
  running = { gateway, plane, store };
  return running;
}

async function stop(): Promise<void> {
  await running?.gateway.close();
  await running?.store.close();
  running = undefined;
}

const ports = (gateway: Gateway) =>
  Object.fromEntries(
    [...gateway.snapshot().mappings()].map((mapping) => [mapping.member, mapping.frontendPort]),
  );

describe('a change', () => {
  it('is assigned, compiled, committed and told', async () => {
    const { gateway, plane } = await start();
    const applied = await gateway.apply(putLb('shop', [4, 5]));
    expect(applied.revision).toBe(1);
    expect(applied.plan).toMatchObject({ assignedTotal: 2, entriesAdded: 3 });
    expect(ports(gateway)).toEqual({ vm4: 500, vm5: 501 });
    expect(plane.kernel.stamp?.revision).toBe(1);
    expect([...host.present]).toEqual(['203.0.113.1']);
    expect(await gateway.status()).toMatchObject({ revision: 1, members: 2, mappings: 2, loadBalancers: 1 });
  });

  it('that changes nothing takes no revision', async () => {
    const { gateway } = await start();
    await gateway.apply(putLb('shop', [4]));
    expect((await gateway.apply(putLb('shop', [4]))).revision).toBe(1);
  });

  it('is only looked at with validateOnly', async () => {
    const { gateway, plane } = await start();
    const { revision, plan } = await gateway.apply(putLb('shop', [4, 5]), { validateOnly: true });
    expect(revision).toBe(0);
    expect(plan.assigned.map(({ frontendPort }) => frontendPort)).toEqual([500, 501]);
    expect(plane.kernel.entries.size).toBe(0);
    expect([...gateway.snapshot().mappings()]).toEqual([]);
  });

  it('is refused when it starts from another revision', async () => {
    const { gateway } = await start();
    await gateway.apply(putLb('shop', [4]));
    await gateway.apply(addMembers(5), { expectedRevision: 1 });
    await expect(gateway.apply(addMembers(6), { expectedRevision: 1 })).rejects.toMatchObject({
      reason: 'STALE_REVISION',
    });
    expect(gateway.snapshot().revision).toBe(2);
  });

  it('is answered once per request id, also after a restart', async () => {
    const first = await start();
    const { plan } = await first.gateway.apply(putLb('shop', [4]), { requestId: 'a' });
    await first.gateway.apply(addMembers(5));
    await stop();
    const { gateway } = await start();
    const again = await gateway.apply(putLb('shop', [4]), { requestId: 'a' });
    expect(again.revision).toBe(1);
    expect(again.plan.assigned).toEqual(plan.assigned);
    expect(ports(gateway)).toEqual({ vm4: 500, vm5: 501 });
  });

  it('that changed nothing is answered once per request id, too', async () => {
    const { gateway } = await start();
    await gateway.apply(putLb('shop', [4]));
    const first = await gateway.apply(putLb('shop', [4]), { requestId: 'a' });
    await gateway.apply(putLb('shop', [4, 5]));
    expect(await gateway.apply(putLb('shop', [4]), { requestId: 'a' })).toEqual(first);
    expect(ports(gateway)).toEqual({ vm4: 500, vm5: 501 });
  });

  it('that was refused is not an answer: its repeat is a new attempt', async () => {
    const { gateway, plane } = await start();
    await expect(gateway.apply(addMembers(4), { requestId: 'a' })).rejects.toBeInstanceOf(Refusal);
    plane.failNext(new CommitFailed('no', ''));
    await expect(gateway.apply(putLb('shop', [4]), { requestId: 'a' })).rejects.toThrow('no');
    expect((await gateway.apply(putLb('shop', [4]), { requestId: 'a' })).revision).toBe(1);
  });

  it('is carried out once, however many repeats come at the same time', async () => {
    const { gateway } = await start();
    const answers = await Promise.all(
      [1, 2, 3].map(() => gateway.apply(putLb('shop', [4]), { requestId: 'a' })),
    );
    expect(answers.map(({ revision }) => revision)).toEqual([1, 1, 1]);
    expect(gateway.snapshot().revision).toBe(1);
  });

  it('that the kernel refused is in no way there after another one, although taking it back failed at first', async () => {
    const { gateway, plane, store } = await start();
    await gateway.apply(putLb('shop', [4]));
    plane.failNext(new CommitFailed('no', ''));
    store.failNext('revert', new StoreFailed('disk full', ''));
    const refused = gateway.apply(putLb('other', [9], '203.0.113.2'), { requestId: 'x' });
    await expect(refused).rejects.toThrow('no');
    expect([...host.present]).toEqual(['203.0.113.1']);
    await gateway.apply(addMembers(5));
    await stop();
    const restarted = await start();
    expect([...restarted.gateway.snapshot().configuration.keys()]).toEqual(['shop']);
    const again = await restarted.gateway.apply(putLb('other', [9], '203.0.113.2'), { requestId: 'x' });
    expect(again.revision).toBe(3);
  });

  it('waits while what was refused cannot be taken back', async () => {
    const { gateway, plane, store } = await start();
    plane.failNext(new CommitFailed('no', ''));
    store.failNext('revert', new StoreFailed('disk full', ''));
    store.failNext('revert', new StoreFailed('disk still full', ''));
    await expect(gateway.apply(putLb('shop', [4]))).rejects.toThrow('no');
    await expect(gateway.apply(putLb('shop', [4]))).rejects.toThrow('disk still full');
    expect((await gateway.apply(putLb('shop', [4]))).revision).toBe(1);
  });

  it('stands, and is told, although an address cannot be taken off the host', async () => {
    const { gateway } = await start();
    await gateway.apply(putLb('shop', [4]));
    host.failNext('remove', new Error('no such device'));
    const moved = await gateway.apply(putLb('shop', [4], '203.0.113.2'));
    expect(moved.revision).toBe(2);
    expect(gateway.snapshot().revision).toBe(2);
    for await (const event of gateway.watch(1, new AbortController().signal)) {
      expect(event).toMatchObject({ revision: 2, kind: 'applied' });
      break;
    }
  });

  it('refused by validation leaves everything as it was', async () => {
    const { gateway, plane } = await start();
    await gateway.apply(putLb('shop', [4]));
    const before = gateway.snapshot().configuration;
    await expect(gateway.apply(addMembers(5, 6, 7, 8, 9, 10, 11, 12, 13, 14))).rejects.toMatchObject({
      reason: 'PORT_RANGE_EXHAUSTED',
    });
    expect(gateway.snapshot().configuration).toBe(before);
    expect(plane.kernel.stamp?.revision).toBe(1);
  });

  it('refused by the kernel is taken out of the journal again', async () => {
    const { gateway, plane } = await start();
    await gateway.apply(putLb('shop', [4]));
    plane.failNext(new CommitFailed('no', 'netlink: No space left'));
    await expect(gateway.apply(putLb('other', [9], '203.0.113.2'), { requestId: 'x' })).rejects.toThrow('no');
    expect([...host.present]).toEqual(['203.0.113.1']);
    expect((await gateway.apply(addMembers(5))).revision).toBe(2);
    await stop();
    const restarted = await start();
    expect([...restarted.gateway.snapshot().configuration.keys()]).toEqual(['shop']);
    expect(ports(restarted.gateway)).toEqual({ vm4: 500, vm5: 501 });
  });

  it('runs after the one before it, whoever calls', async () => {
    const { gateway } = await start();
    await gateway.apply(putLb('shop', []));
    const results = await Promise.all([4, 5, 6, 7, 8].map((id) => gateway.apply(addMembers(id))));
    expect(results.map(({ revision }) => revision)).toEqual([2, 3, 4, 5, 6]);
    expect(ports(gateway)).toEqual({ vm4: 500, vm5: 501, vm6: 502, vm7: 503, vm8: 504 });
  });

  it('is seen by those who watch', async () => {
    const { gateway } = await start();
    await gateway.apply(putLb('shop', [4]));
    const gone = new AbortController();
    const seen: number[] = [];
    const watching = (async () => {
      for await (const event of gateway.watch(1, gone.signal)) {
        seen.push(event.revision);
        if (seen.length === 2) return;
      }
    })();
    await gateway.apply(addMembers(5));
    await gateway.apply(addMembers(6));
    await watching;
    expect(seen).toEqual([2, 3]);
  });
});

describe('who watches from the revision of a snapshot', () => {
  it('neither misses an event nor gets one twice, whenever the snapshot is taken', async () => {
    const { gateway } = await start();
    await gateway.apply(putLb('shop', [4], '203.0.113.2'));
    let early: AsyncIterator<GatewayEvent> | undefined;
    const gone = new AbortController();
    const removeAddresses = host.removeAddresses.bind(host);
    // In the midst of a change: the new revision is visible, and the change is not yet acknowledged.
    host.removeAddresses = async (addresses) => {
      const { revision } = gateway.snapshot();
      early ??= gateway.watch(revision, gone.signal)[Symbol.asyncIterator]();
      firstSeen ??= early.next();
      await removeAddresses(addresses);
    };
    let firstSeen: Promise<IteratorResult<GatewayEvent>> | undefined;
    await gateway.apply(putLb('shop', [4], '203.0.113.1'));
    await gateway.apply(addMembers(5));
    expect((await firstSeen)?.value).toMatchObject({ revision: 3 });
    gone.abort();
  });
});

describe('counters', () => {
  it('of a mapping that leads elsewhere by now are not those of its successor', async () => {
    const { gateway, plane } = await start();
    await gateway.apply(putLb('shop', [4]));
    const [mapping] = gateway.snapshot().mappings();
    if (mapping === undefined) throw new Error('no mapping');
    const endpoint = { address: mapping.frontendAddress, transport: 'tcp', port: 500 } as const;
    plane.setCounters(endpoint, { packets: 7, bytes: 700, flows: 1 });
    expect((await gateway.mappingCounters([mapping])).get(mapping)?.packets).toBe(7);
    await gateway.apply({
      deleteMembers: [{ loadBalancer: 'shop', backendPool: 'vms', ids: ['vm4'] }],
      putMembers: [{ loadBalancer: 'shop', backendPool: 'vms', members: members(9) }],
    });
    expect(ports(gateway)).toEqual({ vm9: 500 });
    expect(await gateway.mappingCounters([mapping])).toEqual(new Map());
  });

  it('reads those of the members of a balanced pool', async () => {
    const { gateway, plane } = await start();
    await gateway.apply(putLb('shop', [4, 5]));
    const counted = { packets: 7, bytes: 700, flows: 1 };
    plane.setMemberCounters(64, 'vm5', counted);
    const shop = gateway.snapshot().configuration.get('shop');
    if (shop === undefined) throw new Error('no load balancer');
    expect(await gateway.memberCounters(shop)).toMatchObject([
      { backendPool: 'vms', member: { id: 'vm4', address: '10.0.0.4' }, counters: { packets: 0 } },
      { backendPool: 'vms', member: { id: 'vm5', address: '10.0.0.5' }, counters: counted },
    ]);
  });
});

describe('the status of a gateway', () => {
  it('has what the plane reports, and answers also where that fails', async () => {
    const { gateway, plane } = await start();
    plane.planeReport = { ...plane.planeReport, flows: { capacity: 7, used: 2, open: 1 } };
    expect((await gateway.status()).plane.flows).toEqual({ capacity: 7, used: 2, open: 1 });
    plane.report = async () => {
      throw new Error('the maps are gone');
    };
    const { plane: report, warnings } = await gateway.status();
    expect(report.interfaces).toEqual([]);
    expect(warnings).toMatchObject([
      { code: 'DATA_PLANE_SILENT', message: expect.stringContaining('the maps are gone') },
    ]);
  });
});

describe('a gateway that closes', () => {
  it('finishes the change that runs, and takes no other', async () => {
    const { gateway, plane } = await start();
    const running = gateway.apply(putLb('shop', [4]));
    const closing = gateway.close();
    const late = gateway.apply(addMembers(5));
    expect((await running).revision).toBe(1);
    await closing;
    await expect(late).rejects.toThrow('closed');
    expect(plane.kernel.stamp?.revision).toBe(1);
  });

  it('lets go of the plane and cleans the host although the table cannot be removed', async () => {
    const { gateway, plane } = await start();
    await gateway.apply(putLb('shop', [4]));
    plane.flush = async () => {
      throw new Error('nft is gone');
    };
    await expect(gateway.close({ flush: true })).rejects.toThrow('nft is gone');
    expect([...host.present]).toEqual([]);
    await expect(plane.load(emptyTable(), { instance: '', revision: 0 })).rejects.toThrow('not open');
  });

  it('was never open where the host refuses: the plane is let go of', async () => {
    host.prepare = async () => {
      throw new Error('read-only /proc/sys');
    };
    const store = new SqliteStore(directory);
    const plane = new FakeDataPlane({ kernel });
    const parts = { store, dataPlane: plane, host, logger, version: 'test' };
    await expect(Gateway.open(parts)).rejects.toThrow('read-only');
    await expect(plane.load(emptyTable(), { instance: '', revision: 0 })).rejects.toThrow('not open');
    await store.close();
  });
});

describe('a restart', () => {
  it('finds the kernel as it was left, and touches nothing', async () => {
    const first = await start();
    await first.gateway.apply(putLb('shop', [4, 5, 6]));
    await first.gateway.apply({
      deleteMembers: [{ loadBalancer: 'shop', backendPool: 'vms', ids: ['vm5'] }],
    });
    await first.gateway.apply(addMembers(7));
    const before = ports(first.gateway);
    await stop();
    const { gateway, plane } = await start();
    expect(plane.loads).toBe(0);
    expect(plane.commits).toEqual([]);
    expect(ports(gateway)).toEqual(before);
    expect(before).toEqual({ vm4: 500, vm6: 502, vm7: 501 });
    await gateway.apply(addMembers(5));
    expect(ports(gateway)).toEqual({ ...before, vm5: 503 });
  });

  it('keeps the order of members and who had a port last', async () => {
    const first = await start();
    await first.gateway.apply(putLb('shop', [6, 4, 5]));
    await first.gateway.apply({
      deleteMembers: [{ loadBalancer: 'shop', backendPool: 'vms', ids: ['vm4'] }],
    });
    await first.gateway.apply({
      deleteMembers: [{ loadBalancer: 'shop', backendPool: 'vms', ids: ['vm6'] }],
    });
    await stop();
    const { gateway } = await start();
    await gateway.apply(addMembers(4));
    expect(ports(gateway)).toEqual({ vm5: 502, vm4: 501 });
    const pool = gateway.snapshot().configuration.get('shop')?.backendPools[0];
    expect(pool?.members.map(({ id }) => id)).toEqual(['vm5', 'vm4']);
  });

  it('applies only the difference when the crash came between journal and commit', async () => {
    const first = await start();
    await first.gateway.apply(putLb('shop', [4, 5]));
    const stampBefore = kernel.stamp;
    await expect(
      (async () => {
        const crash = new Error('killed');
        first.plane.failNext(crash);
        first.store.revert = async () => {
          throw crash;
        };
        await first.gateway.apply(addMembers(6));
      })(),
    ).rejects.toThrow('killed');
    expect(kernel.stamp).toEqual(stampBefore);
    await expect(stop()).rejects.toThrow('killed');
    await first.store.close();
    const { gateway, plane } = await start();
    expect(plane.loads).toBe(0);
    expect(plane.commits).toHaveLength(1);
    expect(plane.commits[0]?.added).toHaveLength(1);
    expect(kernel.stamp?.revision).toBe(2);
    expect(ports(gateway)).toEqual({ vm4: 500, vm5: 501, vm6: 502 });
  });

  it('loads everything where the kernel refuses the difference', async () => {
    const first = await start();
    await first.gateway.apply(putLb('shop', [4, 5]));
    first.plane.failNext(new Error('killed'));
    first.store.failNext('revert', new Error('killed'));
    await expect(first.gateway.apply(addMembers(6))).rejects.toThrow('killed');
    await first.store.close();
    running = undefined;
    const store = new FailingStore(new SqliteStore(directory));
    const plane = new FakeDataPlane({ kernel });
    plane.failNext(new CommitFailed('no', ''));
    const gateway = await Gateway.open({ store, dataPlane: plane, host, logger, version: 'test' });
    running = { gateway, plane, store };
    expect(plane.loads).toBe(1);
    expect(kernel.stamp?.revision).toBe(2);
  });

  it('loads everything into a kernel that is empty, or runs what another gateway left', async () => {
    const first = await start();
    await first.gateway.apply(putLb('shop', [4, 5]));
    await stop();
    kernel = new FakeKernel();
    const second = await start();
    expect(second.plane.loads).toBe(1);
    expect(kernel.entries.size).toBe(3);
  });
});

describe('what others do to the kernel', () => {
  it('is noticed although changes never cease to come', async () => {
    const { gateway, plane } = await start();
    await gateway.apply(putLb('shop', [4]));
    plane.damage();
    let going = true;
    const flood = async (id: number) => {
      while (going) {
        await gateway.apply(addMembers(id)).catch(() => {});
        await nextTurn();
      }
    };
    const floods = [flood(5), flood(6), flood(7)];
    await expect.poll(() => plane.loads, { timeout: 4_000 }).toBe(2);
    going = false;
    await Promise.all(floods);
  });

  it('is noticed, mended and told', async () => {
    const { gateway, plane } = await start();
    await gateway.apply(putLb('shop', [4, 5]));
    plane.damage();
    await expect.poll(() => plane.loads, { timeout: 4_000 }).toBe(2);
    expect(kernel.entries.size).toBe(3);
    const { warnings } = await gateway.status();
    expect(warnings.map(({ code }) => code)).toEqual(['DATA_PLANE_REPAIRED']);
  });
});

describe('refusals', () => {
  it('are Refusals with all offenders', async () => {
    const { gateway } = await start();
    const wrong = putLb('shop', [4, 4]);
    await expect(gateway.apply(wrong)).rejects.toBeInstanceOf(Refusal);
  });
});
