// The range of a pool rule as slots: slot i holds one machine's ports, aligned to the start of the range.
import type { Port } from '../resources/address.ts';
import type { PoolRule } from '../resources/model.ts';

export interface PortRange {
  readonly start: Port;
  readonly end: Port;
  readonly portsPerMember: number;
  /** In machines; ports left over at the end, too few for one more, stay unused. */
  readonly capacity: number;
}

export function rangeOf(rule: PoolRule): PortRange {
  const { rangeStart: start, rangeEnd: end, portsPerMember } = rule;
  return { start, end, portsPerMember, capacity: Math.floor((end - start + 1) / portsPerMember) };
}

/** The slot that begins at `port`; -1 when none does. */
export function slotAt(range: PortRange, port: Port): number {
  const slot = (port - range.start) / range.portsPerMember;
  return Number.isInteger(slot) && slot >= 0 && slot < range.capacity ? slot : -1;
}

export function firstPortOf(range: PortRange, slot: number): Port {
  return range.start + slot * range.portsPerMember;
}
