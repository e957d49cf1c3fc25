// A line on the terminal that says how far long work is; nothing where nobody watches.
import type { Channel } from '../terminal.ts';
import { count } from './format.ts';

/** Work below this is over before the line can be read. */
const worthShowing = 20_000;

export class ProgressLine {
  readonly #channel: Channel;
  #shown = false;

  constructor(channel: Channel) {
    this.#channel = channel;
  }

  show({ sent, total }: { readonly sent: number; readonly total: number }): void {
    if (!this.#channel.isTerminal || total < worthShowing) return;
    this.#shown = true;
    const text = sent < total ? `sent ${count(sent)} of ${count(total)}` : 'sent all; the agent is at work';
    this.#channel.write(`\r\x1b[K${text}`);
  }

  [Symbol.dispose](): void {
    if (this.#shown) this.#channel.write('\r\x1b[K');
  }
}
