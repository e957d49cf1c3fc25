// How much goes into one message of a stream.

/** Things in a chunk: making one must not keep the event loop busy for longer than others can wait. */
const itemLimit = 2_000;
/** Bytes of a chunk: a quarter of what gRPC takes by default. */
const byteLimit = 1_000_000;

/** Counts what a chunk holds already. */
export class ChunkSize {
  #items = 0;
  #bytes = 0;

  /** True where a thing of so many bytes would be too much; never for the first. */
  isFullFor(bytes: number): boolean {
    return this.#items > 0 && (this.#items >= itemLimit || this.#bytes + bytes > byteLimit);
  }

  add(bytes: number): void {
    this.#items += 1;
    // Its tag and length in the message around it.
    this.#bytes += bytes + 6;
  }
}

/** Cuts a sequence into lists that fit into one message each; the sequence is read only as far as asked for. */
export function* inChunks<T>(items: Iterable<T>, sizeOf: (item: T) => number): Generator<readonly T[]> {
  let chunk: T[] = [];
  let size = new ChunkSize();
  for (const item of items) {
    const bytes = sizeOf(item);
    if (size.isFullFor(bytes)) {
      yield chunk;
      chunk = [];
      size = new ChunkSize();
    }
    chunk.push(item);
    size.add(bytes);
  }
  if (chunk.length > 0) yield chunk;
}
