// Members that drain, on a clock of the test's own: when their flows end, what is told of it, and what a restart makes of it.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { CommitFailed } from '../dataplane/dataplane.ts';
import { FakeDataPlane, FakeKernel } from '../dataplane/fake.ts';
import type { LoadBalancerDraft, LoadBalancingRuleDraft } from '../resources/draft.ts';
import { SqliteStore } from '../store/sqlite/store.ts';
import { StoreFailed } from '../store/store.ts';
import { Gateway } from './gateway.ts';
import { FailingStore, RememberedHost } from './testing/parts.ts';

const [none, drain] = [1, 4];
const begun = 1_700_000_000_000;

const balancing = (name: string, frontendPort: number, seconds?: number): LoadBalancingRuleDraft => ({
  name,
  frontend: 'public',
  protocol: 3,
  frontendPort,
  backendPort: 80,
  backendPool: 'vms',
  ...(seconds !== undefined && { drainPeriod: { seconds } }),
});

/** Rules whose members drain for 10 s, for a minute, and as long as flows last. */
function shop(states: Readonly<Record<string, number>>): LoadBalancerDraft {
  return {
    name: 'shop',
    frontends: [{ name: 'public', address: '203.0.113.1' }],
    backendPools: [
      {
        name: 'vms',
        members: ['a', 'b', 'c'].map((id, index) => ({
          id,
          address: `10.0.0.${index + 1}`,
          adminState: states[id] ?? none,
        })),
      },
    ],
    loadBalancingRules: [balancing('short', 80, 10), balancing('long', 81, 60), balancing('ever', 82)],
  };
}

let directory: string;
let kernel: FakeKernel;
let running: { gateway: Gateway; plane: FakeDataPlane; store: FailingStore } | undefined;

beforeEach(() => {
  vi.useFakeTimers({ now: begun, toFake: ['Date', 'setInterval', 'clearInterval'] });
  directory = mkdtempSync(join(tmpdir(), 'penstock-drains-'));
  kernel = new FakeKernel();
});

afterEach(async () => {
  await stop();
  vi.useRealTimers();
  rmSync(directory, { recursive: true, force: true });
});

async function start() {
  const store = new FailingStore(new SqliteStore(directory));
  const plane = new FakeDataPlane({ kernel });
  const host = new RememberedHost();
  const logger = pino({ level: 'silent' });
  const gateway = await Gateway.open({ store, dataPlane: plane, host, logger, version: 'test' });
  running = { gateway, plane, store };
  return running;
}

async function stop(): Promise<void> {
  await running?.gateway.close();
  await running?.store.close();
  running = undefined;
}

/** So much time passes; each second the gateway looks at its clock. */
async function pass(seconds: number): Promise<void> {
  for (let second = 0; second < seconds; second += 1) {
    await vi.advanceTimersByTimeAsync(1_000);
    // In turn after what the second has brought.
    await running?.gateway.apply({}, { validateOnly: true });
  }
}

/** Members that keep flows, by the port of the rule. */
function keepers(port: number): readonly string[] {
  const entry = kernel.entries.get(`203.0.113.1/tcp/${port}`);
  const ring = entry?.target.kind === 'balanced' ? kernel.rings.get(entry.target.ring) : undefined;
  return ring?.members.flatMap(({ id, drained }) => (drained ? [] : [id])) ?? [];
}

const everybody = ['a', 'b', 'c'];

describe('a member that drains', () => {
  it('keeps its flows until the period of the rule has passed, and loses them with an RST then', async () => {
    const { gateway, plane } = await start();
    await gateway.apply({ putLoadBalancers: [shop({})] });
    await gateway.apply({ putLoadBalancers: [shop({ b: drain })] });
    expect([80, 81, 82].map(keepers)).toEqual([everybody, everybody, everybody]);
    expect(plane.ended).toEqual([]);
    await pass(9);
    expect(keepers(80)).toEqual(everybody);
    await pass(1);
    expect([80, 81, 82].map(keepers)).toEqual([['a', 'c'], everybody, everybody]);
    const flows = { kind: 'ring-member', backend: '10.0.0.2', udpOnly: false, reset: true };
    expect(plane.ended).toEqual([expect.objectContaining(flows)]);
    await pass(60);
    expect([80, 81, 82].map(keepers)).toEqual([['a', 'c'], ['a', 'c'], everybody]);
    expect(plane.ended).toEqual([expect.objectContaining(flows), expect.objectContaining(flows)]);
  });

  it('that is set to something else keeps them, and begins anew the next time', async () => {
    const { gateway, plane } = await start();
    await gateway.apply({ putLoadBalancers: [shop({ b: drain })] });
    await pass(8);
    await gateway.apply({ putLoadBalancers: [shop({})] });
    await pass(8);
    await gateway.apply({ putLoadBalancers: [shop({ b: drain })] });
    await pass(8);
    expect(keepers(80)).toEqual(everybody);
    expect(plane.ended).toEqual([]);
    await pass(2);
    expect(keepers(80)).toEqual(['a', 'c']);
    await gateway.apply({ putLoadBalancers: [shop({})] });
    expect(keepers(80)).toEqual(everybody);
  });

  it('goes on draining when others come, go and change', async () => {
    const { gateway } = await start();
    await gateway.apply({ putLoadBalancers: [shop({ b: drain })] });
    await pass(6);
    await gateway.apply({ putLoadBalancers: [shop({ b: drain, c: drain })] });
    await pass(4);
    expect(keepers(80)).toEqual(['a', 'c']);
    await pass(6);
    expect(keepers(80)).toEqual(['a']);
  });

  it('is told of, with when its flows end, for rules that are not probed as well', async () => {
    const { gateway } = await start();
    await gateway.apply({ putLoadBalancers: [shop({ b: drain })] });
    const told = () =>
      [...gateway.snapshot().memberHealth()].map(({ rule, member, reason, drainEnds }) => [
        rule,
        member,
        reason,
        (drainEnds ?? 0) - begun,
      ]);
    const expected = [
      ['short', 'b', 'Down_Admin', 10_000],
      ['long', 'b', 'Down_Admin', 60_000],
    ];
    expect(told()).toEqual(expected);
    await pass(30);
    expect(told()).toEqual(expected);
  });

  it('drains by the period that the rule has now', async () => {
    const { gateway, plane } = await start();
    await gateway.apply({ putLoadBalancers: [shop({ b: drain })] });
    await pass(5);
    const longer = { ...shop({ b: drain }), loadBalancingRules: [balancing('short', 80, 20)] };
    await gateway.apply({ putLoadBalancers: [longer] });
    expect(plane.ended.filter(({ kind }) => kind === 'ring-member')).toEqual([]);
    await pass(10);
    expect(keepers(80)).toEqual(everybody);
    await pass(5);
    expect(keepers(80)).toEqual(['a', 'c']);
  });
});

