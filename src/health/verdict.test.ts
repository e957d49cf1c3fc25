import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Outcome } from './outcome.ts';
import { success } from './outcome.ts';
import { advance, type Course, courseFrom, type Pace, unknownVerdict } from './verdict.ts';

const start = 1_700_000_000_000;
const pace: Pace = { interval: 5_000, threshold: 3 };
const failure: Outcome = {
  kind: 'failure',
  reason: 'Down_Probe_HttpStatusCodeError',
  detail: 'status 503',
};

/** A target from its first probe on, one outcome each interval: `+` success, `-` failure, `?` unsent. */
function course(outcomes: string, over: Partial<Pace> = {}, from?: Course): Course {
  const { interval, threshold } = { ...pace, ...over };
  let now = from === undefined ? start : from.penaltyAt;
  let state = from ?? courseFrom(unknownVerdict(start), start);
  for (const sign of outcomes) {
    now += interval;
    const outcome: Outcome =
      sign === '+' ? success : sign === '-' ? failure : { kind: 'unsent', detail: 'EMFILE' };
    state = advance(state, outcome, { interval, threshold }, now);
  }
  return state;
}

const verdict = (outcomes: string, over?: Partial<Pace>) => course(outcomes, over).verdict;
const state = (outcomes: string, over?: Partial<Pace>) => verdict(outcomes, over).state;

describe('a target', () => {
  test('is unknown before its first answer', () => {
    expect(verdict('')).toEqual({
      state: 'unknown',
      reason: 'NA',
      detail: '',
      since: start,
      flapping: false,
    });
  });

  test('is up after the first success, however high the threshold', () => {
    expect(verdict('+')).toMatchObject({ state: 'up', reason: 'Up_Probe_Success', since: start + 5_000 });
  });

  test('is down after the first failure, and then needs as many successes as the threshold says', () => {
    expect(verdict('-')).toMatchObject({
      state: 'down',
      reason: 'Down_Probe_HttpStatusCodeError',
      detail: 'status 503',
    });
    expect(verdict('-++')).toMatchObject({
      state: 'down',
      reason: 'Down_Probe_ApproachingHealthyThreshold',
      detail: 'status 503',
    });
    expect(verdict('-+++')).toMatchObject({ state: 'up', reason: 'Up_Probe_Success', detail: '' });
  });

  test('goes down after as many failures as the threshold says, in a row', () => {
    expect(verdict('+--')).toMatchObject({
      state: 'up',
      reason: 'Up_Probe_ApproachingUnhealthyThreshold',
      detail: 'status 503',
    });
    expect(verdict('+--+')).toMatchObject({ state: 'up', reason: 'Up_Probe_Success', detail: '' });
    expect(state('+--+--')).toBe('up');
    expect(verdict('+---')).toMatchObject({ state: 'down', since: start + 4 * 5_000 });
    expect(state('+---++-+++')).toBe('up');
  });

  test('is not judged by probes that could not be sent', () => {
    expect(course('+--??')).toEqual(course('+--'));
    expect(state('+--??-')).toBe('down');
  });

  test('goes on from what was held before', () => {
    const known = courseFrom(verdict('+'), start);
    expect(course('--', {}, known).verdict.state).toBe('up');
    expect(course('---', {}, known).verdict.state).toBe('down');
  });

  test('tells nothing new as long as nothing is', () => {
    const steady = course('+');
    expect(course('+++', {}, steady).verdict).toBe(steady.verdict);
  });
});

describe('a target that flaps', () => {
  test('stays down from the third time on until it has been well for a while, and says so', () => {
    const once = { threshold: 1 };
    expect(verdict('+-+-+', once)).toMatchObject({ state: 'up', flapping: false });
    expect(verdict('+-+-+-', once)).toMatchObject({ state: 'down', flapping: true });
    expect(verdict('+-+-+-+++', once)).toMatchObject({
      state: 'down',
      flapping: true,
      reason: 'Down_Probe_ApproachingHealthyThreshold',
    });
    expect(state(`+-+-+-${'+'.repeat(16)}`, once)).toBe('down');
    expect(verdict(`+-+-+-${'+'.repeat(18)}`, once)).toMatchObject({ state: 'up', flapping: false });
  });

  test('waits at most 24 intervals, however often it went down', () => {
    const long = '+-'.repeat(500);
    expect(state(long + '+'.repeat(24 + 1), { threshold: 1 })).toBe('up');
  });

  test('is forgotten after a quiet time', () => {
    expect(state(`+-+-${'+'.repeat(30)}-+`, { threshold: 1 })).toBe('up');
  });
});

test('whatever happens: up needs a success, down a failure, and a state changes only after enough of them', () => {
  const outcomes = fc.string({ unit: fc.constantFrom('+', '-', '?'), maxLength: 80 });
  fc.assert(
    fc.property(outcomes, fc.integer({ min: 1, max: 5 }), (signs, threshold) => {
      let before = course('', { threshold });
      for (let length = 1; length <= signs.length; length += 1) {
        const now = course(signs.slice(0, length), { threshold });
        const [was, is] = [before.verdict, now.verdict];
        const heard = signs.slice(0, length).replaceAll('?', '');
        expect(is.reason.startsWith('Up_')).toBe(is.state === 'up');
        expect(is.state === 'unknown').toBe(heard === '');
        if (is.flapping) expect(is.state).toBe('down');
        if (was.state !== is.state) expect(is.since).toBe(start + length * 5_000);
        else expect(is.since).toBe(was.since);
        const needed = was.state === 'unknown' ? 1 : threshold;
        if (was.state !== is.state) {
          expect(heard.slice(-needed)).toBe((is.state === 'up' ? '+' : '-').repeat(needed));
        }
        before = now;
      }
    }),
  );
});
