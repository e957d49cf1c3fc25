// Verdicts on their way through the one writer: into the kernel, the events, the store, and out of it again.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CommitFailed } from '../dataplane/dataplane.ts';
import { FakeDataPlane, FakeKernel } from '../dataplane/fake.ts';
import { changeOperations } from '../dataplane/nftables/encode.ts';
import type { LoadBalancerDraft, LoadBalancingRuleDraft } from '../resources/draft.ts';
import { SqliteStore } from '../store/sqlite/store.ts';
import { StoreFailed } from '../store/store.ts';
import type { GatewayEvent } from './contract.ts';
import { Gateway } from './gateway.ts';
import { runningOf } from './stamps.ts';
import { FailingStore, RememberedChecks, RememberedHost } from './testing/parts.ts';

const logger = pino({ level: 'silent' });

const addresses = (count: number) =>
  Array.from({ length: count }, (_, index) => `10.0.${index >> 8}.${index & 255}`);

const balancing = (name: string, over: LoadBalancingRuleDraft = {}): LoadBalancingRuleDraft => ({
  name,
  frontend: 'public',
  protocol: 1,
  frontendPort: 80,
  backendPort: 80,
  backendPool: 'vms',
  probe: 'health',
  ...over,
});

/** Probes are of port 80 for `health` and of port 81 for `other`. */
function shop(machines: readonly string[], over: LoadBalancerDraft = {}): LoadBalancerDraft {
  return {
    name: 'shop',
    frontends: [{ name: 'public', address: '203.0.113.1' }],
    backendPools: [{ name: 'vms', members: machines.map((address) => ({ address })) }],
    probes: [
      { name: 'health', protocol: 1, port: 80 },
      { name: 'other', protocol: 2, port: 81 },
    ],
    loadBalancingRules: [balancing('web')],
    ...over,
  };
}

let directory: string;
let kernel: FakeKernel;
interface Running {
  readonly gateway: Gateway;
  readonly plane: FakeDataPlane;
  readonly store: FailingStore;
  readonly health: RememberedChecks;
}
let running: Running | undefined;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'penstock-health-'));
  kernel = new FakeKernel();
});

afterEach(async () => {
  await stop();
  rmSync(directory, { recursive: true, force: true });
});

async function start(): Promise<Running> {
  const store = new FailingStore(new SqliteStore(directory));
  const plane = new FakeDataPlane({ kernel });
  const health = new RememberedChecks();
  const host = new RememberedHost();
  const gateway = await Gateway.open({ store, dataPlane: plane, host, health, logger, version: 'test' });
  running = { gateway, plane, store, health };
  return running;
}

async function stop(): Promise<void> {
  await running?.gateway.close();
  await running?.store.close();
  running = undefined;
}

async function until(isSo: () => boolean): Promise<void> {
  for (let waited = 0; !isSo(); waited += 5) {
    if (waited > 5_000) throw new Error('never came');
    await sleep(5);
  }
}

function health(gateway: Gateway): readonly string[] {
  return [...gateway.snapshot().memberHealth()].map(
    ({ rule, member, eligible, reason }) => `${rule} ${member} ${eligible} ${reason}`,
  );
}

/** Addresses that get new flows of a ring. */
function eligible(number = 64): readonly string[] {
  const ring = kernel.rings.get(number);
  return [...new Set(ring?.slots)].map((owner) => ring?.members[owner]?.address ?? '?').toSorted();
}

