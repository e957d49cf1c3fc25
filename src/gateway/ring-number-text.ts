// The number of a ring as the store has it: group and place, `3.0`.
import { groupOf, placeOf, ringNumber } from '../forwarding/ring-numbers.ts';

export function ringNumberText(number: number): string {
  return `${groupOf(number)}.${placeOf(number)}`;
}

/** Stores of versions without groups have one number. It becomes the group's: no two rings had the same. */
export function ringNumberOf(text: string): number {
  const [group, place = 0] = text.split('.').map(Number);
  return ringNumber(group ?? 0, place);
}
