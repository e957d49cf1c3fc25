// Two lists that are mostly alike: where they begin and cease to differ.

export interface DifferingPart {
  /** Before it, both lists are the same. */
  readonly start: number;
  /** From there on they are the same again; one index for each list, exclusive. */
  readonly formerEnd: number;
  readonly presentEnd: number;
}

/** Compares two lists, by their lengths and indices, from both ends. */
export function differingPart(
  formerLength: number,
  presentLength: number,
  same: (former: number, present: number) => boolean,
): DifferingPart {
  const shorter = Math.min(formerLength, presentLength);
  let start = 0;
  while (start < shorter && same(start, start)) start += 1;
  let end = 0;
  while (end < shorter - start && same(formerLength - 1 - end, presentLength - 1 - end)) end += 1;
  return { start, formerEnd: formerLength - end, presentEnd: presentLength - end };
}
