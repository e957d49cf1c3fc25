// What the program leaves to nftables, and what it keeps although flows of it shall be over sooner than usual.
import { type Idle, usualIdle } from '../../../forwarding/idle.ts';
import type { Target } from '../../../forwarding/table.ts';
import type { Transport } from '../../../resources/address.ts';
import { targetKind } from './layout.ts';

/**
 * Seconds. The program notes when a flow was last seen: of TCP to some seconds, so shorter timeouts would be wrong by much of
 * themselves. Of UDP it keeps a flow for half a minute at least, and for two at most.
 */
export const shortestKept = 30;
export const longestKeptUdp = 30;

/** The kind of a target that nftables does; absent where the program does it. */
export function handedUpAs(
  { kind, masquerade, idle, limit }: Target,
  transport: Transport,
): number | undefined {
  if (masquerade) return targetKind.handUp;
  // It would have to count flows, and search ranges, for each packet.
  if (limit !== undefined) return targetKind.leave;
  return idle === undefined || (kind === 'balanced' && isKept(idle, transport))
    ? undefined
    : targetKind.leave;
}

function isKept({ seconds }: Idle, transport: Transport): boolean {
  return transport === 'tcp' ? seconds >= shortestKept : seconds <= longestKeptUdp;
}

/** After how much silence the agent ends a flow that the program keeps; of UDP, the program does unless a rule says so. */
export function keptIdle({ idle }: Target, transport: Transport): Idle | undefined {
  return idle ?? usualIdle(transport);
}
