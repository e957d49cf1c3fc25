// Outcomes of requests in short words, so that a failed expectation shows who answered whom.
import type { Answer, Outcome } from '../../lab/traffic/message.ts';

/** The machine, and the port that it was reached on; why there was none. */
export function reached(outcomes: readonly Outcome[]): readonly string[] {
  return outcomes.map((outcome) =>
    'answer' in outcome ? `${outcome.answer.machine}:${outcome.answer.port}` : `lost (${outcome.lost})`,
  );
}

export function machines(outcomes: readonly Outcome[]): readonly string[] {
  return outcomes.map((outcome) => ('answer' in outcome ? outcome.answer.machine : `lost (${outcome.lost})`));
}

/** Whom the machines saw, without repeats. */
export function clientsSeen(outcomes: readonly Outcome[]): readonly string[] {
  return [...new Set(answersIn(outcomes).map(({ client }) => client))];
}

export function answersIn(outcomes: readonly Outcome[]): readonly Answer[] {
  return outcomes.flatMap((outcome) => ('answer' in outcome ? [outcome.answer] : []));
}

export function isLost(outcome: Outcome | undefined): boolean {
  return outcome !== undefined && 'lost' in outcome;
}

/** How often each value occurs. */
export function tally(values: readonly string[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const value of values) counts[value] = (counts[value] ?? 0) + 1;
  return counts;
}
