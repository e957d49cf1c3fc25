// What follows from one probe after another: when a machine is up, when down, and when it flaps. Pure.
import type { Outcome, ProbeReason } from './outcome.ts';

/** What is held of a target, as everybody may see it. */
export interface Verdict {
  readonly state: VerdictState;
  readonly reason: ProbeReason;
  /** What the last failed probe met, in words; empty where nothing is wrong. */
  readonly detail: string;
  /** Milliseconds since 1970 when it came to be in this state. */
  readonly since: number;
  /** It went down too often of late, and has to be well for a while before it is up again. Never of one that is up. */
  readonly flapping: boolean;
}

export type VerdictState = 'unknown' | 'up' | 'down';

/** A verdict, and what it takes to change it. Immutable. */
export interface Course {
  readonly verdict: Verdict;
  /** Consecutive outcomes that speak against the verdict. */
  readonly streak: number;
  /** 1 for each time it went down, which fades. */
  readonly penalty: number;
  /** When the penalty was that; milliseconds since 1970. */
  readonly penaltyAt: number;
}

/** Milliseconds between probes, and how many in a row change a verdict. */
export interface Pace {
  readonly interval: number;
  readonly threshold: number;
}

/** In intervals: so long it takes for the penalty to be half of what it was. */
const halfLife = 12;
const heaviestPenalty = 4;
/** From there on a target that goes down flaps ... */
const flappingFrom = 2.5;
/** ... until it is below. From the heaviest, that is 24 intervals. */
const forgivenBelow = 1;

export function unknownVerdict(now: number): Verdict {
  return { state: 'unknown', reason: 'NA', detail: '', since: now, flapping: false };
}

/** A course that goes on from what was held before. */
export function courseFrom(verdict: Verdict, now: number): Course {
  const penalty = verdict.flapping ? heaviestPenalty : 0;
  return { verdict, streak: 0, penalty, penaltyAt: now };
}

/**
 * The course after one more outcome. The first success of an unknown target lets it up at once, the first failure down;
 * afterwards `threshold` outcomes in a row change the verdict, both ways. Who flaps has to wait besides.
 */
export function advance(course: Course, outcome: Outcome, pace: Pace, now: number): Course {
  switch (outcome.kind) {
    case 'success':
      return afterSuccess(course, pace, now);
    case 'failure':
      return afterFailure(course, outcome, pace, now);
    case 'unsent':
      return course;
  }
}

function afterSuccess(course: Course, { interval, threshold }: Pace, now: number): Course {
  const { verdict } = course;
  if (verdict.state === 'up') {
    return { ...course, streak: 0, verdict: same(verdict, { reason: 'Up_Probe_Success', detail: '' }) };
  }
  const streak = course.streak + 1;
  const penalty = faded(course, interval, now);
  const waits = verdict.flapping && penalty >= forgivenBelow;
  if (verdict.state === 'unknown' || (streak >= threshold && !waits)) {
    const up: Verdict = { state: 'up', reason: 'Up_Probe_Success', detail: '', since: now, flapping: false };
    return { verdict: up, streak: 0, penalty, penaltyAt: now };
  }
  return { ...course, streak, verdict: same(verdict, { reason: 'Down_Probe_ApproachingHealthyThreshold' }) };
}

function afterFailure(
  course: Course,
  { reason, detail }: Extract<Outcome, { kind: 'failure' }>,
  { interval, threshold }: Pace,
  now: number,
): Course {
  const { verdict } = course;
  if (verdict.state === 'down') return { ...course, streak: 0, verdict: same(verdict, { reason, detail }) };
  const streak = course.streak + 1;
  if (verdict.state === 'up' && streak < threshold) {
    const approaching = same(verdict, { reason: 'Up_Probe_ApproachingUnhealthyThreshold', detail });
    return { ...course, streak, verdict: approaching };
  }
  const fell = verdict.state === 'up' ? 1 : 0;
  const penalty = Math.min(heaviestPenalty, faded(course, interval, now) + fell);
  const flapping = penalty >= flappingFrom;
  return {
    verdict: { state: 'down', reason, detail, since: now, flapping },
    streak: 0,
    penalty,
    penaltyAt: now,
  };
}

function faded({ penalty, penaltyAt }: Course, interval: number, now: number): number {
  return penalty * 2 ** (-Math.max(0, now - penaltyAt) / (halfLife * interval));
}

/** The verdict itself where that changes nothing. */
function same(verdict: Verdict, change: Partial<Pick<Verdict, 'reason' | 'detail'>>): Verdict {
  const { reason = verdict.reason, detail = verdict.detail } = change;
  return reason === verdict.reason && detail === verdict.detail ? verdict : { ...verdict, reason, detail };
}
