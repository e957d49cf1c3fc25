// A row of the packet tables: what was before, a frame in, and the verdict and frame that must come out.

import type { Ethernet, Packet } from '../frame/packet.ts';
import { type Rewrite, rewrite } from '../frame/rewrite.ts';
import { arrival, type DeviceName, departure, physicalOf } from '../world/places.ts';
import type { Variation } from '../world/rules.ts';

/** A frame and the interface on whose wire it is. */
export interface Sent {
  readonly device: DeviceName;
  readonly packet: Packet;
}

/** What happens before the frame that a row is about. */
export type Step =
  | Sent
  | { readonly change: Variation }
  | { readonly waitSeconds: number }
  | { readonly gate: boolean };

/** `pass` is XDP_PASS, `redirect` XDP_REDIRECT, `transmit` XDP_TX. */
export type Verdict = 'pass' | 'redirect' | 'transmit';

export interface Outcome {
  readonly verdict: Verdict;
  readonly packet: Packet;
  /** Of `enum reason`, without `REASON_`; `null`: none is counted. */
  readonly reason?: string | null;
}

/** What must become of a frame, worked out from the frame itself. */
export type Becomes = (sent: Sent) => Outcome;

export interface Row {
  readonly name: string;
  readonly before?: readonly Step[];
  /** The frame, or how it follows from the frames that came of those before. */
  readonly frame: Sent | ((earlier: readonly Uint8Array[]) => Sent);
  readonly becomes: Becomes | ((sent: Sent, actual: Uint8Array) => Outcome);
}

/** Source MAC address of translated frames that the kernel is to route; any secret will do. */
export const mark = '02:50:65:6e:73:01';

/** The packet as it arrives from its source. Give `ethernet` or `device` for one that does not come as it should. */
export function from(packet: Packet, over: Partial<Ethernet> & { readonly device?: DeviceName } = {}): Sent {
  const { device: elsewhere, ...ethernet } = over;
  const { device, ethernet: usual } = arrival(packet.ip.source);
  return { device: elsewhere ?? device, packet: { ...packet, ethernet: { ...usual, ...ethernet } } };
}

/** A packet that leaves the gateway by the wire to its destination. */
export function forwarded(change: Rewrite): Becomes {
  return ({ device, packet }) => {
    const translated = rewrite(packet, { ...change, hops: 1 });
    const { device: out, ethernet } = departure(translated.ip.destination);
    const same = physicalOf(out) === physicalOf(device);
    return {
      verdict: same ? 'transmit' : 'redirect',
      packet: { ...translated, ethernet },
    };
  };
}

/** Translated, and left to the kernel to route. */
export function routed(change: Rewrite, why: string): Becomes {
  return ({ packet }) => {
    const translated = rewrite(packet, change);
    const ethernet = { ...packet.ethernet, source: mark };
    return { verdict: 'pass', packet: { ...translated, ethernet }, reason: `ROUTED_${why}` };
  };
}

/** Passed up byte for byte. */
export function untouched(reason?: string | null): Becomes {
  return ({ packet }) => ({ verdict: 'pass', packet, ...(reason === undefined ? {} : { reason }) });
}

/** Passed up byte for byte, and nothing is counted: it is none of our business. */
export const foreign = untouched(null);
