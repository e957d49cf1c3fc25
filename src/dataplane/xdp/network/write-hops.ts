// Puts into the maps which next hops the program may remember, while it runs; see `control` and `struct route` of bpf/abi.h.
import { control as controlLayout, route as layout, routesMax } from '../memory/layout.ts';
import type { MapMemory } from '../memory/map-memory.ts';
import { bytesOfNumber, mappedBytes } from './bytes.ts';
import type { Elsewhere } from './elsewhere.ts';
import type { HopPolicy } from './hop-policy.ts';
import { type HopRoute, maskOf, type Prefix } from './prefix.ts';

/** ROUTE_ASK, ROUTE_GATEWAY */
const kinds = { ask: 0, gateway: 1 } as const;

/**
 * How often the agent says that it lives and the policy stands, in ms. The program trusts a word for three seconds, by its
 * own clock: 0 forbids, any new other value is a new word.
 */
const beatEvery = 500;
/** For tests of the program: trusted without an end. */
const always = 0xffffffff;
/** ELSEWHERE_ALL */
const elsewhereAll = 255;

export interface HopWriter {
  /**
   * Makes the program follow this policy: at once where it forbids something, after a grace period where it allows more.
   * Of calls that come meanwhile the last one counts. `elsewhere` and the policy's routes share one bank.
   */
  write(policy: HopPolicy, elsewhere?: Elsewhere): Promise<void>;
  /** The program goes on for three seconds by what it was told last, and then asks the FIB for each packet. */
  close(): void;
}

export interface HopMemory {
  readonly control: MapMemory;
  readonly routes: MapMemory;
}

/** `grace` resolves when no packet is under way any more that could have read what was there at the call. */
export function openHopWriter(memory: HopMemory, grace: () => Promise<void>): HopWriter {
  const words = new Uint32Array(memory.control.buffer, 0, controlLayout.size / 4);
  const cacheWord = controlLayout.hop_cache / 4;
  const routesWord = controlLayout.routes / 4;
  let remember = false;
  let wanted: { readonly policy: HopPolicy; readonly elsewhere: Elsewhere } | undefined;
  let written: string | undefined;
  let writing: Promise<void> | undefined;
  let closed = false;

  // Another one than an earlier agent's, which the program may have stopped trusting.
  let word = words[cacheWord] ?? 0;
  const beat = (): void => {
    word = nextWord(word);
    Atomics.store(words, cacheWord, remember ? word : 0);
  };
  const writeNext = async (): Promise<void> => {
    while (wanted !== undefined && !closed) {
      const { policy, elsewhere } = wanted;
      wanted = undefined;
      remember = policy.remember;
      beat();
      const content = encodeBank(policy.routes, elsewhere.prefixes);
      const count = elsewhere.all ? elsewhereAll : elsewhere.prefixes.length;
      const text = `${count} ${content.toString('latin1')}`;
      if (text === written) continue;
      written = undefined;
      // No list at all meanwhile: the one there is wrong. Its bank has to be kept, as packets may be reading it.
      const before = words[routesWord] ?? 0;
      const bank = before >>> 31;
      const doubtful = count > 0 || ((before >>> 8) & 0xff) > 0 ? elsewhereAll : 0;
      Atomics.store(words, routesWord, ((bank << 31) | (doubtful << 8)) >>> 0);
      await grace();
      if (closed) return;
      const next = 1 - bank;
      content.copy(Buffer.from(memory.routes.buffer, next * routesMax * layout.size, content.length));
      Atomics.store(words, routesWord, ((next << 31) | (count << 8) | policy.routes.length) >>> 0);
      written = text;
    }
  };
  const timer = setInterval(beat, beatEvery);
  timer.unref();

  return {
    write(policy, elsewhere = { prefixes: [], all: false, names: [] }) {
      wanted = { policy, elsewhere };
      writing ??= writeNext().finally(() => {
        writing = undefined;
      });
      return writing;
    },
    close() {
      closed = true;
      clearInterval(timer);
    },
  };
}

/** Neither of the two values with a meaning of their own. */
export function nextWord(word: number): number {
  return word + 1 >= always ? 1 : word + 1;
}

/** The places of one bank that are in use, one after another; next hops unknown. */
export function encodeRoutes(routes: readonly HopRoute[]): Buffer {
  return Buffer.concat(routes.map(encodeRoute));
}

/** All of it: the prefixes at its end, backwards. */
function encodeBank(routes: readonly HopRoute[], elsewhere: readonly Prefix[]): Buffer {
  const bytes = Buffer.alloc(routesMax * layout.size);
  encodeRoutes(routes).copy(bytes);
  for (const [i, prefix] of elsewhere.entries()) {
    encodePrefix(prefix).copy(bytes, (routesMax - 1 - i) * layout.size);
  }
  return bytes;
}

function encodePrefix({ bits, length }: Prefix): Buffer {
  const bytes = Buffer.alloc(layout.size);
  bytesOfNumber(bits).copy(bytes, layout.prefix);
  bytesOfNumber(maskOf(length)).copy(bytes, layout.mask);
  return bytes;
}

function encodeRoute(route: HopRoute): Buffer {
  const bytes = encodePrefix(route);
  bytes.writeUInt32LE(kinds[route.kind], layout.kind);
  if (route.kind === 'gateway') {
    mappedBytes(route.gateway).copy(bytes, layout.gateway);
    bytes.writeUInt32LE(route.link, layout.device);
  }
  return bytes;
}
