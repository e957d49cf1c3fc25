// A long-lived `nft -j -i`: small transactions without starting a program each time.
import { execa } from 'execa';

/** What became of a transaction. */
export type Outcome =
  | { readonly kind: 'done' }
  /** Refused as a whole; `log` is what nft and the kernel said. */
  | { readonly kind: 'refused'; readonly log: string }
  /** The program died or fell silent: whether the kernel committed has to be read from the kernel. */
  | { readonly kind: 'unknown'; readonly log: string };

export interface Session {
  /** Runs the commands, a JSON list without brackets, as one transaction. One call after the other is carried out. */
  run(commands: string): Promise<Outcome>;
  /** Runs commands in text, all in one line, as one transaction. */
  runText(line: string): Promise<Outcome>;
  /** Runs a file of commands in text as one transaction: nft reads that at once, but its input byte by byte. */
  runFile(path: string): Promise<Outcome>;
  close(): Promise<void>;
}

export interface SessionOptions {
  /** Milliseconds until a silent program is given up. */
  readonly limit?: number;
  /** The program and its arguments; tests put another in its place. Its stderr must arrive in its stdout. */
  readonly command?: readonly [string, ...string[]];
}

/** Asks nft for something it knows by itself. The answer comes in order, so what stands before it is about the command before. */
const sentinel = 'describe meta mark';
const sentinelAnswer = /^meta expression, datatype mark\b/;

/** nft keeps each line it reads in its history. */
const commandsPerProgram = 2000;

export function startSession({ limit = 10_000, command }: SessionOptions = {}): Session {
  const [program, ...args] = command ?? ['sh', '-c', 'exec nft -j -i 2>&1'];
  let current: Program | undefined;

  const retire = async (): Promise<void> => {
    const old = current;
    current = undefined;
    await old?.end();
  };

  let turn: Promise<unknown> = Promise.resolve();
  const run = (line: string): Promise<Outcome> => {
    const outcome = turn.then(() => tell(line));
    turn = outcome.catch(() => {});
    return outcome;
  };

  const tell = async (line: string): Promise<Outcome> => {
    if (current !== undefined && (current.ended || current.commands >= commandsPerProgram)) await retire();
    current ??= startProgram(program, args);
    const outcome = await current.run(line, limit);
    if (outcome.kind === 'unknown') await retire();
    return outcome;
  };

  return {
    run: (commands) => run(`{"nftables":[${commands}]}`),
    // What is not JSON, nft takes for text.
    runText: run,
    runFile: (path) => run(`include "${path}"`),
    close: retire,
  };
}

interface Program {
  readonly commands: number;
  readonly ended: boolean;
  run(line: string, limit: number): Promise<Outcome>;
  /** Ends the program, at once if it has to; resolves when it is gone, and with it whatever it had begun. */
  end(): Promise<void>;
}

function startProgram(program: string, args: readonly string[]): Program {
  const subprocess = execa(program, args, {
    stdin: 'pipe',
    stdout: 'pipe',
    stderr: 'ignore',
    buffer: false,
    reject: false,
    // At its end nft writes all that it was told to $HOME/.nft.history; here that cannot be.
    env: { HOME: '/dev/null' },
    forceKillAfterDelay: 1000,
  });
  let commands = 0;
  let ended = false;
  let rest = '';
  let answer: string[] = [];
  let settle: ((outcome: Outcome) => void) | undefined;

  subprocess.stdin.on('error', () => {
    // A broken pipe also ends the program, which is what counts.
  });
  subprocess.stdout.setEncoding('utf8');
  subprocess.stdout.on('data', (chunk: string) => {
    const lines = `${rest}${chunk}`.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (!sentinelAnswer.test(line)) {
        if (line.trim() !== '') answer.push(line);
        continue;
      }
      const log = answer.join('\n');
      answer = [];
      settle?.(log === '' ? { kind: 'done' } : { kind: 'refused', log });
    }
  });
  const gone = subprocess.then(() => {
    ended = true;
    settle?.({ kind: 'unknown', log: [...answer, rest, 'nft ended'].filter(Boolean).join('\n') });
  });

  return {
    get commands() {
      return commands;
    },
    get ended() {
      return ended;
    },
    run(line, limit) {
      commands += 1;
      return new Promise((resolve) => {
        const timer = setTimeout(() => {
          settle?.({ kind: 'unknown', log: `nft did not answer within ${limit} ms` });
        }, limit);
        settle = (outcome) => {
          settle = undefined;
          clearTimeout(timer);
          resolve(outcome);
        };
        if (ended) settle({ kind: 'unknown', log: 'nft ended' });
        else subprocess.stdin.write(`${line}\n${sentinel}\n`);
      });
    },
    async end() {
      subprocess.stdin.end();
      const timer = setTimeout(() => subprocess.kill('SIGKILL'), 200);
      await gone;
      clearTimeout(timer);
    },
  };
}
