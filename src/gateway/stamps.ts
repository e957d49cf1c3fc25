// What the kernel runs, as one number that the data plane keeps: the revision, and how often verdicts have changed it since.

/** Of the low part. */
const revisions = 2 ** 32;
/** The planes keep 48 bits. */
const turns = 2 ** 16;

export interface Running {
  readonly revision: number;
  /** Counts commits of verdicts, 0 to 65,535 and then again from 0: a restart compares it with the stored one. */
  readonly turn: number;
}

export function stampNumber({ revision, turn }: Running): number {
  if (revision >= revisions) throw new RangeError(`revision ${revision} does not fit a stamp`);
  return turn * revisions + revision;
}

export function runningOf(stamp: number): Running {
  return { revision: stamp % revisions, turn: Math.floor(stamp / revisions) };
}

export function nextTurn(turn: number): number {
  return (turn + 1) % turns;
}
