// The output of a command, as it comes out of a guest: bytes, and behind them a mark with the exit status.
import { Transform, type TransformCallback } from 'node:stream';

/** Passes on what stands before the mark, as it comes, and drops the rest. */
export class UntilMark extends Transform {
  /** The exit status, once the mark has come. */
  readonly status: Promise<number>;
  readonly #mark: Buffer;
  readonly #resolve: (status: number) => void;
  /** Not passed on: it may be the beginning of the mark. */
  #held = Buffer.alloc(0);
  #ended = false;

  /** The mark is `\0WORD STATUS\n`; the word is one that the command cannot know. */
  constructor(word: string) {
    super();
    this.#mark = Buffer.from(`\0${word} `);
    const { promise, resolve } = Promise.withResolvers<number>();
    this.status = promise;
    this.#resolve = resolve;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    if (this.#ended) {
      done();
      return;
    }
    const bytes = Buffer.concat([this.#held, chunk]);
    const begin = this.#possibleMark(bytes);
    this.#held = bytes.subarray(begin);
    const end = this.#held.indexOf('\n');
    if (end > 0) {
      this.#ended = true;
      this.#resolve(Number(this.#held.subarray(this.#mark.length, end)));
    }
    done(null, bytes.subarray(0, begin));
  }

  /** Also without a mark: what was held back is output then. */
  override _flush(done: TransformCallback): void {
    done(null, this.#ended ? undefined : this.#held);
  }

  #possibleMark(bytes: Buffer): number {
    const whole = bytes.indexOf(this.#mark);
    if (whole >= 0) return whole;
    // Every zero byte of the last few may begin one.
    let begin = bytes.indexOf(0, Math.max(0, bytes.length - this.#mark.length + 1));
    while (begin >= 0 && !this.#mark.subarray(0, bytes.length - begin).equals(bytes.subarray(begin))) {
      begin = bytes.indexOf(0, begin + 1);
    }
    return begin >= 0 ? begin : bytes.length;
  }
}
