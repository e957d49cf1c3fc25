// The flow table as the agent reads it while packets write it, and the only thing that it changes there: flows are forgotten.
import type { Connection, End } from '../../reset/connection.ts';
import { bucket, flow, flowKind, flowState, flowWays, frontend, member, ring, target } from './layout.ts';
import type { Memory } from './map-memory.ts';

const wordsPerBucket = bucket.size / 8;
const tcp = 6;

/** A flow as it was found; `place` is where, `word` what its word was. */
export interface FoundFlow {
  readonly place: number;
  readonly word: bigint;
  readonly kind: number;
  readonly protocol: number;
  readonly frontend: number;
  readonly frontendSerial: number;
  /** Of a balanced flow: index in `members`, and its serial. */
  readonly to: number;
  readonly memberSerial: number;
  /** Whether the machine sees the client by another port than its own. */
  readonly isReported: boolean;
}

export class FlowTable {
  readonly #memory: Memory;
  readonly #words: BigInt64Array;
  readonly #halves: Int32Array;
  readonly #bytes: Buffer;

  constructor(memory: Memory) {
    const { buffer, entries } = memory.flows;
    this.#memory = memory;
    this.#words = new BigInt64Array(buffer, 0, entries * wordsPerBucket);
    this.#halves = new Int32Array(buffer, 0, entries * wordsPerBucket * 2);
    this.#bytes = Buffer.from(buffer, 0, entries * bucket.size);
  }

  /** Places are below. */
  get capacity(): number {
    return this.#memory.flows.entries * flowWays;
  }

  /** In steps: each flow, by its place and the low half of its word, which has its state and when it was last seen. */
  *each(onFlow: (place: number, low: number) => void): Generator<void, void, void> {
    const { entries } = this.#memory.flows;
    for (let index = 0; index < entries; index += 1) {
      if (index % 4096 === 4095) yield;
      for (let way = 0; way < flowWays; way += 1) {
        const low = this.#halves[(index * wordsPerBucket + way) * 2] as number;
        if (low >>> 24 >= flowState.fresh) onFlow(index * flowWays + way, low);
      }
    }
  }

  /** Undefined where somebody was writing there. */
  read(place: number): FoundFlow | undefined {
    const word = this.#wordAt(place);
    const at = this.#flowAt(place);
    const bytes = this.#bytes;
    const found = {
      place,
      word,
      kind: bytes.readUInt8(at + flow.kind),
      protocol: bytes.readUInt8(at + flow.protocol),
      frontend: bytes.readUInt32LE(at + flow.frontend),
      frontendSerial: bytes.readUInt32LE(at + flow.frontend_serial),
      to: bytes.readUInt32LE(at + flow.to),
      memberSerial: bytes.readUInt32LE(at + flow.member_serial),
      isReported: bytes.readUInt16BE(at + flow.client_port) !== bytes.readUInt16BE(at + flow.sent_port),
    };
    return this.#isSame(place, word) ? found : undefined;
  }

  /** False of a flow whose target is gone: the program follows it no more. */
  isCurrent({ frontend: index, frontendSerial }: FoundFlow): boolean {
    const { buffer, entries } = this.#memory.frontends;
    if (index >= entries) return false;
    const targets = Buffer.from(buffer, index * frontend.size + frontend.targets, 2 * target.size);
    return [0, target.size].some((at) => targets.readUInt32LE(at + target.serial) === frontendSerial);
  }

  /** The ends of a flow that was found; undefined where it is another by now. */
  connection({ place, word, frontend: index }: FoundFlow): Connection | undefined {
    const at = this.#flowAt(place);
    const front = Buffer.from(this.#memory.frontends.buffer, index * frontend.size, frontend.size);
    const client = this.#address(at + flow.client);
    const end = (address: Buffer, port: number): End => ({
      address,
      port: this.#bytes.readUInt16BE(at + port),
    });
    const found = {
      client: end(client, flow.client_port),
      frontend: end(shortened(front.subarray(frontend.address, frontend.address + 16)), flow.frontend_port),
      machine: end(this.#address(at + flow.machine), flow.machine_port),
      peer: end(client, flow.sent_port),
    };
    return this.#isSame(place, word) ? found : undefined;
  }

  /** The number of the ring that a balanced flow came by, and its machine; undefined where its member is gone. */
  origin({
    place,
    to,
    memberSerial,
  }: FoundFlow): { readonly ring: number; readonly machine: string } | undefined {
    const { members, rings } = this.#memory;
    if (to >= members.entries) return undefined;
    const owner = Buffer.from(members.buffer, to * member.size, member.size);
    if (owner.readUInt32LE(member.serial) !== memberSerial) return undefined;
    const index = owner.readUInt32LE(member.ring);
    const number = Buffer.from(rings.buffer, index * ring.size, ring.size).readUInt32LE(ring.number);
    return { ring: number, machine: this.#address(this.#flowAt(place) + flow.machine).toString('hex') };
  }

  /** Unless a packet has come since. */
  forget({ place, word }: FoundFlow): void {
    Atomics.compareExchange(this.#words, this.#wordPlace(place), word, 0n);
  }

  /** Whether the word has not changed but for the time: the content is the same then. */
  #isSame(place: number, word: bigint): boolean {
    return this.#wordAt(place) >> 32n === word >> 32n;
  }

  #wordAt(place: number): bigint {
    return Atomics.load(this.#words, this.#wordPlace(place));
  }

  #wordPlace(place: number): number {
    return Math.floor(place / flowWays) * wordsPerBucket + (place % flowWays);
  }

  #flowAt(place: number): number {
    return Math.floor(place / flowWays) * bucket.size + bucket.flows + (place % flowWays) * flow.size;
  }

  #address(at: number): Buffer {
    return shortened(this.#bytes.subarray(at, at + 16));
  }
}

/** Whether it is a connection that both sides have spoken in. */
export function isOpenConnection({ kind, protocol, word }: FoundFlow): boolean {
  return kind === flowKind.balanced && protocol === tcp && stateOf(word) === flowState.open;
}

function stateOf(word: bigint): number {
  return Number((word >> 24n) & 0xffn);
}

const mapped = Buffer.from('00000000000000000000ffff', 'hex');

/** A copy; of an IPv4 address its four bytes. */
function shortened(address: Buffer): Buffer {
  return Buffer.from(address.subarray(0, 12).equals(mapped) ? address.subarray(12) : address);
}
