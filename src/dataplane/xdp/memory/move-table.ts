// A table in a larger map. An entry keeps its probe, so that of its place only higher bits of the index are new: nobody has to
// be moved out of the way, and places that were different stay so.
import { tableHash } from './hash.ts';
import type { MapMemory } from './map-memory.ts';
import { keyAt, keyBits, probes } from './table.ts';

/** In steps. Where each place's entry is now: -1 for places that were free. `to` is zeroed, and no smaller. */
export function* moveTable(from: MapMemory, to: MapMemory): Generator<void, Int32Array, void> {
  const stride = from.valueSize / 4;
  const before = new Int32Array(from.buffer, 0, from.entries * stride);
  const after = new Int32Array(to.buffer, 0, to.entries * stride);
  const moved = new Int32Array(from.entries).fill(-1);
  for (let index = 0; index < from.entries; index += 1) {
    if (index % 8192 === 8191) yield;
    const at = index * stride;
    const key = (before[at + keyAt] as number) & keyBits;
    if (key === 0) continue;
    const home = tableHash(before.subarray(at, at + 4), key);
    const probe = probeOf(home, index, from.entries - 1);
    const place = (home + ((probe * (probe + 1)) >> 1)) & (to.entries - 1);
    moved[index] = place;
    const placeAt = place * stride;
    for (let word = 0; word < stride; word += 1) {
      if (word !== keyAt) after[placeAt + word] = before[at + word] as number;
    }
    after[placeAt + keyAt] = ((after[placeAt + keyAt] as number) & ~keyBits) | key;
    const homeAt = (home & (to.entries - 1)) * stride + keyAt;
    const reach = (after[homeAt] as number) >>> 24;
    if (probe > reach) after[homeAt] = ((after[homeAt] as number) & keyBits) | (probe << 24);
  }
  return moved;
}

function probeOf(home: number, index: number, mask: number): number {
  for (let probe = 0; probe < probes; probe += 1) {
    if (((home + ((probe * (probe + 1)) >> 1)) & mask) === index) return probe;
  }
  throw new RangeError(`the entry at ${index} cannot be found from its home`);
}
