// Makes good frames bad, and other people's frames ours, in ways that parsers trip over.
import { addressBytes } from '../frame/address.ts';
import type { Random } from './random.ts';

/** As long as a frame in one buffer may be in a test run. */
const longest = 3400;

const words = [
  0, 1, 5, 7, 8, 14, 20, 28, 40, 0x0800, 0x8100, 0x88a8, 0x86dd, 0x0806, 0x2000, 0x4000, 0x7fff, 0x8000,
  0xffff,
];
const bytes = [0, 1, 4, 5, 6, 15, 17, 0x40, 0x44, 0x45, 0x46, 0x4f, 0x60, 43, 44, 51, 58, 59, 60, 128, 255];

export interface Material {
  readonly frames: readonly Uint8Array[];
  /** IPv4 and IPv6 addresses that mean something to the program. */
  readonly addresses: readonly string[];
  readonly ports: readonly number[];
}

/** A new frame of one of the material's, with one to four things otherwise. */
export function mutate(frame: Uint8Array, material: Material, random: Random): Uint8Array {
  let mutant: Uint8Array = Uint8Array.from(frame);
  for (let left = 1 + random.below(4); left > 0; left -= 1)
    mutant = random.of(mutations)(mutant, material, random);
  return mutant;
}

type Mutation = (frame: Uint8Array, material: Material, random: Random) => Uint8Array;

const mutations: readonly Mutation[] = [
  (frame, _, random) => set(frame, random.below(frame.length), [random.below(256)]),
  (frame, _, random) => set(frame, random.below(frame.length), [random.of(bytes)]),
  (frame, _, random) => {
    const at = random.below(frame.length);
    return set(frame, at, [(frame[at] ?? 0) ^ (1 << random.below(8))]);
  },
  (frame, _, random) => word(frame, 12 + random.below(60), random.of(words)),
  // The headers are where it matters.
  (frame, _, random) => set(frame, 12 + random.below(60), [random.below(256)]),
  (frame, _, random) => set(frame, 12 + random.below(60), [random.of(bytes)]),
  (frame, _, random) => frame.slice(0, Math.max(14, random.below(frame.length + 1))),
  (frame, _, random) => {
    const tail = Uint8Array.from({ length: random.below(64) }, () => random.below(256));
    return frame.length + tail.length > longest ? frame : Uint8Array.of(...frame, ...tail);
  },
  (frame, _, random) =>
    frame.length + 4 > longest
      ? frame
      : Uint8Array.of(...frame.subarray(0, 12), ...random.of(tags), ...frame.subarray(12)),
  (frame) => (frame.length < 22 ? frame : Uint8Array.of(...frame.subarray(0, 12), ...frame.subarray(16))),
  (frame, { frames }, random) => {
    const other = random.of(frames);
    const from = random.below(other.length);
    return set(frame, random.below(frame.length), [...other.subarray(from, from + 1 + random.below(20))]);
  },
  (frame, { addresses }, random) => {
    const address = addressBytes(random.of(addresses));
    const header = 14 + 4 * random.below(3);
    const source = header + (address.length === 4 ? 12 : 8);
    return set(frame, source + address.length * random.below(2), [...address]);
  },
  (frame, { ports }, random) => {
    const header = 14 + 4 * random.below(3) + random.of([20, 24, 40, 48]);
    return word(frame, header + 2 * random.below(2), random.of(ports));
  },
];

const tags = [
  [0x81, 0, 0, 9],
  [0x81, 0, 0, 5],
  [0x81, 0, 0xa0, 9],
  [0x88, 0xa8, 0, 6],
  [0x81, 0, 0, 7],
  [0x81, 0, 0, 0],
];

/** What would go beyond the end is left out. */
function set(frame: Uint8Array, at: number, content: readonly number[]): Uint8Array {
  if (at < frame.length) frame.set(content.slice(0, frame.length - at), at);
  return frame;
}

function word(frame: Uint8Array, at: number, value: number): Uint8Array {
  return set(frame, at, [value >> 8, value & 0xff]);
}