describe('what is probed', () => {
  it('is each machine once by each probe, however many rules and load balancers want to know', async () => {
    const { gateway, health } = await start();
    const rules = Array.from({ length: 20 }, (_, index) =>
      balancing(`web-${index}`, { frontendPort: 80 + index }),
    );
    const one = shop(addresses(3), {
      loadBalancingRules: [...rules, balancing('dns', { frontendPort: 200, probe: 'other' })],
    });
    const two = {
      ...shop(addresses(2), { frontends: [{ name: 'public', address: '203.0.113.2' }] }),
      name: 'mall',
    };
    await gateway.apply({ putLoadBalancers: [one, two] });
    expect(
      [...health.assigned.values()].map(({ target }) => `${target.address}:${target.port}`).toSorted(),
    ).toEqual(['10.0.0.0:80', '10.0.0.0:81', '10.0.0.1:80', '10.0.0.1:81', '10.0.0.2:80', '10.0.0.2:81']);
    expect((await gateway.status()).probes).toEqual({
      targets: 6,
      up: 0,
      down: 0,
      unknown: 6,
      flapping: 0,
      lateness: 7,
    });
    await gateway.apply({ deleteLoadBalancers: ['shop'] });
    expect([...health.assigned.values()].map(({ target }) => target.address)).toEqual([
      '10.0.0.0',
      '10.0.0.1',
    ]);
    await gateway.apply({ deleteLoadBalancers: ['mall'] });
    expect(health.assigned.size).toBe(0);
    expect((await gateway.status()).probes).toBeUndefined();
  });

  it('follows the members, and is left alone where they stay', async () => {
    const { gateway, health } = await start();
    await gateway.apply({ putLoadBalancers: [shop(addresses(3))] });
    const before = new Map(health.assigned);
    const members = [{ address: '10.0.0.9' }];
    await gateway.apply({
      putMembers: [{ loadBalancer: 'shop', backendPool: 'vms', members }],
      deleteMembers: [{ loadBalancer: 'shop', backendPool: 'vms', ids: ['10.0.0.1'] }],
    });
    expect([...health.assigned.values()].map(({ target }) => target.address)).toEqual([
      '10.0.0.0',
      '10.0.0.2',
      '10.0.0.9',
    ]);
    for (const [key, each] of health.assigned) {
      if (each.target.address !== '10.0.0.9') expect(each).toBe(before.get(key));
    }
  });
});

describe('verdicts', () => {
  it('change who gets flows, and no revision; they are told, one for each rule and member', async () => {
    const { gateway, plane, health: checks } = await start();
    const loadBalancingRules = [balancing('web'), balancing('again', { frontendPort: 81 })];
    await gateway.apply({ putLoadBalancers: [shop(addresses(2), { loadBalancingRules })] });
    expect(health(gateway)[0]).toBe('web 10.0.0.0 false NA');
    expect(eligible()).toEqual([]);
    const seen: GatewayEvent[] = [];
    const watching = new AbortController();
    const end = (async () => {
      for await (const event of gateway.watch(0, watching.signal)) seen.push(event);
    })();
    checks.find('up', ['10.0.0.0']);
    await until(() => eligible().length > 0);
    expect(eligible()).toEqual(['10.0.0.0']);
    expect(health(gateway)).toEqual([
      'web 10.0.0.0 true Up_Probe_Success',
      'web 10.0.0.1 false NA',
      'again 10.0.0.0 true Up_Probe_Success',
      'again 10.0.0.1 false NA',
    ]);
    await until(() => seen.length > 0);
    watching.abort();
    await end;
    expect(seen).toHaveLength(1);
    const [event] = seen;
    expect(event).toMatchObject({ kind: 'health', revision: 1 });
    const told = event?.kind === 'health' ? [...event.members] : [];
    expect(told.map(({ rule, member, eligible }) => [rule, member, eligible])).toEqual([
      ['web', '10.0.0.0', true],
      ['again', '10.0.0.0', true],
    ]);
    expect(gateway.snapshot().revision).toBe(1);
    expect(plane.stamps.map(({ revision }) => runningOf(revision))).toEqual([
      { revision: 0, turn: 0 },
      { revision: 1, turn: 0 },
      { revision: 1, turn: 1 },
    ]);
  });

  it('that arrive together are one commit', async () => {
    const { gateway, plane, health } = await start();
    await gateway.apply({ putLoadBalancers: [shop(addresses(50))] });
    const before = plane.commits.length;
    for (const address of addresses(50)) health.find('up', [address]);
    await until(() => eligible().length === 50);
    expect(plane.commits.length - before).toBe(1);
  });

  it('on one of 1,000 machines that 100 rules share change its slots, and nothing else', async () => {
    const { gateway, plane, health } = await start();
    const rules = Array.from({ length: 100 }, (_, index) =>
      balancing(`web-${index}`, { frontendPort: 1 + index }),
    );
    await gateway.apply({ putLoadBalancers: [shop(addresses(1_000), { loadBalancingRules: rules })] });
    health.find('up', addresses(1_000));
    await until(() => eligible().length === 1_000);
    const before = plane.commits.length;
    health.find('down', ['10.0.1.7']);
    await until(() => eligible().length === 999);
    expect(plane.commits.length - before).toBe(1);
    const change = plane.commits.at(-1);
    expect(change).toMatchObject({
      added: [],
      removed: [],
      replaced: [],
      backendsAdded: [],
      backendsRemoved: [],
    });
    expect(change?.rings).toHaveLength(1);
    expect(change?.ending).toEqual([{ kind: 'ring-member', ring: 64, backend: '10.0.1.7', udpOnly: true }]);
    // Each slot of the machine is deleted and added, and it may hold no UDP flows any more.
    const slots = Math.ceil(65_537 / 1_000);
    expect(change && [...changeOperations(change)].length).toBeLessThanOrEqual(2 * slots + 1);
  }, 30_000);

  it('that the kernel refuses are tried again, and nothing is as if they had not come', async () => {
    const { gateway, plane, health: checks } = await start();
    await gateway.apply({ putLoadBalancers: [shop(addresses(2))] });
    plane.failNext(new CommitFailed('no', 'netlink: No space left'));
    checks.find('up', ['10.0.0.0']);
    await until(() => plane.stamps.length === 2 && kernel.rings.get(64)?.slots.length === 0);
    await sleep(100);
    expect(health(gateway)).toEqual(['web 10.0.0.0 false NA', 'web 10.0.0.1 false NA']);
    expect((await gateway.status()).warnings.map(({ code }) => code)).toEqual(['VERDICTS_PENDING']);
    await until(() => eligible().length === 1);
    await until(() => health(gateway)[0] === 'web 10.0.0.0 true Up_Probe_Success');
    expect((await gateway.status()).warnings).toEqual([]);
  });

  it('on machines that are gone by the time change nothing', async () => {
    const { gateway, plane, health: checks } = await start();
    await gateway.apply({ putLoadBalancers: [shop(addresses(2))] });
    checks.find('up', ['10.0.0.1']);
    await gateway.apply({ deleteMembers: [{ loadBalancer: 'shop', backendPool: 'vms', ids: ['10.0.0.1'] }] });
    const before = plane.commits.length;
    await sleep(80);
    expect(plane.commits.length).toBe(before);
    expect(health(gateway)).toEqual(['web 10.0.0.0 false NA']);
  });
});

