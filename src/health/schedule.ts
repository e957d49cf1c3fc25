// When which target is probed: spread evenly by a hash, so that thousands are never probed at once. Pure.

/** Milliseconds within which a target that nothing is known of is probed first. */
const firstWithin = 1_000;

/**
 * When a new target is due, on a clock of milliseconds. One that nothing is known of does not wait for its turn: until
 * then it gets no flows.
 */
export function firstDue(key: string, interval: number, isKnown: boolean, now: number): number {
  if (isKnown) return nextDue(key, interval, now);
  return now + (hash(key) % Math.min(interval, firstWithin));
}

/** The next time after `now` at which it is the target's turn: always at the same place of the interval. */
export function nextDue(key: string, interval: number, now: number): number {
  const place = hash(key) % interval;
  return Math.floor((now - place) / interval + 1) * interval + place;
}

/** FNV-1a with a final mix: neighbours in number shall not be neighbours in time. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) value = Math.imul(value ^ text.charCodeAt(at), 0x01000193);
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return (value ^ (value >>> 16)) >>> 0;
}

/** How long a tick of the wheel is, in milliseconds. */
export const tick = 20;
const ticks = 512;

/** Things that are due at some time, in slots of a tick each: adding and taking cost the same, however many there are. */
export class Wheel<T extends { due: number }> {
  readonly #slots: T[][] = Array.from({ length: ticks }, () => []);
  #turned: number;
  #size = 0;

  constructor(now: number) {
    this.#turned = Math.floor(now / tick);
  }

  get size(): number {
    return this.#size;
  }

  add(thing: T): void {
    // What was due before is due with the next tick.
    const at = Math.max(Math.floor(thing.due / tick), this.#turned + 1);
    this.#slots[at % ticks]?.push(thing);
    this.#size += 1;
  }

  /** Takes out all that is due by now, in the order of ticks. What is added meanwhile waits for the next call. */
  take(now: number): readonly T[] {
    const until = Math.floor(now / tick);
    const due: T[] = [];
    // After a long pause, one round sees every slot.
    for (let at = Math.max(this.#turned + 1, until - ticks + 1); at <= until; at += 1) {
      const slot = this.#slots[at % ticks];
      if (slot === undefined || slot.length === 0) continue;
      const later = slot.filter((thing) => Math.floor(thing.due / tick) > until);
      for (const thing of slot) if (Math.floor(thing.due / tick) <= until) due.push(thing);
      this.#slots[at % ticks] = later;
    }
    this.#turned = Math.max(this.#turned, until);
    this.#size -= due.length;
    return due;
  }
}
