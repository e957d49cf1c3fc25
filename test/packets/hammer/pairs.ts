// Pairs of rules that are only ever changed together: both lead to one machine, or neither is there.

import { balanced, endpoint, nat, ring, unchanged } from '../../../src/dataplane/nftables/testing/tables.ts';
import type { LoadedProgram } from '../../../src/dataplane/xdp/kernel/program.ts';
import { type Change, isEmpty } from '../../../src/forwarding/change.ts';
import type { Entry, Ring } from '../../../src/forwarding/table.ts';
import { addressBytes } from '../frame/address.ts';
import type { Random } from '../fuzz/random.ts';

/** Of which the last so many lead to rings of their own, with the machine as the only member. */
export const pairCount = 256;
const ringPairs = 16;
const machineCount = 40;

/** What one pair is now; absent: nothing. */
interface Pair {
  readonly entries: readonly Entry[];
  readonly rings: readonly Ring[];
}

/** Every third pair is IPv6. */
function isIpv6(pair: number): boolean {
  return pair % 3 === 2;
}

function endsOf(pair: number): readonly (readonly [address: string, port: number])[] {
  const front = (side: number): string =>
    isIpv6(pair)
      ? `2001:db8:f:${side}::${(pair + 1).toString(16)}`
      : `203.${side}.${pair >> 8}.${pair & 255}`;
  return [
    [front(0), 80],
    [front(1), 443],
  ];
}

/** No two pairs have an endpoint, nor a machine's port, in common. */
function made(pair: number, machine: number): Pair {
  const address = isIpv6(pair) ? `fd01::${(machine + 1).toString(16)}` : `10.1.0.${machine + 1}`;
  const ends = endsOf(pair).map(([front, port]) => endpoint(front, pair % 2 === 0 ? 'tcp' : 'udp', port));
  if (pair < pairCount - ringPairs) {
    return { entries: ends.map((end, side) => nat(end, address, 1000 + 2 * pair + side)), rings: [] };
  }
  const number = (side: number): number => 1 + 2 * pair + side;
  return {
    entries: ends.map((end, side) => balanced(end, number(side), 8080)),
    rings: ends.map((_, side) => ring(number(side), [address])),
  };
}

export class Pairs {
  readonly #random: Random;
  readonly #now: (Pair | undefined)[] = new Array<Pair | undefined>(pairCount).fill(undefined);
  /** How many pairs were added, replaced and removed. */
  readonly tally = { added: 0, replaced: 0, removed: 0 };

  constructor(random: Random) {
    this.#random = random;
  }

  entries(): readonly Entry[] {
    return this.#now.flatMap((pair) => pair?.entries ?? []);
  }

  rings(): readonly Ring[] {
    return this.#now.flatMap((pair) => pair?.rings ?? []);
  }

  /** A change of so many pairs that never says nothing. */
  change(count: number): Change {
    const chosen = new Set(Array.from({ length: count }, () => this.#random.below(pairCount)));
    const parts = [...chosen].map((pair) => this.#changeOf(pair));
    const change: Change = {
      ...unchanged,
      added: parts.flatMap(({ added = [] }) => added),
      removed: parts.flatMap(({ removed = [] }) => removed),
      replaced: parts.flatMap(({ replaced = [] }) => replaced),
      rings: parts.flatMap(({ rings = [] }) => rings),
    };
    return isEmpty(change) ? this.change(count) : change;
  }

  #changeOf(pair: number): Partial<Change> {
    const before = this.#now[pair];
    const after = this.#random.below(4) === 0 ? undefined : made(pair, this.#random.below(machineCount));
    this.#now[pair] = after;
    if (before === undefined && after === undefined) return {};
    if (before === undefined) {
      this.tally.added += 1;
      return { added: after?.entries ?? [], rings: (after?.rings ?? []).map((each) => ({ after: each })) };
    }
    if (after === undefined) {
      this.tally.removed += 1;
      return { removed: before.entries, rings: before.rings.map((each) => ({ before: each })) };
    }
    this.tally.replaced += 1;
    if (before.rings.length > 0) {
      // The entries lead to the same rings: it is the rings that change.
      this.#now[pair] = { entries: before.entries, rings: after.rings };
      return {
        rings: before.rings.flatMap((each, side) => {
          const next = after.rings[side];
          return next === undefined ? [] : [{ before: each, after: next }];
        }),
      };
    }
    return {
      replaced: before.entries.flatMap((each, side) => {
        const next = after.entries[side];
        return next === undefined ? [] : [{ before: each, after: next }];
      }),
    };
  }
}

/** Tells the looking program where the pairs are. */
export function writePairs(program: LoadedProgram): void {
  const { buffer, stride } = program.memory('pairs');
  const bytes = new Uint8Array(buffer);
  for (let pair = 0; pair < pairCount; pair += 1) {
    for (const [side, [address, port]] of endsOf(pair).entries()) {
      const at = pair * stride + side * 24;
      const raw = addressBytes(address);
      bytes.fill(0, at, at + 24);
      bytes.set(raw.length === 4 ? [...new Array<number>(10).fill(0), 255, 255, ...raw] : raw, at);
      bytes.set([port >> 8, port & 255, pair % 2 === 0 ? 6 : 17], at + 16);
    }
  }
}
