// One writer: tasks run one at a time, in the order in which they came.

export class SerialQueue {
  #tail: Promise<unknown> = Promise.resolve();

  /** Runs a task after all earlier ones have settled; a task that fails does not hold up the next. */
  run<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(task);
    this.#tail = result.catch(() => {});
    return result;
  }
}
