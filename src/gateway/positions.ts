// Where each member stands in its pool's order, as numbers that only have to rise: a member that comes or goes leaves
// the others' rows alone.
import type { BackendPool } from '../resources/model.ts';
import { differingPart } from './differing-part.ts';

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
  const { start, formerEnd, presentEnd } = differingPart(
    earlier.members.length,
    pool.members.length,
    (former, present) => earlier.members[former]?.id === pool.members[present]?.id,
  );
  const moved = new Map(
    earlier.members.slice(start, formerEnd).map(({ id }, index) => [id, had[start + index]]),
  );
  const positions = had.slice(0, start);
  let last = positions.at(-1) ?? -1;
  for (let index = start; index < pool.members.length; index += 1) {
    const id = pool.members[index]?.id ?? '';
    const kept = index < presentEnd ? moved.get(id) : had[index - presentEnd + formerEnd];
    last = kept !== undefined && kept > last ? kept : last + 1;
    positions.push(last);
  }
  return positions;
}
