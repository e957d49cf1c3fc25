// How full the flow table is, read from its words while packets change them.
import type { FlowTableReport } from '../../dataplane.ts';
import { bucket, flowState, flowWays } from './layout.ts';
import type { MapMemory } from './map-memory.ts';

const stride = bucket.size / 4;
/** Of a larger table than the usual one, so many buckets stand for all: flows are spread evenly. Some milliseconds. */
const sample = 65_536;

export function flowFill({ buffer, entries }: MapMemory): FlowTableReport {
  const words = new Int32Array(buffer, 0, entries * stride);
  const buckets = Math.min(entries, sample);
  let used = 0;
  let open = 0;
  for (let index = 0; index < buckets; index += 1) {
    for (let way = 0; way < flowWays; way += 1) {
      const state = (words[index * stride + way * 2] as number) >>> 24;
      if (state !== flowState.empty) used += 1;
      if (state === flowState.open) open += 1;
    }
  }
  const scale = entries / buckets;
  return { capacity: entries * flowWays, used: Math.round(used * scale), open: Math.round(open * scale) };
}
