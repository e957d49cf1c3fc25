// Whatever happens in whatever order, a gateway that is restarted and killed at any step is where one that never
// stopped is: in what it declares, in who has which port since when, in who is well, and in what the kernel runs.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { CommitFailed } from '../dataplane/dataplane.ts';
import { FakeDataPlane, FakeKernel } from '../dataplane/fake.ts';
import type { ChangeSetDraft, LimitsDraft, LoadBalancerDraft, MemberDraft } from '../resources/draft.ts';
import { Refusal } from '../resources/refusal.ts';
import { SqliteStore } from '../store/sqlite/store.ts';
import { StoreFailed } from '../store/store.ts';
import { Gateway } from './gateway.ts';
import { runningOf } from './stamps.ts';
import { FailingStore, RememberedChecks, RememberedHost } from './testing/parts.ts';

const logger = pino({ level: 'silent' });

// The periodic check comes when the test says; what else it does is tested beside. Verdicts wait for each other a moment.
beforeAll(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'setTimeout', 'clearTimeout', 'performance'] });
});
afterAll(() => {
  vi.useRealTimers();
});

/** What happens to the gateway that is not spared. */
const mishaps = [
  'none',
  'restart',
  'killed after the journal',
  'killed after the commit',
  'refused by the kernel',
  'refused by the kernel and not taken back at once',
  'answer of the kernel lost',
  'journal not written',
  'addresses not added',
  'kernel emptied and restarted',
] as const;
type Mishap = (typeof mishaps)[number];

type Request =
  | { readonly kind: 'apply'; readonly changes: ChangeSetDraft }
  | { readonly kind: 'replace'; readonly loadBalancers: readonly LoadBalancerDraft[] };

interface Step {
  readonly request: Request;
  readonly mishap: Mishap;
  /** Afterwards, on what probes find these machines to be. */
  readonly found: Found;
}

interface Found {
  readonly up: readonly string[];
  readonly down: readonly string[];
}

/** A gateway with all that outlives it. */
class Site {
  readonly #directory = mkdtempSync(join(tmpdir(), 'penstock-history-'));
  readonly #clock: { now: number };
  readonly #host = new RememberedHost();
  #kernel = new FakeKernel();
  #plane = new FakeDataPlane({ kernel: this.#kernel });
  #store: FailingStore | undefined;
  #gateway: Gateway | undefined;
  #health = new RememberedChecks();
  #timer: NodeJS.Timeout | undefined;

  constructor(clock: { now: number }) {
    this.#clock = clock;
  }

