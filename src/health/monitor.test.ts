// The monitor on a simulated clock, with probes that do what the test says.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { parseAddress } from '../resources/address.ts';
import type { Attempts } from './attempt.ts';
import { type Assigned, Monitor, type MonitorReport } from './monitor.ts';
import { type Outcome, success } from './outcome.ts';
import { type ProbeTarget, targetKey } from './target.ts';
import type { Verdict } from './verdict.ts';

beforeEach(() => {
  vi.useFakeTimers({
    toFake: [
      'setTimeout',
      'clearTimeout',
      'setInterval',
      'clearInterval',
      'setImmediate',
      'clearImmediate',
      'Date',
      'performance',
    ],
  });
});
afterEach(() => {
  vi.useRealTimers();
});

interface Begun {
  readonly at: number;
  readonly target: ProbeTarget;
  readonly settle: (outcome: Outcome) => void;
  aborted: boolean;
}

/** Machines that answer at once, unless a test makes them otherwise. */
class World {
  readonly begun: Begun[] = [];
  readonly told = new Map<string, Verdict>();
  readonly reports: MonitorReport[] = [];
  changes = 0;
  /** What a machine does: an outcome after so many milliseconds; undefined: silence. */
  answer: (target: ProbeTarget) => { readonly outcome: Outcome; readonly after: number } | undefined =
    () => ({
      outcome: success,
      after: 5,
    });
  readonly #attempts: Attempts = (target, settle) => {
    const begun: Begun = { at: performance.now(), target, settle, aborted: false };
    this.begun.push(begun);
    const answer = this.answer(target);
    if (answer !== undefined) {
      setTimeout(() => {
        if (!begun.aborted) settle(answer.outcome);
      }, answer.after);
    }
    return { lacks: 'no connection', abort: () => (begun.aborted = true) };
  };
  readonly monitor = new Monitor({
    attempts: this.#attempts,
    changed: (changes) => {
      this.changes += changes.length;
      for (const [key, verdict] of changes) this.told.set(key, verdict);
    },
    report: (report) => this.reports.push(report),
  });

  get underWay(): number {
    return this.begun.filter(({ aborted }) => !aborted).length;
  }
}

function assigned(host: number, over: Partial<ProbeTarget> = {}, known?: Verdict): Assigned {
  const address = parseAddress(`10.0.${host >> 8}.${host & 255}`);
  if (address === undefined) throw new Error('no address');
  const target: ProbeTarget = {
    address,
    protocol: 'tcp',
    port: 80,
    path: '',
    interval: 5_000,
    timeout: 2_000,
    threshold: 2,
    verifyCertificate: false,
    ...over,
  };
  return { key: targetKey(target, target), target, known };
}

const up: Verdict = { state: 'up', reason: 'Up_Probe_Success', detail: '', since: 0, flapping: false };

describe('a monitor', () => {
  test('probes what is new within a second, and then once each interval', async () => {
    const world = new World();
    const all = Array.from({ length: 500 }, (_, host) => assigned(host));
    world.monitor.assign({ removed: [], added: all });
    await vi.advanceTimersByTimeAsync(1_100);
    expect(new Set(world.begun.map(({ target }) => target.address)).size).toBe(500);
    expect(world.told.size).toBe(500);
    expect([...world.told.values()].every(({ state }) => state === 'up')).toBe(true);
    // From its first turn on, each is in its place.
    await vi.advanceTimersByTimeAsync(5_000);
    const before = world.begun.length;
    await vi.advanceTimersByTimeAsync(50_000);
    expect(world.begun.length - before).toBe(500 * 10);
    expect(world.changes).toBe(500);
    world.monitor.close();
  });

  test('never has all of them probed at once', async () => {
    const world = new World();
    const known = Array.from({ length: 5_000 }, (_, host) => assigned(host, {}, up));
    world.monitor.assign({ removed: [], added: known });
    await vi.advanceTimersByTimeAsync(5_100);
    const perTick = new Map<number, number>();
    for (const { at } of world.begun) perTick.set(at, (perTick.get(at) ?? 0) + 1);
    expect(world.begun.length).toBeGreaterThanOrEqual(5_000);
    expect(Math.max(...perTick.values())).toBeLessThan(60);
    world.monitor.close();
  });

  test('takes silence for a failure when the timeout is over, and gives up the attempt', async () => {
    const world = new World();
    const { key, target } = assigned(1, { timeout: 700 });
    world.answer = () => undefined;
    world.monitor.assign({ removed: [], added: [{ key, target, known: up }] });
    await vi.advanceTimersByTimeAsync(5_800);
    expect(world.told.get(key)).toMatchObject({
      state: 'up',
      reason: 'Up_Probe_ApproachingUnhealthyThreshold',
      detail: 'no connection within 0.7 s',
    });
    expect(world.begun[0]?.aborted).toBe(true);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(world.told.get(key)).toMatchObject({ state: 'down', reason: 'Down_Probe_TcpProbeTimeout' });
    world.monitor.close();
  });

  test('keeps the pace where a timeout is as long as the interval', async () => {
    const world = new World();
    world.answer = () => undefined;
    world.monitor.assign({ removed: [], added: [assigned(1, { interval: 1_000, timeout: 1_000 }, up)] });
    await vi.advanceTimersByTimeAsync(20_500);
    expect(world.begun.length).toBeGreaterThanOrEqual(19);
    expect(world.underWay).toBeLessThanOrEqual(1);
    world.monitor.close();
  });

  test('does not blame machines for the time in which it could do nothing itself', async () => {
    const world = new World();
    const { key, target } = assigned(1, { timeout: 500, threshold: 1 });
    world.answer = () => ({ outcome: success, after: 3_000 });
    world.monitor.assign({ removed: [], added: [{ key, target, known: up }] });
    while (world.begun.length === 0) await vi.advanceTimersByTimeAsync(20);
    // Time passes, and nothing runs: the answer and the timeout are both late.
    const now = performance.now.bind(performance);
    const held = vi.spyOn(performance, 'now').mockImplementation(() => now() + 2_900);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(world.begun[0]?.aborted).toBe(false);
    world.begun[0]?.settle(success);
    await vi.advanceTimersByTimeAsync(600);
    expect(world.told.get(key)).toBeUndefined();
    held.mockRestore();
    world.monitor.close();
  });

  test('forgets what is not to be probed any more, also while it is being probed', async () => {
    const world = new World();
    const { key, target } = assigned(1);
    world.answer = () => ({ outcome: success, after: 1_000 });
    world.monitor.assign({ removed: [], added: [{ key, target }] });
    while (world.begun.length === 0) await vi.advanceTimersByTimeAsync(20);
    world.monitor.assign({ removed: [key], added: [] });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(world.begun).toHaveLength(1);
    expect(world.begun[0]?.aborted).toBe(true);
    expect(world.told.size).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('tells when probes cannot be sent, and changes no verdict for that', async () => {
    const world = new World();
    const { key, target } = assigned(1, { threshold: 1 });
    world.answer = () => ({ outcome: { kind: 'unsent', detail: 'EMFILE: too many open files' }, after: 1 });
    world.monitor.assign({ removed: [], added: [{ key, target, known: up }] });
    await vi.advanceTimersByTimeAsync(20_000);
    expect(world.told.size).toBe(0);
    expect(world.reports.some(({ unsent, trouble }) => unsent > 0 && trouble.includes('EMFILE'))).toBe(true);
    world.monitor.close();
  });
});