describe('a drain outlives', () => {
  it('a restart, with the period that was left of it', async () => {
    await (await start()).gateway.apply({ putLoadBalancers: [shop({ b: drain })] });
    await pass(6);
    await stop();
    vi.setSystemTime(begun + 9_000);
    await start();
    expect(running?.plane.loads).toBe(0);
    expect(keepers(80)).toEqual(everybody);
    await pass(1);
    expect(keepers(80)).toEqual(['a', 'c']);
  });

  it('a restart after its end, while nobody was there', async () => {
    await (await start()).gateway.apply({ putLoadBalancers: [shop({ b: drain })] });
    await stop();
    vi.setSystemTime(begun + 3_600_000);
    await start();
    await pass(1);
    expect(keepers(80)).toEqual(['a', 'c']);
    expect(running?.plane.ended).toHaveLength(2);
  });

  it('a restart after its end, which is not ended twice', async () => {
    await (await start()).gateway.apply({ putLoadBalancers: [shop({ b: drain })] });
    await pass(11);
    await stop();
    await start();
    await pass(2);
    expect(keepers(80)).toEqual(['a', 'c']);
    expect(running?.plane.loads).toBe(0);
    expect(running?.plane.ended).toEqual([]);
  });

  it('a start with a store that does not know since when: from then on', async () => {
    const { gateway, store } = await start();
    const [short, long, ever] = shop({ b: drain }).loadBalancingRules ?? [];
    const undated = { ...shop({ b: drain }), loadBalancingRules: [ever ?? {}] };
    await gateway.apply({ putLoadBalancers: [undated] });
    // As earlier versions have left it.
    await store.put([{ kind: 'drain', key: ['shop', 'vms', 'b'], before: '', after: undefined }]);
    await stop();
    vi.setSystemTime(begun + 5_000);
    await start();
    await running?.gateway.apply({
      putLoadBalancers: [{ ...undated, loadBalancingRules: [short ?? {}, long ?? {}, ever ?? {}] }],
    });
    await pass(9);
    expect(keepers(80)).toEqual(everybody);
    await stop();
    await start();
    expect(running?.plane.loads).toBe(0);
    await pass(1);
    expect([80, 81, 82].map(keepers)).toEqual([['a', 'c'], everybody, everybody]);
  });

  it('a kernel that refuses for a while', async () => {
    const { gateway, plane } = await start();
    await gateway.apply({ putLoadBalancers: [shop({ b: drain })] });
    await pass(9);
    plane.failNext(new CommitFailed('no', 'netlink: No space left'));
    await pass(1);
    expect(keepers(80)).toEqual(everybody);
    expect((await gateway.status()).warnings.map(({ code }) => code)).toContain('CHECK_FAILED');
    await pass(1);
    expect(keepers(80)).toEqual(['a', 'c']);
    expect((await gateway.status()).warnings).toEqual([]);
  });

  it('a disk that is full at its end: what could not be stored is stored with the next change', async () => {
    const { gateway, store } = await start();
    await gateway.apply({ putLoadBalancers: [shop({ b: drain })] });
    await pass(9);
    store.failNext('put', new StoreFailed('disk full', ''));
    await pass(1);
    expect(keepers(80)).toEqual(['a', 'c']);
    await gateway.apply({ putLoadBalancers: [shop({ c: drain })] });
    await stop();
    await start();
    expect(running?.plane.loads).toBe(0);
    expect(keepers(80)).toEqual(everybody);
    await pass(10);
    expect(keepers(80)).toEqual(['a', 'b']);
  });

  it('a disk that is full at its end, and a restart: it ends once more', async () => {
    const { gateway, store } = await start();
    await gateway.apply({ putLoadBalancers: [shop({ b: drain })] });
    await pass(9);
    store.failNext('put', new StoreFailed('disk full', ''));
    await pass(1);
    await stop();
    await start();
    await pass(1);
    expect(keepers(80)).toEqual(['a', 'c']);
  });
});
