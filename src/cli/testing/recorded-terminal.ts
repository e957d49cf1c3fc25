// A terminal that keeps what a command writes, for tests.
import type { Channel, Terminal } from '../terminal.ts';

export class RecordedTerminal implements Terminal {
  stdout = '';
  stderr = '';
  readonly out: Channel;
  readonly err: Channel;

  constructor(colours = false) {
    this.out = {
      write: (text) => {
        this.stdout += text;
      },
      isTerminal: colours,
      colours,
    };
    this.err = {
      write: (text) => {
        this.stderr += text;
      },
      isTerminal: colours,
      colours,
    };
  }
}
