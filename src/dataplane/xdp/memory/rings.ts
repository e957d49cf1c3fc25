// The maps `rings`, `members` and `slots`: who gets the new flows of each slot, and whose flows go on.
import { groupOf } from '../../../forwarding/ring-numbers.ts';
import type { Ring, RingMember } from '../../../forwarding/table.ts';
import type { IpAddress } from '../../../resources/address.ts';
import { readAddress } from './address-words.ts';
import type { Backends } from './backends.ts';
import type { CounterRows } from './counter-rows.ts';
import { member, memberState, rangeGone, ring, slotsPerUnit } from './layout.ts';
import type { Memory } from './map-memory.ts';
import { Ranges } from './ranges.ts';
import type { RingPorts } from './ring-ports.ts';
import { Rows } from './rows.ts';
import type { Serials } from './serials.ts';
import type { OpenStore, Store } from './store.ts';
import { Mismatch } from './trouble.ts';
import { type Epochs, type Place, Versions } from './versions.ts';

const memberStride = member.size / 4;
const ringStride = ring.size / 4;
const rangesAt = ring.ranges / 4;

export class Rings {
  readonly rows: Rows;
  readonly memberRows: Rows;
  readonly units: Ranges;
  readonly #rings: Store;
  readonly #members: Store;
  readonly #slots: Store;
  readonly #versions: Versions;
  readonly #memberVersions: Versions;
  readonly #backends: Backends;
  readonly #counters: CounterRows;
  readonly #serials: Serials;
  readonly #ports: RingPorts;
  readonly #address = new Int32Array(4);
  /** Index in `rings` by `Ring.number`; of rings that are there after the present change. */
  readonly #byNumber = new Map<number, number>();
  /** Indices into `members` of each of them. */
  readonly #membersOf = new Map<number, readonly number[]>();
  /** What takes the present change back out of the two maps above. */
  #undo: (() => void)[] = [];

  constructor(
    memory: Memory,
    open: OpenStore,
    epochs: Epochs,
    backends: Backends,
    counters: CounterRows,
    serials: Serials,
    ports: RingPorts,
  ) {
    this.rows = new Rows('rings', memory.rings.entries);
    this.memberRows = new Rows('members', memory.members.entries);
    this.units = new Ranges(memory.slots.entries);
    this.#rings = open(memory.rings);
    this.#members = open(memory.members);
    this.#slots = open(memory.slots);
    this.#versions = new Versions(this.#rings, ringStride, ring.version / 4, epochs);
    this.#memberVersions = new Versions(this.#members, memberStride, member.version / 4, epochs);
    this.#backends = backends;
    this.#counters = counters;
    this.#serials = serials;
    this.#ports = ports;
  }

  /** Index in `rings`. Throws `Mismatch`. */
  indexOf(number: number): number {
    const index = this.#byNumber.get(number);
    if (index === undefined) throw new Mismatch(`there is no ring ${number}`);
    return index;
  }

  /** Whether the ring with this number is at this index. */
  has(number: number, index: number): boolean {
    return this.#byNumber.get(number) === index;
  }

