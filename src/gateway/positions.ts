// Where each member stands in its pool's order, as numbers that only have to rise: a member that comes or goes leaves
// the others' rows alone.
import type { BackendPool } from '../resources/model.ts';

const known = new WeakMap<BackendPool, readonly number[]>();

/** Rising numbers, one per member. Derived from those of the pool's earlier form so that as few as possible differ. */
export function positionsOf(pool: BackendPool, earlier?: BackendPool): readonly number[] {
  let positions = known.get(pool);
  if (positions === undefined) {
    positions = earlier === undefined ? pool.members.map((_, index) => index) : carriedOver(pool, earlier);
    known.set(pool, positions);
  }
  return positions;
}

/** Takes the numbers that a store had. */
export function rememberPositions(pool: BackendPool, positions: readonly number[]): void {
  known.set(pool, positions);
}

function carriedOver(pool: BackendPool, earlier: BackendPool): readonly number[] {
  const had = positionsOf(earlier);
  const before = new Map(earlier.members.map((member, index) => [member.id, had[index] ?? index]));
  let last = -1;
  return pool.members.map((member) => {
    const kept = before.get(member.id);
    last = kept !== undefined && kept > last ? kept : last + 1;
    return last;
  });
}
