// A list of whole numbers that grows: what a change touched, without an object for each.

export class IntList {
  #values = new Int32Array(64);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(value: number): void {
    if (this.#length === this.#values.length) {
      const larger = new Int32Array(this.#length * 2);
      larger.set(this.#values);
      this.#values = larger;
    }
    this.#values[this.#length++] = value;
  }

  at(index: number): number {
    return this.#values[index] as number;
  }

  clear(): void {
    this.#length = 0;
    // The memory of a very large change is not kept.
    if (this.#values.length > 65_536) this.#values = new Int32Array(64);
  }

  /** Hands over what is in the list, and starts anew. */
  take(): Int32Array {
    const taken = this.#values.subarray(0, this.#length);
    this.#values = new Int32Array(64);
    this.#length = 0;
    return taken;
  }
}
