// How full the flow table is, read from its words while packets change them.
import { bucket, flowState, flowWays } from './layout.ts';
import type { MapMemory } from './map-memory.ts';
import { inSteps } from './steps.ts';

export interface FlowFill {
  readonly capacity: number;
  /** Entries of any state; some of them are over, and kept until their place is needed. */
  readonly used: number;
  /** Both sides have spoken. */
  readonly open: number;
}

const stride = bucket.size / 4;

/** Of at most so many buckets, from which the whole is reckoned. */
export async function flowFill({ buffer, entries }: MapMemory, sample = 65_536): Promise<FlowFill> {
  const words = new Int32Array(buffer, 0, entries * stride);
  const buckets = Math.min(entries, sample);
  const counted = await inSteps(countWords(words, buckets));
  const scale = entries / buckets;
  return {
    capacity: entries * flowWays,
    used: Math.round(counted.used * scale),
    open: Math.round(counted.open * scale),
  };
}

function* countWords(
  words: Int32Array,
  buckets: number,
): Generator<void, { used: number; open: number }, void> {
  let used = 0;
  let open = 0;
  for (let index = 0; index < buckets; index += 1) {
    if (index % 16_384 === 16_383) yield;
    for (let way = 0; way < flowWays; way += 1) {
      const state = (words[index * stride + way * 2] as number) >>> 24;
      if (state !== flowState.empty) used += 1;
      if (state === flowState.open) open += 1;
    }
  }
  return { used, open };
}
