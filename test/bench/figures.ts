// What a bench brings back: figures with their targets, and the statistics that condense samples into them.

export interface Figure {
  readonly name: string;
  readonly value: number;
  /** Such as `ms`, `ns`, `MB`; empty for ratios and counts. */
  readonly unit: string;
  readonly target?: Target;
  /** How the value came about: spread, number of samples. */
  readonly note?: string;
}

/** A figure is met when its value is not above `atMost`. */
export interface Target {
  readonly atMost: number;
  /** Says where the limit comes from when it is not a constant. */
  readonly meaning?: string;
}

export function figure(name: string, value: number, unit: string, more: Partial<Figure> = {}): Figure {
  return { name, value, unit, ...more };
}

/** Undefined where there is no target. */
export function isMet({ value, target }: Figure): boolean | undefined {
  return target === undefined ? undefined : value <= target.atMost;
}

/** NaN of no values. */
export function median(values: readonly number[]): number {
  return percentile(values, 50);
}

/** Linear between neighbours, so that the median of two is their middle. NaN of no values. */
export function percentile(values: readonly number[], percent: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const place = ((sorted.length - 1) * percent) / 100;
  const below = sorted[Math.floor(place)] ?? Number.NaN;
  const above = sorted[Math.ceil(place)] ?? Number.NaN;
  return below + (above - below) * (place % 1);
}

/** For a figure's note: `p10 2.9, p99 7.1, 200 samples`. */
export function spread(values: readonly number[]): string {
  const at = (percent: number): string => shown(percentile(values, percent));
  return `p10 ${at(10)}, p99 ${at(99)}, ${values.length} samples`;
}

/** Three digits that count, but never less than the whole part. */
export function shown(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  return Math.abs(value) >= 100 || Number.isInteger(value)
    ? Math.round(value).toLocaleString('en')
    : value.toPrecision(3);
}