  numbers(): readonly number[] {
    return [...this.#byNumber.keys()];
  }

  /** The rows in which the members of a ring are counted, by machine. */
  rowsOf(number: number): ReadonlyMap<number, number> {
    const members = this.#membersOf.get(this.#byNumber.get(number) ?? -1) ?? [];
    return new Map(members.map((each) => [this.#machineOf(each), this.#rowOf(each)]));
  }

  /** `Ring.number` at an index. */
  numberAt(index: number): number {
    return this.#rings.get(index * ringStride + ring.number / 4);
  }

  /** Tells of an index whether there are other rings of the same pool. */
  siblings(): (index: number) => boolean {
    const count = new Map<number, number>();
    for (const number of this.#byNumber.keys()) {
      const group = groupOf(number);
      count.set(group, (count.get(group) ?? 0) + 1);
    }
    return (index) => (count.get(groupOf(this.numberAt(index))) ?? 0) > 1;
  }

  /** What stands at an index of `members`; of one that has just gone, what it was. */
  memberAt(index: number): { readonly machine: number; readonly serial: number; readonly ring: number } {
    const at = index * memberStride;
    return {
      machine: this.#machineOf(index),
      serial: this.#members.get(at + member.serial / 4),
      ring: this.#members.get(at + member.ring / 4),
    };
  }

  /** Indices in `members` of those that packets see in a ring, by machine. */
  visibleMembers(index: number): ReadonlyMap<number, number> {
    const members = (this.#membersOf.get(index) ?? []).filter((each) => this.statesSeen(each) !== 0);
    return new Map(members.map((each) => [this.#machineOf(each), each]));
  }

  /** `MEMBER_` bits of what stands at an index of `members`, as packets see them. */
  statesSeen(index: number): number {
    const newest = this.#memberVersions.newest(index);
    return this.#state(index, this.#memberVersions.isStaged(index) ? newest ^ 1 : newest);
  }

  /** The same before the change that was published, where that is not settled. */
  statesBefore(index: number): number {
    const newest = this.#memberVersions.newest(index);
    return this.#state(index, this.#memberVersions.isSettled(index) ? newest : newest ^ 1);
  }

  /** Of all members. */
  *counterRows(): Generator<number, void, void> {
    for (const members of this.#membersOf.values()) for (const each of members) yield this.#rowOf(each);
  }

  /** Stages a ring as it shall be. Flows to the machines in `ended` end, also where they stay. */
  stage(after: Ring, ended: ReadonlySet<IpAddress>): void {
    const index = this.#byNumber.get(after.number) ?? this.#make(after.number);
    const before = new Map(
      (this.#membersOf.get(index) ?? []).map((each) => [this.#machineOf(each), each] as const),
    );
    const members = new Map<number, number>();
    const states = new Map<number, number>();
    const indices = after.members.map((each) => {
      const address = readAddress(each.address, this.#address);
      const machine = this.#backends.indexOf(address);
      const kept = members.get(machine) ?? (ended.has(each.address) ? undefined : before.get(machine));
      const found = kept ?? this.#makeMember(index, this.#backends.use(address, true));
      members.set(this.#machineOf(found), found);
      states.set(found, (states.get(found) ?? 0) | stateOf(each));
      return found;
    });
    for (const [found, state] of states) this.#setState(found, state);
    for (const [machine, each] of before) if (members.get(machine) !== each) this.#dropMember(each);
    this.#keepMembers(index, [...members.values()]);
    this.#setSlots(index, after.slots, indices);
  }

  /** Stages that a ring is gone. */
  remove(number: number): void {
    const index = this.indexOf(number);
    for (const each of this.#membersOf.get(index) ?? []) this.#dropMember(each);
    this.#setRange(index, rangeGone, 0);
    this.#undo.push(() => this.#byNumber.set(number, index));
    this.#byNumber.delete(number);
    this.#keepMembers(index, undefined);
  }

  abort(): void {
    for (const undo of this.#undo.toReversed()) undo();
    this.#undo = [];
    for (const versions of [this.#versions, this.#memberVersions]) {
      for (let at = 0; at < versions.staged.length; at += 1) versions.rollBack(versions.staged.at(at));
      versions.staged.clear();
    }
    this.rows.abort();
    this.memberRows.abort();
    this.units.abort();
  }

  /** Returns what has to be done after the grace period. */
  publish(): () => void {
    this.#undo = [];
    this.rows.publish();
    this.memberRows.publish();
    this.units.publish();
    const rings = this.#versions.staged.take();
    const members = this.#memberVersions.staged.take();
    return () => {
      for (const index of rings) this.#settle(index);
      for (const index of members) this.#settleMember(index);
    };
  }

  /** After a restart; the grace period is over. Throws `Mismatch`. */
  recover(): void {
    for (let index = 0; index < this.rows.capacity; index += 1) {
      const place = this.#versions.recover(index);
      const number = this.#rings.get(index * ringStride + ring.number / 4);
      if (number === 0) continue;
      const { first, size } = this.#range(index, place);
      if (first === rangeGone) {
        this.#rings.put(index * ringStride + ring.number / 4, 0);
        continue;
      }
      if (this.#byNumber.has(number) || (size > 0 && !this.units.mark(first, unitsFor(size)))) {
        throw new Mismatch(`ring ${number} overlaps with another`);
      }
      this.rows.mark(index);
      this.#byNumber.set(number, index);
      this.#membersOf.set(index, []);
    }
    const members = new Map(this.#membersOf.keys().map((index): [number, number[]] => [index, []]));
    for (let index = 0; index < this.memberRows.capacity; index += 1) this.#recoverMember(index, members);
    for (const [index, list] of members) this.#membersOf.set(index, list);
  }

  #recoverMember(index: number, members: ReadonlyMap<number, number[]>): void {
    const place = this.#memberVersions.recover(index);
    if (this.#state(index, place) === 0) return;
    const ringIndex = this.#members.get(index * memberStride + member.ring / 4);
    const others = members.get(ringIndex);
    const row = this.#rowOf(index);
    if (others === undefined || !this.#counters.mark(row)) throw new Mismatch(`member ${index} has no ring`);
    this.memberRows.mark(index);
    others.push(index);
    const machine = this.#machineOf(index);
    this.#backends.uses.recover(machine);
    this.#backends.ringUses.recover(machine);
    this.#ports.addMachine(ringIndex, machine);
  }

  #make(number: number): number {
    const index = this.rows.take();
    const place = this.#versions.newest(index);
    this.#rings.put(index * ringStride + rangesAt + place * 2, rangeGone);
    this.#rings.put(index * ringStride + rangesAt + place * 2 + 1, 0);
    this.#rings.put(index * ringStride + ring.number / 4, number);
    this.#setRange(index, 0, 0);
    this.#undo.push(() => {
      this.#byNumber.delete(number);
      this.#rings.put(index * ringStride + ring.number / 4, 0);
    });
    this.#byNumber.set(number, index);
    return index;
  }

  #makeMember(ringIndex: number, machine: number): number {
    const index = this.memberRows.take();
    const at = index * memberStride;
    this.#members.put(at + member.machine / 4, machine);
    this.#members.put(at + member.serial / 4, this.#serials.take());
    this.#members.put(at + member.counter / 4, this.#counters.take());
    this.#members.put(at + member.ring / 4, ringIndex);
    this.#ports.addMachine(ringIndex, machine);
    return index;
  }

  #dropMember(index: number): void {
    this.#setState(index, 0);
    this.#ports.dropMachine(
      this.#members.get(index * memberStride + member.ring / 4),
      this.#machineOf(index),
    );
    this.#backends.unuse(this.#machineOf(index), true);
  }

  #keepMembers(index: number, members: readonly number[] | undefined): void {
    const before = this.#membersOf.get(index);
    this.#undo.push(() => this.#rememberMembers(index, before));
    this.#rememberMembers(index, members);
  }

  #rememberMembers(index: number, members: readonly number[] | undefined): void {
    if (members === undefined) this.#membersOf.delete(index);
    else this.#membersOf.set(index, members);
  }

  #setState(index: number, state: number): void {
    if (this.#state(index, this.#memberVersions.newest(index)) === state) return;
    const place = this.#memberVersions.open(index);
    const at = index * memberStride + member.states / 4;
    const shift = place * 8;
    this.#members.put(at, (this.#members.get(at) & ~(0xff << shift)) | (state << shift));
    this.#memberVersions.close(index, place);
  }

  /** Fills a fresh range, unless the present one says the same. */
  #setSlots(index: number, slots: Uint16Array, indices: readonly number[]): void {
    const { first, size } = this.#range(index, this.#versions.newest(index));
    if (size === slots.length && this.#hasSlots(first, slots, indices)) return;
    if (slots.length === 0) {
      this.#setRange(index, 0, 0);
      return;
    }
    const unit = this.units.take(unitsFor(slots.length));
    for (let slot = 0; slot < slots.length; slot += 1) {
      this.#slots.put(unit * slotsPerUnit + slot, indices[slots[slot] as number] as number);
    }
    this.#setRange(index, unit, slots.length);
  }

  #hasSlots(first: number, slots: Uint16Array, indices: readonly number[]): boolean {
    for (let slot = 0; slot < slots.length; slot += 1) {
      if (this.#slots.get(first * slotsPerUnit + slot) !== indices[slots[slot] as number]) return false;
    }
    return true;
  }

  #setRange(index: number, first: number, size: number): void {
    const place = this.#versions.open(index);
    const at = index * ringStride + rangesAt + place * 2;
    this.#rings.put(at, first);
    this.#rings.put(at + 1, size);
    this.#versions.close(index, place);
  }

  #range(index: number, place: Place): { readonly first: number; readonly size: number } {
    const at = index * ringStride + rangesAt + place * 2;
    return { first: this.#rings.get(at), size: this.#rings.get(at + 1) };
  }

  #state(index: number, place: Place): number {
    return (this.#members.get(index * memberStride + member.states / 4) >>> (place * 8)) & 0xff;
  }

  #machineOf(index: number): number {
    return this.#members.get(index * memberStride + member.machine / 4);
  }

  #rowOf(index: number): number {
    return this.#members.get(index * memberStride + member.counter / 4);
  }

  #settle(index: number): void {
    const place = this.#versions.newest(index);
    const before = this.#range(index, place ^ 1);
    const after = this.#range(index, place);
    this.#versions.settle(index);
    if (before.size > 0 && (before.first !== after.first || after.size === 0)) {
      this.units.free(before.first, unitsFor(before.size));
    }
    if (after.first !== rangeGone) return;
    this.#rings.put(index * ringStride + ring.number / 4, 0);
    this.rows.free(index);
  }

  #settleMember(index: number): void {
    const gone = this.#state(index, this.#memberVersions.newest(index)) === 0;
    this.#memberVersions.settle(index);
    if (!gone) return;
    this.memberRows.free(index);
    this.#counters.free(this.#rowOf(index));
  }
}

function unitsFor(size: number): number {
  return Math.ceil(size / slotsPerUnit);
}

/** As `ring_live` of the nftables plane has it. */
function stateOf({ eligible, keepsUdp, drained }: RingMember): number {
  if (drained) return memberState.drained;
  return eligible || keepsUdp ? memberState.tcp | memberState.udp : memberState.tcp;
}
