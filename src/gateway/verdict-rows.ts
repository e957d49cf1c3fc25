// Verdicts as rows of the store: a restart goes on with what was known, so that nobody loses machines by it.
import type { Verdict } from '../health/verdict.ts';
import type { RowChange } from '../store/store.ts';
import type { HealthState } from './health-state.ts';

type Verdicts = HealthState['verdicts'];

/** The rows of some targets; what the store has of them may be older than `before`. */
export function* verdictRows(
  before: Verdicts,
  after: Verdicts,
  keys: Iterable<string>,
): Generator<RowChange> {
  for (const key of keys) {
    yield { kind: 'verdict', key: [key], before: stored(before.get(key)), after: stored(after.get(key)) };
  }
}

/** How often verdicts have changed what the kernel runs. */
export function turnRow(before: number, after: number): RowChange {
  return { kind: 'turn', key: [], before: String(before), after: String(after) };
}

/** True where a restart would not know the difference. */
export function sameStored(one: Verdict | undefined, other: Verdict | undefined): boolean {
  return one?.state === other?.state && one?.flapping === other?.flapping && one?.since === other?.since;
}

function stored(verdict: Verdict | undefined): string | undefined {
  return verdict && JSON.stringify(verdict);
}
