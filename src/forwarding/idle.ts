// After how much silence a flow is over, and who is told.
import type { Transport } from '../resources/address.ts';
import type { FlowOptions } from '../resources/model.ts';

/** Seconds for TCP where a rule says nothing but keeps flows; also with `tcp_reset` alone. */
export const usualIdleTimeout = 240;

/** What a rule asks for; flows of one that asks for nothing are over when it is usual. */
export interface Idle {
  /** Whole seconds, 1 to 86,400. */
  readonly seconds: number;
  /** An RST to both ends; of TCP only. */
  readonly reset: boolean;
}

/** Of flows that are kept to one machine by a rule that does not say for how long. Absent: as the kernel has it. */
export function usualIdle(transport: Transport): Idle | undefined {
  return transport === 'tcp' ? { seconds: usualIdleTimeout, reset: false } : undefined;
}

/** Of the flows of a rule over one transport; absent where the rule leaves it to what is usual. */
export function idleOf({ idleTimeout, tcpReset }: FlowOptions, transport: Transport): Idle | undefined {
  const reset = tcpReset === true && transport === 'tcp';
  if (idleTimeout !== undefined) return { seconds: idleTimeout, reset };
  return reset ? { seconds: usualIdleTimeout, reset } : undefined;
}

export function sameIdle(one: Idle | undefined, other: Idle | undefined): boolean {
  return one?.seconds === other?.seconds && one?.reset === other?.reset;
}
