// The only place that writes: standard output, standard error, and whether they take colours.

/** One of the two output streams. */
export interface Channel {
  write(text: string): void;
  readonly isTerminal: boolean;
  readonly colours: boolean;
}

export interface Terminal {
  readonly out: Channel;
  readonly err: Channel;
}

function channel(stream: NodeJS.WriteStream): Channel {
  const isTerminal = stream.isTTY === true;
  const noColour = process.env.NO_COLOR ?? '';
  return {
    write: (text) => {
      stream.write(text);
    },
    isTerminal,
    colours: isTerminal && noColour === '' && process.env.TERM !== 'dumb',
  };
}

/** The process's own streams. A reader that goes away, as `head` does, ends the command quietly. */
export function processTerminal(): Terminal {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
  return { out: channel(process.stdout), err: channel(process.stderr) };
}
