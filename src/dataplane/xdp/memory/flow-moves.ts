// Flows whose rule comes to another ring of its pool, by a probe or a drain period: they go on to the same machine, as a member
// of that ring. A flow refers to its member, so each is written once. One that has ended already is not to go on again: its
// member is gone or takes no packets of its protocol, and the other ring's may.
import { bucket, flow, flowKind, flowState, flowWays, memberState } from './layout.ts';
import type { MapMemory } from './map-memory.ts';
import type { Rings } from './rings.ts';
import { NotSettled } from './trouble.ts';

const wordsPerBucket = bucket.size / 4;
const wordsPerFlow = flow.size / 4;
const tcp = 6;

/** Flows to be moved. */
export interface Moves {
  /** By the frontend's index: the serial of its target, and the index of the ring that it leads to by now. */
  readonly frontends: Map<number, { readonly serial: number; readonly ring: number }>;
  /** By the ring's index: machines that do not take flows along, although they are members. */
  readonly ended: Map<number, Set<number>>;
}

/** What becomes of flows. */
interface Manner {
  /** The states of the member that a flow has, by which it goes on or has ended; absent: it goes on. */
  readonly states?: (member: number) => number;
  /** Those that cannot go on are forgotten. */
  readonly endsOthers: boolean;
}

export class FlowMoves {
  readonly #rings: Rings;
  readonly #words: Int32Array;
  readonly #pairs: BigInt64Array;
  readonly #buckets: number;
  #staged = nothing();
  /** Published, and `moveAll` not done with them. */
  #pending = 0;

  constructor({ buffer, entries }: MapMemory, rings: Rings) {
    this.#rings = rings;
    this.#words = new Int32Array(buffer, 0, entries * wordsPerBucket);
    this.#pairs = new BigInt64Array(buffer, 0, (entries * wordsPerBucket) / 2);
    this.#buckets = entries;
  }

  /** Throws `NotSettled` where flows of an earlier change are not moved yet: what they have may go with the next. */
  begin(): void {
    if (this.#pending > 0) throw new NotSettled();
  }

  /** A frontend keeps its flows and comes to another ring. */
  stage(frontend: number, serial: number, ring: number): void {
    this.#staged.frontends.set(frontend, { serial, ring });
  }

  /** Flows to a machine that come to this ring end: they were of a member that is gone, whose address another has by now. */
  end(ring: number, machine: number): void {
    const machines = this.#staged.ended.get(ring);
    if (machines === undefined) this.#staged.ended.set(ring, new Set([machine]));
    else machines.add(machine);
  }

  abort(): void {
    this.#staged = nothing();
  }

  /** What is staged has become visible: flows that were not moved yet, or began meanwhile, are left for `moveAll`. */
  publish(): Moves {
    const moves = this.#staged;
    this.#staged = nothing();
    if (moves.frontends.size > 0) this.#pending += 1;
    return moves;
  }

  /**
   * In steps, before the change is visible, once nothing takes it back any more: to members that packets see already. Members
   * of a ring that goes with the change are gone when it is visible.
   */
  *moveStaged(): Generator<void, void, void> {
    yield* this.#move(this.#staged, {
      states: (member) => this.#rings.statesSeen(member),
      endsOthers: false,
    });
  }

  /** In steps, after the grace period. Flows whose machine is no member of the ring, or one that does not take them, end. */
  *moveAll(moves: Moves): Generator<void, void, void> {
    if (moves.frontends.size === 0) return;
    yield* this.#move(moves, { states: (member) => this.#rings.statesBefore(member), endsOthers: true });
    this.#pending -= 1;
  }

  /** In steps, after a restart: `moveAll` of what is staged, whose members may have gone with the last change. */
  *recover(): Generator<void, void, void> {
    const moves = this.#staged;
    this.#staged = nothing();
    yield* this.#move(moves, { endsOthers: true });
  }

  *#move(moves: Moves, manner: Manner): Generator<void, void, void> {
    if (moves.frontends.size === 0) return;
    const members = new Map<number, ReadonlyMap<number, number>>();
    for (let index = 0; index < this.#buckets; index += 1) {
      if (index % 4096 === 4095) yield;
      for (let way = 0; way < flowWays; way += 1) {
        const low = this.#words[index * wordsPerBucket + way * 2] as number;
        if (low >>> 24 < flowState.fresh) continue;
        const place = (index * wordsPerBucket) / 2 + way;
        for (;;) {
          const found = Atomics.load(this.#pairs, place);
          if (!isValid(found) || this.#moveFlow(index, way, moves, manner, members)) break;
          if (!manner.endsOthers) break;
          // Unless a packet has come since: then it may be another flow.
          if (Atomics.compareExchange(this.#pairs, place, found, 0n) === found) break;
        }
      }
    }
  }

  /** False where a flow cannot go on in its ring. */
  #moveFlow(
    index: number,
    way: number,
    moves: Moves,
    { states }: Manner,
    members: Map<number, ReadonlyMap<number, number>>,
  ): boolean {
    const at = index * wordsPerBucket + bucket.flows / 4 + way * wordsPerFlow;
    const word = (field: number): number => this.#words[at + field / 4] as number;
    const kind = (word(flow.protocol) >>> 8) & 0xff;
    const needed = (word(flow.protocol) & 0xff) === tcp ? memberState.tcp : memberState.udp;
    const move = moves.frontends.get(word(flow.frontend));
    if ((kind !== flowKind.balanced && kind !== flowKind.back) || move?.serial !== word(flow.frontend_serial))
      return true;
    const [to, serial] = [word(flow.to), word(flow.member_serial)];
    const present = this.#rings.memberAt(to);
    if (present.ring === move.ring || present.serial !== serial) return true;
    if (states !== undefined && (states(to) & needed) === 0) return false;
    const there = members.get(move.ring) ?? this.#rings.visibleMembers(move.ring);
    members.set(move.ring, there);
    const next = there.get(present.machine);
    if (next === undefined || moves.ended.get(move.ring)?.has(present.machine)) return false;
    if ((this.#rings.statesSeen(next) & needed) === 0) return false;
    const after = joined(next, this.#rings.memberAt(next).serial);
    // Both halves at once, and only if no packet has made another flow of it.
    Atomics.compareExchange(this.#pairs, (at + flow.to / 4) / 2, joined(to, serial), after);
    return true;
  }
}

function nothing(): Moves {
  return { frontends: new Map(), ended: new Map() };
}

function isValid(word: bigint): boolean {
  return Number((word >> 24n) & 0xffn) >= flowState.fresh;
}

/** Index and serial of a member, as they stand in a flow. */
function joined(member: number, serial: number): bigint {
  return BigInt.asIntN(64, (BigInt(serial >>> 0) << 32n) | BigInt(member >>> 0));
}