describe('a probe that is new to a rule', () => {
  it('takes nobody out before it has asked: those stay who got flows, and those that come wait', async () => {
    const { gateway, health: checks } = await start();
    const unprobed = shop(addresses(3), { loadBalancingRules: [balancing('web', { probe: '' })] });
    await gateway.apply({ putLoadBalancers: [unprobed] });
    expect(eligible()).toEqual(addresses(3));
    await gateway.apply({ putLoadBalancers: [shop(addresses(4))] });
    expect(eligible()).toEqual(addresses(3));
    expect(health(gateway)).toEqual([
      'web 10.0.0.0 true NA',
      'web 10.0.0.1 true NA',
      'web 10.0.0.2 true NA',
      'web 10.0.0.3 false NA',
    ]);
    checks.find('down', ['10.0.0.1']);
    await until(() => eligible().length === 2);
    await gateway.apply({
      putLoadBalancers: [shop(addresses(4), { loadBalancingRules: [balancing('web', { probe: 'other' })] })],
    });
    expect(eligible()).toEqual(['10.0.0.0', '10.0.0.2']);
  });

  it('is trusted for all who ask it the same from that change on, whoever is declared first', async () => {
    const { gateway } = await start();
    const unprobed = shop(addresses(1), { loadBalancingRules: [balancing('web', { probe: '' })] });
    await gateway.apply({ putLoadBalancers: [unprobed] });
    const second = shop(addresses(1), {
      name: 'mail',
      loadBalancingRules: [balancing('smtp', { frontendPort: 25 })],
    });
    await gateway.apply({ putLoadBalancers: [second, shop(addresses(1))] });
    expect(health(gateway)).toEqual(['smtp 10.0.0.0 true NA', 'web 10.0.0.0 true NA']);
  });

  it('waits where another rule asks the same already, and has no answer yet', async () => {
    const { gateway } = await start();
    const second = shop(addresses(1), {
      name: 'mail',
      loadBalancingRules: [balancing('smtp', { frontendPort: 25 })],
    });
    const unprobed = shop(addresses(1), { loadBalancingRules: [balancing('web', { probe: '' })] });
    await gateway.apply({ putLoadBalancers: [second, unprobed] });
    await gateway.apply({ putLoadBalancers: [shop(addresses(1))] });
    const waiting = ['smtp 10.0.0.0 false NA', 'web 10.0.0.0 false NA'];
    expect(health(gateway)).toEqual(waiting);
    await stop();
    expect(health((await start()).gateway)).toEqual(waiting);
  });
});

