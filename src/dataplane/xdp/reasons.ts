// What became of packets, in words: `enum reason` of bpf/abi.h, in its order.
import type { PacketOutcome, PacketReason } from '../dataplane.ts';

const reasons: readonly (readonly [reason: string, outcome: PacketOutcome])[] = [
  // Not counted, see `reasonsOf`.
  ['redirected', 'forwarded'],
  ['transmitted', 'forwarded'],
  ['hairpin', 'handed-up'],
  ['masquerade', 'handed-up'],
  ['fragment', 'handed-up'],
  ['hop-limit', 'handed-up'],
  ['too-big', 'handed-up'],
  ['unroutable', 'handed-up'],
  ['unknown-flow', 'handed-up'],
  ['flow-table-full', 'handed-up'],
  ['no-member', 'handed-up'],
  ['direct', 'handed-up'],
  ['no-such-endpoint', 'handed-up'],
  ['icmp', 'handed-up'],
  ['neighbour-unknown', 'routed'],
  ['device', 'routed'],
  ['options', 'routed'],
  ['to-be-fragmented', 'routed'],
  ['elsewhere', 'handed-up'],
  ['flow-displaced', 'event'],
  ['re-ported', 'event'],
  ['idle-timeout-or-limits', 'handed-up'],
];

/**
 * Of the map `reasons`; those that never occurred are left out. What is sent on has no reason: of `translated` packets it
 * is those that were not routed by the kernel.
 */
export function reasonsOf(counts: readonly number[], translated: number): readonly PacketReason[] {
  const counted = reasons.flatMap(([reason, outcome], index) => {
    const packets = counts[index] ?? 0;
    return packets === 0 ? [] : [{ reason, outcome, packets }];
  });
  const routed = counted.filter(({ outcome }) => outcome === 'routed');
  const sent = translated - routed.reduce((sum, { packets }) => sum + packets, 0);
  return sent <= 0 ? counted : [{ reason: 'translated', outcome: 'forwarded', packets: sent }, ...counted];
}
