// How full the flow table is.
import type { FlowTableReport } from '../../dataplane.ts';
import { bucket, flowState, flowWays } from './layout.ts';
import type { Memory } from './map-memory.ts';

/** Looks at every entry: some milliseconds for a million. */
export function flowCensus({ flows }: Pick<Memory, 'flows'>): FlowTableReport {
  const words = new Uint32Array(flows.buffer, 0, (flows.entries * bucket.size) / 4);
  let used = 0;
  let open = 0;
  for (let at = 0; at < words.length; at += bucket.size / 4) {
    for (let way = 0; way < flowWays; way += 1) {
      const state = (words[at + 2 * way] as number) >>> 24;
      if (state === flowState.empty) continue;
      used += 1;
      if (state === flowState.open) open += 1;
    }
  }
  return { capacity: flows.entries * flowWays, used, open };
}
