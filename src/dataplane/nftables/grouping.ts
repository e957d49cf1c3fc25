// Puts operations on the same set side by side, so that a command holds many: nft's time and memory go by commands.
import type { Operation } from './element.ts';

/** So many operations are held at a time. */
const windowLength = 10_000;

/**
 * The same operations in another order. Deletions move before additions and never after, so that a key may still be
 * deleted and then added in one transaction; an addition that is followed by its own deletion must not be among them.
 */
export function* grouped(operations: Iterable<Operation>): Generator<Operation> {
  let held = 0;
  let deletions = new Map<string, Operation[]>();
  let additions = new Map<string, Operation[]>();
  for (const operation of operations) {
    const bySet = operation.verb === 'delete' ? deletions : additions;
    const list = bySet.get(operation.element.set);
    if (list === undefined) bySet.set(operation.element.set, [operation]);
    else list.push(operation);
    held += 1;
    if (held < windowLength) continue;
    for (const group of [...deletions.values(), ...additions.values()]) yield* group;
    held = 0;
    deletions = new Map();
    additions = new Map();
  }
  for (const group of [...deletions.values(), ...additions.values()]) yield* group;
}
