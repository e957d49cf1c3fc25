// Which neighbours are to be resolved or proved again, in which order, and how often. Pure, but for its own memory.
import type { Neighbour, NeighbourState } from './model.ts';
import type { Hop } from './way.ts';

/** What to do about a hop: `refresh` an entry that is there, `create` one. */
export interface Step {
  readonly hop: Hop;
  readonly what: 'refresh' | 'create';
}

/** Rounds that a neighbour is left alone after each failure in a row; then always the last number. */
const pauses = [0, 1, 2, 5, 11] as const;

/** Failures are counted over the rounds. */
export class NeighbourPlan {
  readonly #failures = new Map<string, { count: number; wait: number }>();

  /** One round over different hops. What stands by itself is left alone: reachable, fixed, or just being asked. */
  steps(hops: Iterable<Hop>, neighbours: readonly Neighbour[]): readonly Step[] {
    const states = new Map(neighbours.map((one) => [keyOf(one), one.state]));
    const found: Step[] = [];
    const present = new Set<string>();
    for (const hop of hops) {
      const key = keyOf(hop);
      present.add(key);
      const step = this.#step(key, states.get(key) ?? 'none');
      if (step !== undefined) found.push({ hop, what: step });
    }
    for (const key of this.#failures.keys()) if (!present.has(key)) this.#failures.delete(key);
    return found;
  }

  #step(key: string, state: NeighbourState): Step['what'] | undefined {
    switch (state) {
      case 'fixed':
      case 'reachable':
      case 'probe':
      case 'delay':
        this.#failures.delete(key);
        return undefined;
      case 'stale':
        this.#failures.delete(key);
        return 'refresh';
      case 'incomplete':
        return undefined;
      case 'failed':
        return this.#isTime(key) ? 'refresh' : undefined;
      case 'none':
        return this.#isTime(key) ? 'create' : undefined;
    }
  }

  /** Machines that are switched off shall not be called for all the time, by broadcast. */
  #isTime(key: string): boolean {
    const before = this.#failures.get(key);
    if (before !== undefined && before.wait > 0) {
      before.wait -= 1;
      return false;
    }
    const count = (before?.count ?? -1) + 1;
    this.#failures.set(key, { count, wait: pauses[Math.min(count, pauses.length - 1)] ?? 0 });
    return true;
  }
}

export function keyOf({ link, address }: { readonly link: number; readonly address: string }): string {
  return `${link} ${address}`;
}
