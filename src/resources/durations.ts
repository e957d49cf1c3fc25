// Durations of the API: seconds and nanoseconds, as in protobuf.
import type { DurationDraft } from './draft.ts';
import type { Field } from './field.ts';
import type { Report } from './report.ts';

export interface DurationBounds {
  readonly what: string;
  /** Milliseconds, inclusive. */
  readonly first: number;
  readonly last: number;
  /** What it is where nothing is said. */
  readonly unset: number;
}

/** Whole milliseconds; parts of one are cut off. Undefined, and reported, where the duration is out of bounds. */
export function parseDuration(
  draft: DurationDraft | undefined,
  { what, first, last, unset }: DurationBounds,
  field: Field,
  report: Report,
): number | undefined {
  if (draft === undefined) return unset;
  const { seconds = 0, nanos = 0 } = draft;
  const milliseconds = seconds * 1_000 + Math.floor(nanos / 1_000_000);
  const isWhole = Number.isInteger(seconds) && Number.isInteger(nanos) && Math.abs(nanos) < 1_000_000_000;
  if (isWhole && milliseconds >= first && milliseconds <= last) return milliseconds;
  const said = `${what} ${seconds + nanos / 1_000_000_000} s`;
  report(field, 'VALUE_OUT_OF_RANGE', `${said}: must be ${first / 1_000} s to ${last / 1_000} s`);
  return undefined;
}
