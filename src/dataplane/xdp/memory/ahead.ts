// Memory that will be needed soon, asked for all at once: many waits for it at a time take little longer than one. What is
// read means nothing, but is kept, so that the compiler does not leave the loads out.

import { protocolNumber } from '../../../forwarding/hash.ts';
import type { Entry } from '../../../forwarding/table.ts';
import { readAddress } from './address-words.ts';
import { machineKey } from './backends.ts';
import { keyOf } from './hash.ts';
import type { Parts } from './parts.ts';
import { WaysBack } from './ways-back.ts';

/** So many entries at a time: what was fetched has to stay in the processor's cache until it is needed. */
export const ahead = 32;

export class Ahead {
  readonly #parts: Parts;
  readonly #address = new Int32Array(4);
  /** Where keys are looked for first, and machines: worked out before, so that nothing stands between the loads. */
  readonly #frontends = new Int32Array(ahead);
  readonly #backends = new Int32Array(2 * ahead);
  readonly #machines = new Int32Array(ahead);
  #read = 0;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** What the next entries are looked for in, from the one numbered `from` on. */
  entries(entries: readonly Entry[], from: number): void {
    const { frontends, backends } = this.#parts;
    const to = Math.min(entries.length, from + ahead);
    let ways = 0;
    for (let at = from; at < to; at += 1) {
      const { endpoint, target } = entries[at] as Entry;
      const key = keyOf(endpoint.port, protocolNumber[endpoint.transport]);
      const address = readAddress(endpoint.address, this.#address);
      this.#frontends[at - from] = frontends.table.home(address, key);
      if (target.kind !== 'nat') continue;
      const machine = readAddress(target.address, this.#address);
      this.#backends[ways++] = backends.table.home(machine, machineKey);
      this.#backends[ways++] = backends.table.home(machine, WaysBack.key(keyOf(target.port, 0), key));
    }
    this.#read ^= frontends.table.read(this.#frontends, to - from);
    this.#read ^= backends.table.read(this.#backends, ways);
  }

  /** The machines that the next places of entries lead to, or led to before the present change. */
  machines(places: Int32Array, from: number, when: 'newest' | 'before'): void {
    const { frontends, backends } = this.#parts;
    const to = Math.min(places.length, from + ahead);
    for (let at = from; at < to; at += 1)
      this.#machines[at - from] = frontends[when](places[at] as number).to;
    this.#read ^= backends.readMachines(this.#machines, to - from);
  }
}
