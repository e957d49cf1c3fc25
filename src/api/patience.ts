// Gives up on a stream whose sender has gone quiet, so that what was collected from it is not held for ever.

/** The same items; throws what `tooLong` makes when the next does not come within so many milliseconds. */
export async function* withPatience<T>(
  items: AsyncIterable<T>,
  milliseconds: number,
  tooLong: () => Error,
): AsyncGenerator<T, void, undefined> {
  const iterator = items[Symbol.asyncIterator]();
  for (;;) {
    const { promise: quiet, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => reject(tooLong()), milliseconds);
    try {
      const next = iterator.next();
      // Once given up on, nobody waits for it any more.
      next.catch(() => {});
      const result = await Promise.race([next, quiet]);
      if (result.done === true) return;
      clearTimeout(timer);
      yield result.value;
    } finally {
      clearTimeout(timer);
    }
  }
}
