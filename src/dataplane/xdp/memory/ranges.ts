// Which units of slots are free: a list of gaps, the smallest one that is large enough is used.
import { Full } from './trouble.ts';

interface Gap {
  readonly first: number;
  readonly length: number;
}

export class Ranges {
  readonly capacity: number;
  /** By `first`, never touching each other. */
  #gaps: readonly Gap[];
  #taken: Gap[] = [];

  constructor(capacity: number) {
    this.capacity = capacity;
    this.#gaps = [{ first: 0, length: capacity }];
  }

  get used(): number {
    return this.capacity - this.#gaps.reduce((sum, { length }) => sum + length, 0);
  }

  /** The first unit of `length` free ones. Throws `Full`. */
  take(length: number): number {
    let best: Gap | undefined;
    for (const gap of this.#gaps) {
      if (gap.length >= length && (best === undefined || gap.length < best.length)) best = gap;
    }
    if (best === undefined) throw new Full('slots');
    this.#cut(best, best.first, length);
    this.#taken.push({ first: best.first, length });
    return best.first;
  }

  /** After a restart: units that are in use. False where they are not all free. */
  mark(first: number, length: number): boolean {
    const gap = this.#gaps.find((each) => each.first <= first && first + length <= each.first + each.length);
    if (gap === undefined) return false;
    this.#cut(gap, first, length);
    return true;
  }

  free(first: number, length: number): void {
    let from = first;
    let to = first + length;
    const rest: Gap[] = [];
    for (const gap of this.#gaps) {
      if (gap.first + gap.length === from) from = gap.first;
      else if (gap.first === to) to += gap.length;
      else rest.push(gap);
    }
    rest.push({ first: from, length: to - from });
    this.#gaps = rest.sort((a, b) => a.first - b.first);
  }

  abort(): void {
    for (const { first, length } of this.#taken) this.free(first, length);
    this.#taken = [];
  }

  publish(): void {
    this.#taken = [];
  }

  #cut(gap: Gap, first: number, length: number): void {
    const before = { first: gap.first, length: first - gap.first };
    const after = { first: first + length, length: gap.first + gap.length - first - length };
    this.#gaps = this.#gaps.flatMap((each) =>
      each === gap ? [before, after].filter((rest) => rest.length > 0) : [each],
    );
  }
}