describe('a restart', () => {
  it('goes on with what was known, and changes nothing in the kernel', async () => {
    const first = await start();
    await first.gateway.apply({ putLoadBalancers: [shop(addresses(3))] });
    first.health.find('up', addresses(3));
    await until(() => eligible().length === 3);
    first.health.find('down', ['10.0.0.1']);
    await until(() => eligible().length === 2);
    await first.gateway.apply({
      putMembers: [{ loadBalancer: 'shop', backendPool: 'vms', members: [{ address: '10.0.0.9' }] }],
    });
    const before = health(first.gateway);
    await stop();
    const second = await start();
    expect(second.plane.loads).toBe(0);
    expect(second.plane.commits).toEqual([]);
    expect(health(second.gateway)).toEqual(before);
    expect(eligible()).toEqual(['10.0.0.0', '10.0.0.2']);
    expect(
      [...second.health.assigned.values()].map(({ target, known }) => `${target.address} ${known?.state}`),
    ).toEqual(['10.0.0.0 up', '10.0.0.1 down', '10.0.0.2 up', '10.0.0.9 undefined']);
    second.health.find('up', ['10.0.0.1']);
    await until(() => eligible().length === 3);
  });

  it('loads what is stored where verdicts could not be written before the end', async () => {
    const first = await start();
    await first.gateway.apply({ putLoadBalancers: [shop(addresses(2))] });
    first.store.failNext('put', new StoreFailed('disk full', ''));
    first.health.find('up', addresses(2));
    await until(() => eligible().length === 2);
    await stop();
    const second = await start();
    expect(second.plane.loads).toBe(1);
    expect(health(second.gateway)).toEqual(['web 10.0.0.0 false NA', 'web 10.0.0.1 false NA']);
    expect(eligible()).toEqual([]);
  });

  it('knows what could not be written at first, once something else was', async () => {
    const first = await start();
    await first.gateway.apply({ putLoadBalancers: [shop(addresses(2))] });
    first.store.failNext('put', new StoreFailed('disk full', ''));
    first.health.find('up', addresses(2));
    await until(() => eligible().length === 2);
    await first.gateway.apply({ putLoadBalancers: [shop(addresses(3))] });
    await stop();
    const second = await start();
    expect(second.plane.loads).toBe(0);
    expect(eligible()).toEqual(addresses(2));
  });

  it('one revision behind, after a crash, applies the difference to what verdicts have made of it', async () => {
    const first = await start();
    await first.gateway.apply({ putLoadBalancers: [shop(addresses(2))] });
    first.health.find('up', addresses(2));
    await until(() => eligible().length === 2);
    await sleep(50);
    first.plane.failNext(new Error('killed'));
    first.store.failNext('revert', new Error('killed'));
    const other = shop(addresses(3), { loadBalancingRules: [balancing('web', { probe: 'other' })] });
    await expect(first.gateway.apply({ putLoadBalancers: [other] })).rejects.toThrow();
    await running?.store.close();
    running = undefined;
    const second = await start();
    expect([second.plane.loads, second.plane.commits.length]).toEqual([0, 1]);
    expect(eligible()).toEqual(addresses(2));
    expect(health(second.gateway)).toEqual([
      'web 10.0.0.0 true NA',
      'web 10.0.0.1 true NA',
      'web 10.0.0.2 false NA',
    ]);
  });

  it('reads what a version without probes has written', async () => {
    const first = await start();
    const { probes: _, ...unprobed } = shop(addresses(2), {
      loadBalancingRules: [balancing('web', { probe: '' })],
    });
    await first.gateway.apply({ putLoadBalancers: [unprobed] });
    await stop();
    const database = new DatabaseSync(join(directory, 'penstock.db'));
    const row = database.prepare("SELECT value FROM rows WHERE kind = 'load-balancer'").get();
    const written = JSON.parse(String(row?.value), (key, value: unknown) =>
      ['probes', 'probe', 'noHealthyBackends', 'whenUnhealthy'].includes(key) ? undefined : value,
    );
    database.prepare("UPDATE rows SET value = ? WHERE kind = 'load-balancer'").run(JSON.stringify(written));
    database.close();
    const second = await start();
    expect(second.plane.loads).toBe(0);
    const applied = await second.gateway.apply({ putLoadBalancers: [unprobed] });
    expect(applied.revision).toBe(1);
  });
});
