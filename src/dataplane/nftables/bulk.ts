// Transactions of more than a few elements: a file in memory-backed scratch space, for nft to read.
import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { execa } from 'execa';
import { transactionDirectory } from './scratch.ts';
import type { Outcome } from './session.ts';

/** Characters; a piece this long takes about a millisecond to put together. */
const pieceLength = 128 * 1024;

export interface BulkFile {
  /** Adds text, and lets other work in between large pieces. */
  write(pieces: Iterable<string>): Promise<void>;
  /** Gives the file to nft as one transaction and removes it: to an nft of its own, unless `through` has another. */
  run(through?: (path: string) => Promise<Outcome>): Promise<Outcome>;
  /** Removes the file without running it. */
  discard(): Promise<void>;
}

export async function createBulkFile(scratch: string, language: 'json' | 'text'): Promise<BulkFile> {
  const directory = await transactionDirectory(scratch);
  const path = join(directory, language === 'json' ? 'commands.json' : 'commands.nft');
  const file = await open(path, 'wx', 0o600);
  let closed = false;
  const close = async (): Promise<void> => {
    if (!closed) await file.close();
    closed = true;
  };
  return {
    async write(pieces) {
      let text = '';
      for (const piece of pieces) {
        text += piece;
        if (text.length < pieceLength) continue;
        await file.write(text);
        text = '';
        await setImmediate();
      }
      if (text !== '') await file.write(text);
    },
    async run(through = (file) => runNft([...(language === 'json' ? ['-j'] : []), '-f', file])) {
      await close();
      try {
        return await through(path);
      } finally {
        await rm(directory, { recursive: true, force: true });
      }
    },
    async discard() {
      await close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Runs nft to its end. `unknown` where it was killed or crashed. */
export async function runNft(args: readonly string[], input?: string): Promise<Outcome> {
  const result = await execa('nft', args, {
    reject: false,
    all: true,
    ...(input === undefined ? { stdin: 'ignore' } : { input }),
  });
  if (result.exitCode === 0) return { kind: 'done' };
  const log = [result.all, result.exitCode === undefined ? result.shortMessage : '']
    .filter(Boolean)
    .join('\n');
  return { kind: result.exitCode === undefined ? 'unknown' : 'refused', log: log || 'nft failed' };
}
