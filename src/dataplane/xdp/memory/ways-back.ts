// Which frontend the answers of a machine's port belong to. As long as only one leads there nothing else has to be known about
// a flow; as soon as several do, flows are tracked, and stay so until the last of them is gone: a client's port may have
// been changed for one of these flows.
import type { Backends } from './backends.ts';
import { Counts } from './counts.ts';
import type { Frontends } from './frontends.ts';
import { kindOf } from './frontends.ts';
import { targetKind, way } from './layout.ts';
import type { RingPorts } from './ring-ports.ts';
import { Mismatch } from './trouble.ts';

const protocolBits = 0xff0000;
const portBits = 0xffff;

export class WaysBack {
  /** Frontends that lead to each entry of `backends`. */
  readonly uses: Counts;
  /** Frontends for every port that lead to each machine. */
  readonly everyPort: Counts;
  readonly #frontends: Frontends;
  readonly #backends: Backends;
  readonly #ringPorts: RingPorts;
  readonly #address = new Int32Array(4);
  /** Machines to which frontends for every port lead since the present change: the others have to be looked at. */
  #widened = new Set<number>();

  constructor(frontends: Frontends, backends: Backends, ringPorts: RingPorts) {
    this.uses = new Counts(backends.table.capacity);
    this.everyPort = new Counts(backends.machines.capacity);
    this.#frontends = frontends;
    this.#backends = backends;
    this.#ringPorts = ringPorts;
  }

  /** The key of the way back of a target: its own port, or else that of its frontend. */
  static key(how: number, frontendKey: number): number {
    const port = how & portBits;
    return (frontendKey & protocolBits) | (port === 0 ? frontendKey & portBits : port);
  }

  /**
   * A frontend leads there from now on (its machine counts it already): how its flows have to be treated. Throws
   * `NotSettled` and `Full`.
   */
  join(machine: number, key: number, frontend: number): number {
    const address = this.#backends.addressOf(machine, this.#address);
    const overlaps = this.#widen(machine, key) || this.#ringPorts.covers(machine, key);
    const entry = this.#backends.table.find(address, key);
    const shared = overlaps ? way.shared : 0;
    if (entry < 0) {
      this.uses.add(this.#backends.claim(address, key, way.exists | shared | frontend));
      return overlaps ? targetKind.tracked : targetKind.nat;
    }
    // Whoever left in the same change takes all its flows along.
    const alone = this.uses.get(entry) === 0;
    if (alone) this.#backends.stage(entry, way.exists | shared | frontend);
    else this.#share(entry);
    this.uses.add(entry);
    return alone && !overlaps ? targetKind.nat : targetKind.tracked;
  }

  /** A frontend leads there no more. Throws `NotSettled`. */
  leave(machine: number, key: number, frontend: number): void {
    const entry = this.#backends.table.find(this.#backends.addressOf(machine, this.#address), key);
    if (entry < 0) throw new Mismatch(`frontend ${frontend} has no way back`);
    const value = this.#backends.newest(entry);
    if (this.uses.get(entry) === 1) this.#backends.stage(entry, 0);
    else if ((value & way.index) === frontend) this.#backends.stage(entry, value | way.nobody);
    this.uses.drop(entry);
    if ((key & portBits) === 0) this.everyPort.drop(machine);
  }

  /**
   * The last steps of a change: frontends for every port, and balanced rules, make other ways to their machines ambiguous.
   */
  *conclude(): Generator<void, void, void> {
    for (const [machine, key] of this.#ringPorts.met()) {
      if ((key & portBits) === 0) this.#widened.add(machine);
      this.#shareWith(machine, key);
      this.#shareWith(machine, key & protocolBits);
    }
    if (this.#widened.size === 0) return;
    const { table } = this.#frontends;
    for (let index = 0; index < table.capacity; index += 1) {
      if (index % 16_384 === 16_383) yield;
      const frontendKey = table.key(index);
      if (frontendKey === 0) continue;
      const { how, to } = this.#frontends.newest(index);
      if (kindOf(how) !== targetKind.nat || !this.#widened.has(to)) continue;
      const key = WaysBack.key(how, frontendKey);
      const entry = this.#backends.table.find(this.#backends.addressOf(to, this.#address), key);
      if (entry >= 0) this.#share(entry);
    }
    this.#widened.clear();
  }

  abort(): void {
    this.uses.abort();
    this.everyPort.abort();
    this.#widened.clear();
  }

  publish(): void {
    this.uses.publish();
    this.everyPort.publish();
  }

  /** Whether another way to the machine overlaps with this one, which is noted. */
  #widen(machine: number, key: number): boolean {
    if ((key & portBits) === 0) {
      const { uses, ringUses } = this.#backends;
      const others = uses.get(machine) - ringUses.get(machine) - this.everyPort.add(machine);
      if (others > 0) this.#widened.add(machine);
      return others > 0;
    }
    if (this.everyPort.get(machine) === 0) return false;
    const entry = this.#backends.table.find(this.#address, key & protocolBits);
    if (entry < 0 || this.uses.get(entry) === 0) return false;
    this.#share(entry);
    return true;
  }

  #shareWith(machine: number, key: number): void {
    const entry = this.#backends.table.find(this.#backends.addressOf(machine, this.#address), key);
    if (entry >= 0 && this.uses.get(entry) > 0) this.#share(entry);
  }

  #share(entry: number): void {
    const value = this.#backends.newest(entry);
    if ((value & way.shared) !== 0) return;
    const owner = value & way.index;
    if (owner !== way.nobody) this.#frontends.track(owner);
    this.#backends.stage(entry, value | way.shared);
  }
}
