// What limits have refused, as the kernel counted it.
import { setImmediate } from 'node:timers/promises';
import type { FlowLimit } from '../../forwarding/flow-limits.ts';
import type { Refusals } from '../dataplane.ts';
import { nativeU32 } from '../netlink/netlink.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import { readCounters } from './kernel.ts';
import { refusalSets } from './limit-elements.ts';

/** Three elements each; a piece takes about a millisecond. */
const limitsPerPiece = 85;

/** Reads the counters of `limits`; those that the kernel does not run are absent. */
export async function limitRefusals(
  socket: NetlinkSocket,
  limits: readonly FlowLimit[],
): Promise<ReadonlyMap<FlowLimit, Refusals>> {
  const found = new Map<FlowLimit, Refusals>();
  for (let at = 0; at < limits.length; at += limitsPerPiece) {
    const piece = limits.slice(at, at + limitsPerPiece);
    const asked = piece.flatMap(({ number }) => refusalSets.map((set) => ({ set, key: nativeU32(number) })));
    const counted = readCounters(socket, asked);
    piece.forEach((limit, index) => {
      const [byClient, byRate, byConcurrency] = counted.slice(3 * index, 3 * index + 3);
      if (!byClient || !byRate || !byConcurrency) return;
      found.set(limit, {
        byClient: byClient.packets,
        byRate: byRate.packets,
        byConcurrency: byConcurrency.packets,
      });
    });
    await setImmediate();
  }
  return found;
}