  async start(): Promise<void> {
    this.#store = new FailingStore(new SqliteStore(this.#directory));
    this.#plane = new FakeDataPlane({ kernel: this.#kernel });
    this.#health = new RememberedChecks();
    // The dead look at no clock.
    const timers = vi.spyOn(globalThis, 'setInterval');
    this.#gateway = await Gateway.open({
      store: this.#store,
      dataPlane: this.#plane,
      host: this.#host,
      health: this.#health,
      logger,
      version: 'test',
      now: () => this.#clock.now,
    });
    this.#timer = timers.mock.results.at(-1)?.value;
    timers.mockRestore();
  }

  async restart(): Promise<void> {
    await this.#gateway?.close();
    await this.#store?.close();
    await this.start();
  }

  /** Nothing is closed but the file, whose lock goes with a process that is killed; and the dead do nothing more. */
  async restartKilled(): Promise<void> {
    clearInterval(this.#timer);
    await this.#store?.close();
    await this.start();
  }

  async run(request: Request): Promise<string> {
    const gateway = this.gateway;
    try {
      const { revision, plan } =
        request.kind === 'apply'
          ? await gateway.apply(request.changes, { allowRemap: true })
          : await gateway.replaceAll(request.loadBalancers, { allowRemap: true });
      const { assigned, released, remapped } = plan;
      const lists = {
        assigned: assigned.toSorted(byLoadBalancer),
        released: released.toSorted(byLoadBalancer),
        remapped: remapped.toSorted((one, other) => byLoadBalancer(one.after, other.after)),
      };
      return JSON.stringify({ revision, plan: { ...plan, ...lists, commitTime: 0 } });
    } catch (error) {
      if (error instanceof Refusal) return `refused: ${error.message}`;
      throw error;
    }
  }

  /** The request, with something going wrong on its way; `undefined` where it must be as if it had never come. */
  async suffer({ request, mishap }: Step): Promise<string | undefined> {
    switch (mishap) {
      case 'none':
        return this.run(request);
      case 'restart':
        await this.restart();
        return this.run(request);
      case 'kernel emptied and restarted':
        this.#kernel = new FakeKernel();
        await this.restart();
        return this.run(request);
      case 'killed after the journal':
        this.#plane.failNext(new Error('killed'));
        this.store.failNext('revert', new Error('killed'));
        return this.#lastWords(request);
      case 'killed after the commit':
        this.#loseAnswer();
        this.store.failNext('revert', new Error('killed'));
        return this.#lastWords(request);
      case 'answer of the kernel lost':
        this.#loseAnswer();
        return this.#failed(request);
      case 'refused by the kernel and not taken back at once':
        this.#plane.failNext(new CommitFailed('no', 'netlink: No space left'));
        this.store.failNext('revert', new StoreFailed('disk full', ''));
        return this.#failed(request);
      case 'refused by the kernel':
        this.#plane.failNext(new CommitFailed('no', 'netlink: No space left'));
        return this.#failed(request);
      case 'journal not written':
        this.store.failNext('save', new StoreFailed('disk full', ''));
        return this.#failed(request);
      case 'addresses not added':
        this.#host.failNext('add', new Error('no such device'));
        return this.#failed(request);
    }
  }

  async find({ up, down }: Found): Promise<void> {
    this.#health.find('up', up);
    this.#health.find('down', down, 80);
    await vi.advanceTimersByTimeAsync(40);
    // In turn after the verdicts.
    await this.gateway.apply({}, { validateOnly: true });
  }

  get gateway(): Gateway {
    if (this.#gateway === undefined) throw new Error('not started');
    return this.#gateway;
  }

  get store(): FailingStore {
    if (this.#store === undefined) throw new Error('not started');
    return this.#store;
  }

  /** All that can be asked of it. */
  picture(): unknown {
    const snapshot = this.gateway.snapshot();
    return {
      revision: snapshot.revision,
      configuration: Object.fromEntries(snapshot.configuration),
      mappings: [...snapshot.mappings()].sort(byLoadBalancer),
      ranges: [...snapshot.ranges()].sort(byLoadBalancer),
      health: [...snapshot.memberHealth()].sort(byLoadBalancer),
      addresses: [...this.#host.present].sort(),
      kernel: pictureOf(this.#kernel),
    };
  }

  async end(): Promise<void> {
    await this.#gateway?.close();
    await this.#store?.close();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #loseAnswer(): void {
    const commit = this.#plane.commit.bind(this.#plane);
    this.#plane.commit = async (...change) => {
      this.#plane.commit = commit;
      await commit(...change);
      throw new Error('the answer was lost');
    };
  }

  /** A change that the process does not survive, but the file and the kernel do; or one that it never came to. */
  async #lastWords(request: Request): Promise<string | undefined> {
    const answer = await this.run(request).catch(() => '');
    await this.restartKilled();
    return answer;
  }

  async #failed(request: Request): Promise<string | undefined> {
    const answer = await this.run(request).catch(() => undefined);
    // Where it did not come to the failure (a change of nothing, a refusal), that must not wait for another change.
    if (answer !== undefined) await this.restart();
    // Any request, even one that only looks, first brings back what stands.
    await this.gateway.apply({}, { validateOnly: true });
    return answer;
  }
}

type Part = { readonly loadBalancer: string };

/** Load balancers have no order among themselves. */
function byLoadBalancer(one: Part, other: Part): number {
  return one.loadBalancer < other.loadBalancer ? -1 : Number(one.loadBalancer > other.loadBalancer);
}

function pictureOf(kernel: FakeKernel): unknown {
  return {
    revision: kernel.stamp && runningOf(kernel.stamp.revision),
    entries: Object.fromEntries(kernel.entries),
    rings: [...kernel.rings].sort(([one], [other]) => one - other),
    limits: [...kernel.limits].sort(([one], [other]) => one - other),
    outbound: Object.fromEntries(kernel.outbound),
    backends: [...kernel.backends].sort(),
    localAddresses: [...kernel.localAddresses].sort(),
  };
}

const names = fc.constantFrom('a', 'b', 'c');
const pools = ['p', 'q'] as const;
const pool = fc.constantFrom(...pools);
const ids = fc.constantFrom('m1', 'm2', 'm3', 'm4', 'm5', 'm6', 'm7', 'm8');

const member: fc.Arbitrary<MemberDraft> = fc.record({
  id: ids,
  weight: fc.constantFrom(1, 2),
  adminState: fc.constantFrom(0, 3, 4),
});

/** In any order, each id once, with an address that may move between two. */
const members = fc
  .tuple(fc.uniqueArray(member, { selector: ({ id }) => id, maxLength: 8 }), fc.constantFrom(0, 0, 0, 100))
  .map(([list, shift]) =>
    list.map((one) => ({ ...one, address: `10.0.0.${Number(one.id?.slice(1)) + shift}` })),
  );

/** Ranges and ports are each load balancer's own, so that most changes go through. */
const bases = { a: 1000, b: 2000, c: 3000 } as const;

const limits: fc.Arbitrary<LimitsDraft> = fc.constantFrom(
  {},
  {},
  { concurrentFlows: 5 },
  { allowedClients: ['198.51.100.0/24'] },
  { allowedClients: ['198.51.0.0/16'], newFlowsPerSecond: 3 },
);

const loadBalancer: fc.Arbitrary<LoadBalancerDraft> = fc
  .record({
    name: names,
    ownership: fc.constantFrom(0, 0, 2),
    address: fc.constantFrom('203.0.113.1', '203.0.113.2'),
    members: fc.tuple(members, members),
    natPools: fc.uniqueArray(pool),
    balancedPools: fc.uniqueArray(pool),
    probe: fc.constantFrom('', 'p', 'q'),
    probePath: fc.constantFrom('/', '/', '/other'),
    way: fc.constantFrom(1, 2),
    size: fc.constantFrom(8, 9),
    portsPerMember: fc.constantFrom(1, 1, 2),
    single: fc.constantFrom('none', 'empty', 'address', '203.0.113.9'),
    protocol: fc.constantFrom(1, 3),
    outboundPorts: fc.constantFrom(0, 8, 16),
    natLimits: limits,
    balancedLimits: limits,
    drainPeriods: fc.tuple(fc.constantFrom(0, 1, 3), fc.constantFrom(0, 2)),
    flow: fc.constantFrom({}, { idleTimeout: { seconds: 60 } }, { tcpReset: true }),
  })
  .map((wish) => {
    const base = bases[wish.name];
    const common = { frontend: 'public', protocol: wish.protocol };
    const rule = { ...common, limits: wish.natLimits };
    return {
      name: wish.name,
      frontends: [{ name: 'public', address: wish.address, addressOwnership: wish.ownership }],
      backendPools: pools.map((name, index) => ({ name, members: wish.members[index] ?? [] })),
      inboundNatRules: [
        ...wish.natPools.map((name, index) => ({
          ...rule,
          name: `nat-${name}`,
          backendPort: 443,
          pool: {
            backendPool: name,
            frontendPortRangeStart: base + index * 100,
            maximumMachines: wish.size,
            portsPerMember: wish.portsPerMember,
          },
        })),
        ...(wish.single === 'none'
          ? []
          : [
              {
                ...rule,
                name: 'single',
                backendPort: 22,
                flow: wish.flow,
                single: {
                  frontendPort: base + 999,
                  ...(wish.single === 'empty' ? {} : { address: '10.9.9.9' }),
                },
              },
            ]),
      ],
      probes: [
        { name: 'p', protocol: 1, port: 80 },
        { name: 'q', protocol: 2, port: 81, path: wish.probePath },
      ],
      loadBalancingRules: wish.balancedPools.map((name, index) => ({
        ...common,
        limits: wish.balancedLimits,
        name: `lb-${name}`,
        frontendPort: base + 500 + index,
        backendPort: 80,
        backendPool: name,
        // Each pool has rules with a probe and without, in the course of time.
        probe: index === 0 ? wish.probe : '',
        noHealthyBackends: index === 0 && wish.probe !== '' ? wish.way : 0,
        flow: wish.flow,
        ...(wish.drainPeriods[index] ? { drainPeriod: { seconds: wish.drainPeriods[index] } } : {}),
      })),
      // Of one load balancer only: a machine has one outbound rule, and the others have the same machines.
      outboundRules:
        wish.name === 'a' && wish.outboundPorts > 0
          ? [
              {
                name: 'out',
                frontends: ['public'],
                protocol: wish.protocol,
                backendPool: 'p',
                portsPerMember: wish.outboundPorts,
              },
            ]
          : [],
    };
  });

const request: fc.Arbitrary<Request> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc
      .uniqueArray(loadBalancer, { selector: ({ name }) => name, minLength: 1, maxLength: 3 })
      .map((putLoadBalancers) => ({ kind: 'apply' as const, changes: { putLoadBalancers } })),
  },
  {
    weight: 2,
    arbitrary: fc
      .record({ loadBalancer: names, backendPool: pool, members })
      .map((put) => ({ kind: 'apply' as const, changes: { putMembers: [put] } })),
  },
  {
    weight: 2,
    arbitrary: fc
      .record({
        loadBalancer: names,
        backendPool: pool,
        ids: fc.uniqueArray(ids, { minLength: 1, maxLength: 2 }),
      })
      .map((gone) => ({ kind: 'apply' as const, changes: { deleteMembers: [gone] } })),
  },
  {
    weight: 1,
    arbitrary: names.map((name) => ({ kind: 'apply' as const, changes: { deleteLoadBalancers: [name] } })),
  },
  {
    weight: 1,
    arbitrary: fc
      .uniqueArray(loadBalancer, { selector: ({ name }) => name, maxLength: 3 })
      .map((loadBalancers) => ({ kind: 'replace' as const, loadBalancers })),
  },
);

