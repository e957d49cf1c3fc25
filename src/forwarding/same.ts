// When two targets mean the same to a packet, although they are different objects.
import { sameIdle } from './idle.ts';
import type { Target } from './table.ts';

export function sameTarget(a: Target, b: Target): boolean {
  if (a === b) return true;
  if (a.port !== b.port || a.masquerade !== b.masquerade || !sameIdle(a.idle, b.idle)) return false;
  if (a.limit !== b.limit) return false;
  return a.kind === 'nat'
    ? b.kind === 'nat' && a.address === b.address
    : b.kind === 'balanced' && a.ring === b.ring && a.affinity === b.affinity && a.floating === b.floating;
}
