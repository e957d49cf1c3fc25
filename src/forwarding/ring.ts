// The consistent-hashing ring of a pool: who gets the new flows of each slot.
//
// After Maglev (Eisenbud et al., NSDI 2016, section 3.4): each member claims slots in an order of its own, drawn from a hash
// of its id. Unlike there, each member has a quota, by weight, and stops when it is full. Measured when one of 1,000 equal
// members goes: 0.44 % of all slots change hands, where 0.10 % must. Schemes that give out the last slots in other ways (by
// a hash of the slot: 0.49 to 0.52 %; in the order of two hashes: 1.1 % and more) moved more.
import type { Family } from '../resources/address.ts';
import { hashPair, hashText } from './member-hash.ts';
import type { Ring, RingMember, RingSize } from './table.ts';

/** As many as a slot's 16 bits can name. Pools are far smaller. */
const maximumRingMembers = 65_535;

const offsetSeed = 0x6f666673;
const stepSeed = 0x73746570;
const quotaSeed = 0x71756f74;

/** Tries to find an heir at random before the search goes on member by member. */
const heirTries = 64;

/** The greatest weight of a member. */
const heaviest = 1000;

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
  const claims = new Claims(members, size);
  claims.byWeight(Math.floor(size / 20));
  claims.inTurn();
  return claims.slots;
}

/** Nobody's slot. */
const free = 0xffff;

/** Members claim slots until each has its quota: a claim on a free slot wins, and is never lost again. */
class Claims {
  readonly slots: Uint16Array;
  readonly #members: readonly WeightedMember[];
  /** Slots that each member still wants. */
  readonly #room: Int32Array;
  /** The slot that each member claims next, and how far it moves on from there; the size is a prime. */
  readonly #next: Int32Array;
  readonly #step: Int32Array;
  #free: number;

  constructor(members: readonly WeightedMember[], size: number) {
    this.slots = new Uint16Array(size).fill(free);
    this.#members = members;
    this.#room = quotas(members, size);
    this.#next = Int32Array.from(members, ({ id }) => hashText(id, offsetSeed) % size);
    this.#step = Int32Array.from(members, ({ id }) => 1 + (hashText(id, stepSeed) % (size - 1)));
    this.#free = size;
  }

  /**
   * Each member claims as often as its weight says, until few slots are left. The pace of one member does not depend on who
   * else there is. A calendar (rounds on which members are due) spares reading members that are not.
   */
  byWeight(left: number): void {
    const due = Array.from({ length: heaviest + 1 }, (): number[] => []);
    const credit = new Int32Array(this.#members.length);
    const schedule = (index: number, round: number): void => {
      const weight = this.#members[index]?.weight ?? 1;
      const rounds = Math.max(1, Math.ceil((heaviest - at(credit, index)) / weight));
      credit[index] = at(credit, index) + rounds * weight - heaviest;
      due[(round + rounds) % due.length]?.push(index);
    };
    for (let index = 0; index < this.#members.length; index++) {
      if (at(this.#room, index) > 0) schedule(index, 0);
    }
    for (let round = 1; this.#free > left; round++) {
      const claimants = due[round % due.length];
      if (claimants === undefined || claimants.length === 0) continue;
      due[round % due.length] = [];
      for (const index of claimants) {
        this.#claim(index);
        if (at(this.#room, index) > 0) schedule(index, round);
      }
    }
  }

  /** All who are not full claim one slot a round: otherwise the last slots would wait long for the lightest members. */
  inTurn(): void {
    let claimants = this.#members.map((_, index) => index).filter((index) => at(this.#room, index) > 0);
    while (claimants.length > 0) {
      for (const index of claimants) this.#claim(index);
      claimants = claimants.filter((index) => at(this.#room, index) > 0);
    }
  }

  #claim(index: number): void {
    const slot = at(this.#next, index);
    const next = slot + at(this.#step, index);
    this.#next[index] = next < this.slots.length ? next : next - this.slots.length;
    if (this.slots[slot] !== free) return;
    this.slots[slot] = index;
    this.#room[index] = at(this.#room, index) - 1;
    this.#free -= 1;
  }
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
