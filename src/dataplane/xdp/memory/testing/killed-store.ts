// Ends the agent at a chosen store: all that it has written until then stays, as with kill -9.
import type { MapMemory } from '../map-memory.ts';
import { type OpenStore, Store } from '../store.ts';

/** So many stores are granted. One of `slots` counts only now and then: there, one cut is like another. */
export interface Life {
  left: number;
}

export class Killed extends Error {
  override readonly name = 'Killed';
}

const slotsBetween = 97;

class MortalStore extends Store {
  readonly #life: Life;
  readonly #every: number;

  constructor(memory: MapMemory, life: Life, every: number) {
    super(memory);
    this.#life = life;
    this.#every = every;
  }

  override put(at: number, value: number): void {
    this.#spend(at);
    super.put(at, value);
  }

  override release(at: number, value: number): void {
    this.#spend(at);
    super.release(at, value);
  }

  #spend(at: number): void {
    if (this.#life.left <= 0) throw new Killed();
    if (at % this.#every === 0) this.#life.left -= 1;
  }
}

/** Stores that share a life. */
export function mortal(life: Life, slots: MapMemory): OpenStore {
  return (memory) => new MortalStore(memory, life, memory === slots ? slotsBetween : 1);
}
