// Which ports of which machines balanced rules lead to. Where a mapping leads to one of them as well, an answer of the machine
// alone does not tell whose it is.
const protocolBits = 0xff0000;
const portBits = 0xffff;

/** How often each thing is there. */
type Bag = Map<number, number>;

export class RingPorts {
  /** By ring (index): keys (see `keyOf`) of the machines' ports. */
  readonly #ports = new Map<number, Bag>();
  /** By ring: its machines. */
  readonly #machines = new Map<number, Bag>();
  /** By machine: its rings. */
  readonly #rings = new Map<number, Bag>();
  /** Machines and ports that the present change has brought together. */
  #met: { readonly ring: number; readonly machine?: number; readonly key?: number }[] = [];
  #undo: (() => void)[] = [];

  /** A balanced rule leads to this port of a ring's machines; port 0: to every port. */
  addPort(ring: number, key: number): void {
    if (this.#step(this.#ports, ring, key, 1) === 1) this.#met.push({ ring, key });
  }

  dropPort(ring: number, key: number): void {
    this.#step(this.#ports, ring, key, -1);
  }

  addMachine(ring: number, machine: number): void {
    this.#step(this.#rings, machine, ring, 1);
    if (this.#step(this.#machines, ring, machine, 1) === 1) this.#met.push({ ring, machine });
  }

  dropMachine(ring: number, machine: number): void {
    this.#step(this.#rings, machine, ring, -1);
    this.#step(this.#machines, ring, machine, -1);
  }

  /** Whether a balanced rule may lead to this port of a machine. */
  covers(machine: number, key: number): boolean {
    for (const ring of this.#rings.get(machine)?.keys() ?? []) {
      const ports = this.#ports.get(ring);
      if (ports === undefined) continue;
      if (ports.has(key) || ports.has(key & protocolBits)) return true;
      if ((key & portBits) === 0 && [...ports.keys()].some((port) => (port & protocolBits) === key))
        return true;
    }
    return false;
  }

  /** Each machine with each port that the present change has brought together. */
  *met(): Generator<readonly [machine: number, key: number], void, void> {
    const met = this.#met;
    this.#met = [];
    for (const { ring, machine, key } of met) {
      const machines = machine === undefined ? [...(this.#machines.get(ring)?.keys() ?? [])] : [machine];
      const keys = key === undefined ? [...(this.#ports.get(ring)?.keys() ?? [])] : [key];
      for (const one of machines) for (const port of keys) yield [one, port];
    }
  }

  abort(): void {
    for (const undo of this.#undo.toReversed()) undo();
    this.publish();
  }

  /** Also after a restart: what is there is how it has been. */
  publish(): void {
    this.#undo = [];
    this.#met = [];
  }

  #step(bags: Map<number, Bag>, owner: number, thing: number, by: number): number {
    this.#undo.push(() => count(bags, owner, thing, -by));
    return count(bags, owner, thing, by);
  }
}

function count(bags: Map<number, Bag>, owner: number, thing: number, by: number): number {
  const bag = bags.get(owner) ?? new Map<number, number>();
  const sum = (bag.get(thing) ?? 0) + by;
  if (sum === 0) bag.delete(thing);
  else bag.set(thing, sum);
  if (bag.size === 0) bags.delete(owner);
  else bags.set(owner, bag);
  return sum;
}