const someMachines = fc.subarray(
  Array.from({ length: 8 }, (_, index) => [`10.0.0.${index + 1}`, `10.0.0.${index + 101}`]).flat(),
);
const found: fc.Arbitrary<Found> = fc.record({ up: someMachines, down: someMachines });

const steps = fc.array(fc.record({ request, mishap: fc.constantFrom(...mishaps), found }), {
  minLength: 4,
  maxLength: 14,
});

describe('a gateway that is restarted, killed and let down', () => {
  it('is where one that never stopped is', { timeout: 120_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (history) => {
        const clock = { now: 0 };
        const [hardened, spared] = [new Site(clock), new Site(clock)];
        try {
          await hardened.start();
          await spared.start();
          for (const step of [
            ...history,
            { request: nothing, mishap: 'restart' as const, found: { up: [], down: [] } },
          ]) {
            const answer = await hardened.suffer(step);
            const expected = answer === undefined ? undefined : await spared.run(step.request);
            if (answer) expect(answer).toBe(expected);
            expect(hardened.picture()).toEqual(spared.picture());
            // Drains end by the clock, which stands still until all have looked at it.
            await vi.advanceTimersByTimeAsync(1_000);
            for (const site of [hardened, spared]) await site.gateway.apply({}, { validateOnly: true });
            expect(hardened.picture()).toEqual(spared.picture());
            for (const site of [hardened, spared]) await site.find(step.found);
            expect(hardened.picture()).toEqual(spared.picture());
            clock.now += 1_000;
          }
        } finally {
          await hardened.end();
          await spared.end();
        }
      }),
      // A failure is told before the test's time is over, however small it could still be made.
      { numRuns: 25, interruptAfterTimeLimit: 90_000, markInterruptAsFailure: true },
    );
  });
});

const nothing: Request = { kind: 'replace', loadBalancers: [] };
