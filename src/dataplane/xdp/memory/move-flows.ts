// The flow table, taken along into a new map while packets go on changing the old one. First all of it is copied; once the
// new program runs, whatever came into the old map in between follows.
import { bucket, flow, flowKind, flowState, flowWays } from './layout.ts';
import type { MapMemory } from './map-memory.ts';

const stride = bucket.size / 4;
const flowsAt = bucket.flows / 4;
const flowStride = flow.size / 4;

/** The words of every flow (low and high half) as they were copied. */
type Copied = Int32Array;

/**
 * In steps. `to` is zeroed, and `from.entries` times a power of two: which of its buckets a flow belongs to is not known here,
 * so it comes into all that it can be looked up in, and is forgotten in the others as time goes by. `moved` says where
 * frontends are now.
 */
export function* copyFlows(from: MapMemory, to: MapMemory, moved: Int32Array): Generator<void, Copied, void> {
  const before = new Int32Array(from.buffer, 0, from.entries * stride);
  const after = new Int32Array(to.buffer, 0, to.entries * stride);
  const copied = new Int32Array(from.entries * flowWays * 2);
  for (let index = 0; index < from.entries; index += 1) {
    if (index % 1024 === 1023) yield;
    for (let way = 0; way < flowWays; way += 1) {
      const word = index * stride + way * 2;
      const low = Atomics.load(before, word);
      const high = before[word + 1] as number;
      if (!isValid(low)) continue;
      const content = readFlow(before, index, way, moved);
      // Somebody has written there meanwhile: it follows later.
      if (Atomics.load(before, word) !== low || before[word + 1] !== high) continue;
      copied[(index * flowWays + way) * 2] = low;
      copied[(index * flowWays + way) * 2 + 1] = high;
      for (let other = index; other < to.entries; other += from.entries) {
        after.set(content, other * stride + flowsAt + way * flowStride);
        after[other * stride + way * 2 + 1] = high;
        after[other * stride + way * 2] = low;
      }
    }
  }
  return copied;
}

/** In steps, when no packet writes `from` any more but the new program writes `to`. */
export function* followFlows(
  from: MapMemory,
  to: MapMemory,
  moved: Int32Array,
  copied: Copied,
): Generator<void, void, void> {
  const before = new Int32Array(from.buffer, 0, from.entries * stride);
  const words = new BigInt64Array(to.buffer, 0, (to.entries * stride) / 2);
  const after = new Int32Array(to.buffer, 0, to.entries * stride);
  for (let index = 0; index < from.entries; index += 1) {
    if (index % 4096 === 4095) yield;
    for (let way = 0; way < flowWays; way += 1) {
      const low = before[index * stride + way * 2] as number;
      const high = before[index * stride + way * 2 + 1] as number;
      const known = (index * flowWays + way) * 2;
      if (low === copied[known] && high === copied[known + 1]) continue;
      if (!isValid(low)) continue;
      const content = readFlow(before, index, way, moved);
      const expected = joined(copied[known] as number, copied[known + 1] as number);
      for (let other = index; other < to.entries; other += from.entries) {
        putFlow(words, after, other, way, expected, joined(low, high), content);
      }
      copied[known] = low;
      copied[known + 1] = high;
    }
  }
}

/** Where it was, if the new program has not touched that place; else where one is free; else not at all. */
function putFlow(
  words: BigInt64Array,
  after: Int32Array,
  index: number,
  way: number,
  expected: bigint,
  word: bigint,
  content: Int32Array,
): void {
  const busy = BigInt(flowState.busy) << 24n;
  for (let turn = 0; turn < flowWays; turn += 1) {
    const at = (way + turn) % flowWays;
    const place = (index * stride) / 2 + at;
    const old = turn === 0 ? expected : 0n;
    if (Atomics.compareExchange(words, place, old, busy) !== old) continue;
    after.set(content, index * stride + flowsAt + at * flowStride);
    Atomics.store(words, place, word);
    return;
  }
}

function readFlow(before: Int32Array, index: number, way: number, moved: Int32Array): Int32Array {
  const at = index * stride + flowsAt + way * flowStride;
  const content = before.slice(at, at + flowStride);
  const kind = ((content[flow.protocol / 4] as number) >>> 8) & 0xff;
  const place = moved[content[flow.frontend / 4] as number] ?? -1;
  if (kind !== flowKind.direct && place >= 0) content[flow.frontend / 4] = place;
  return content;
}

function isValid(low: number): boolean {
  return low >>> 24 >= flowState.fresh;
}

function joined(low: number, high: number): bigint {
  return (BigInt(high) << 32n) | BigInt(low >>> 0);
}
