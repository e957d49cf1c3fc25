// The consistent-hashing ring of a pool: who gets the new flows of each slot.
//
// After Maglev (Eisenbud et al., NSDI 2016, section 3.4): each member claims slots in an order of its own, drawn from a hash
// of its id. Unlike there, each member has a quota, by weight, and stops when it is full.
import type { Family } from '../resources/address.ts';
import { hashPair, hashText } from './member-hash.ts';
import type { Ring, RingMember, RingSize } from './table.ts';

/** As many as a slot's 16 bits can name. Pools are far smaller. */
export const maximumRingMembers = 65_535;

const offsetSeed = 0x6f666673;
const stepSeed = 0x73746570;
const quotaSeed = 0x71756f74;

/** Tries to find an heir at random before the search goes on member by member. */
const heirTries = 64;

type WeightedMember = Pick<RingMember, 'id' | 'weight'>;

/** A ring from its members in any order, with the slots that they have if all are eligible. */
export function buildRing(
  number: number,
  family: Family,
  members: readonly RingMember[],
  population: Uint16Array,
): Ring {
  return { number, family, size: ringSizeFor(members.length), members, slots: slotsOf(members, population) };
}

/** Slots for a number of configured members, so that each has a hundred or so where that can be. */
export function ringSizeFor(members: number): RingSize {
  if (members <= 10) return 1021;
  return members <= 100 ? 16381 : 65537;
}

/** Members in the order that a ring has them: by code units of their ids. */
export function sortedById<T extends { readonly id: string }>(members: readonly T[]): readonly T[] {
  return members.toSorted((a, b) => (a.id < b.id ? -1 : Number(a.id > b.id)));
}

/**
 * The owner of each slot if all members are eligible: a function of ids and weights alone. `members` are sorted by id, and at
 * most `maximumRingMembers`; with none of them the answer is empty.
 */
export function populate(members: readonly WeightedMember[]): Uint16Array {
  const size = ringSizeFor(members.length);
  if (members.length === 0) return new Uint16Array();
  if (members.length > maximumRingMembers) throw new RangeError(`a ring of ${members.length} members`);
  const free = 0xffff;
  const slots = new Uint16Array(size).fill(free);
  const room = quotas(members, size);
  const next = Int32Array.from(members, ({ id }) => hashText(id, offsetSeed) % size);
  const step = Int32Array.from(members, ({ id }) => 1 + (hashText(id, stepSeed) % (size - 1)));
  const heaviest = members.reduce((most, { weight }) => Math.max(most, weight), 1);
  const pace = Int32Array.from(members, ({ weight }) => weight);
  const credit = new Int32Array(members.length);
  const active = Int32Array.from(members, (_, index) => index);
  let activeCount = 0;
  for (let index = 0; index < members.length; index++) {
    if (at(room, index) > 0) active[activeCount++] = index;
  }
  while (activeCount > 0) {
    let kept = 0;
    for (let position = 0; position < activeCount; position++) {
      const index = at(active, position);
      const due = at(credit, index) + at(pace, index);
      if (due < heaviest) {
        credit[index] = due;
        active[kept++] = index;
        continue;
      }
      credit[index] = due - heaviest;
      const slot = at(next, index);
      const after = slot + at(step, index);
      next[index] = after >= size ? after - size : after;
      if (slots[slot] === free) {
        slots[slot] = index;
        room[index] = at(room, index) - 1;
      }
      if (at(room, index) > 0) active[kept++] = index;
    }
    activeCount = kept;
  }
  return slots;
}

/**
 * The population, with the slots of members that are not eligible handed to others. Flows of eligible members stay where
 * they are. The same array when all are eligible; empty when none is.
 */
export function slotsOf(
  members: readonly Pick<RingMember, 'id' | 'weight' | 'eligible'>[],
  population: Uint16Array,
): Uint16Array {
  if (members.every(({ eligible }) => eligible)) return population;
  const eligible = members.filter((member) => member.eligible);
  if (eligible.length === 0) return new Uint16Array();
  const room = new Int32Array(members.length);
  const caps = quotas(eligible, population.length);
  let position = 0;
  for (const [index, member] of members.entries()) {
    if (member.eligible) room[index] = at(caps, position++);
  }
  for (const owner of population) room[owner] = at(room, owner) - 1;
  const slots = Uint16Array.from(population);
  for (const [slot, owner] of population.entries()) {
    if (members[owner]?.eligible === true) continue;
    const heir = heirOf(slot, room);
    room[heir] = at(room, heir) - 1;
    slots[slot] = heir;
  }
  return slots;
}

/** A member with room left: members that are not eligible never have any, and the others together have enough. */
function heirOf(slot: number, room: Int32Array): number {
  let candidate = 0;
  for (let attempt = 0; attempt < heirTries; attempt++) {
    candidate = hashPair(slot, attempt) % room.length;
    if (at(room, candidate) > 0) return candidate;
  }
  for (let distance = 1; distance < room.length; distance++) {
    const other = (candidate + distance) % room.length;
    if (at(room, other) > 0) return other;
  }
  return candidate;
}

/** Slots of each member by weight: the largest remainders get one more; of equal ones, those whose ids hash lowest. */
function quotas(members: readonly WeightedMember[], size: number): Int32Array {
  const total = members.reduce((sum, { weight }) => sum + weight, 0);
  const quota = Int32Array.from(members, ({ weight }) => Math.floor((size * weight) / total));
  const spare = size - quota.reduce((sum, slots) => sum + slots, 0);
  const remainders = members.map(({ id, weight }, index) => ({
    index,
    remainder: (size * weight) % total,
    hash: hashText(id, quotaSeed),
  }));
  remainders.sort((a, b) => b.remainder - a.remainder || a.hash - b.hash || a.index - b.index);
  for (const { index } of remainders.slice(0, spare)) quota[index] = at(quota, index) + 1;
  return quota;
}

function at(array: Int32Array, index: number): number {
  return array[index] ?? 0;
}
