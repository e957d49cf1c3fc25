// Durations as people write them ("4m", "1h30m") and as protobuf JSON does ("240s", "0.5s").

export interface Duration {
  readonly seconds: number;
  readonly nanos: number;
}

const unitNanos: ReadonlyMap<string, bigint> = new Map([
  ['ms', 1_000_000n],
  ['s', 1_000_000_000n],
  ['m', 60_000_000_000n],
  ['h', 3_600_000_000_000n],
]);
const billion = 1_000_000_000n;
// Protobuf's own bound: 10,000 years.
const mostSeconds = 315_576_000_000n;

/** Reads a duration; undefined when the text is none, or is negative or beyond 10,000 years. */
export function parseDuration(text: string): Duration | undefined {
  if (!/^(?:\d+(?:\.\d{1,9})?(?:ms|s|m|h))+$/.test(text)) return undefined;
  let nanos = 0n;
  for (const [, whole = '', fraction = '', unit = ''] of text.matchAll(/(\d+)(?:\.(\d+))?(ms|s|m|h)/g)) {
    const scale = unitNanos.get(unit) ?? billion;
    nanos += BigInt(whole) * scale + (BigInt(fraction.padEnd(9, '0')) * scale) / billion;
  }
  if (nanos / billion > mostSeconds) return undefined;
  return { seconds: Number(nanos / billion), nanos: Number(nanos % billion) };
}

/** The protobuf JSON form: seconds with 0, 3, 6 or 9 digits after the point. */
export function formatDuration(duration: {
  readonly seconds?: number | null;
  readonly nanos?: number | null;
}): string {
  const seconds = duration.seconds ?? 0;
  const nanos = duration.nanos ?? 0;
  const sign = seconds < 0 || nanos < 0 ? '-' : '';
  return `${sign}${Math.abs(seconds)}${formatFraction(Math.abs(nanos))}s`;
}

/** Nanoseconds as a decimal fraction of 0, 3, 6 or 9 digits, with its point. */
export function formatFraction(nanos: number): string {
  if (nanos === 0) return '';
  const digits = String(nanos).padStart(9, '0');
  return `.${digits.replace(/(?:000){1,2}$/, '')}`;
}

/** Milliseconds in a duration. */
export function durationMilliseconds(duration: Duration): number {
  return duration.seconds * 1000 + duration.nanos / 1_000_000;
}
