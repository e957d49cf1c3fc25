// Counters, taken along into a map with more rows, whose processors may have to share them.
import { counter } from './layout.ts';
import type { MapMemory } from './map-memory.ts';

const words = counter.size / 4;
const fields = [counter.packets / 4, counter.bytes / 4, counter.flows / 4] as const;

/** In steps. `to` is zeroed, has no fewer rows than `from`, and no more shards: counters of a row, a power of two. */
export function* copyCounters(
  from: MapMemory,
  shards: number,
  to: MapMemory,
  shardsAfter: number,
): Generator<void, void, void> {
  const before = new Uint32Array(from.buffer, 0, from.entries * words);
  const after = new Uint32Array(to.buffer, 0, to.entries * words);
  for (let index = 0; index < from.entries; index += 1) {
    if (index % 16_384 === 16_383) yield;
    const place = Math.floor(index / shards) * shardsAfter + (index % shardsAfter);
    for (const field of fields) add(after, place * words + field, before, index * words + field);
  }
}

/** Exact up to 2^53. */
function add(after: Uint32Array, at: number, before: Uint32Array, from: number): void {
  const more = (before[from] as number) + (before[from + 1] as number) * 2 ** 32;
  if (more === 0) return;
  const sum = (after[at] as number) + (after[at + 1] as number) * 2 ** 32 + more;
  after[at] = sum % 2 ** 32;
  after[at + 1] = Math.floor(sum / 2 ** 32);
}
