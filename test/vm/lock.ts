// Locks between processes, which their holders cannot leave behind.
import { once } from 'node:events';
import { execa } from 'execa';

/** Runs the work while no one else holds the lock on this file. The signal ends the waiting, and the work is asked to. */
export async function locked<Result>(
  file: string,
  signal: AbortSignal,
  work: () => Promise<Result>,
): Promise<Result> {
  await using _lock = await hold(file, signal);
  return await work();
}

/** Waits for the lock and holds it until it is disposed of; many hold a shared one at a time. */
export async function hold(
  file: string,
  signal?: AbortSignal,
  kind: 'exclusive' | 'shared' = 'exclusive',
): Promise<AsyncDisposable> {
  const lock = await take(file, [`--${kind}`], signal);
  if (lock === undefined) throw new Error(`The lock on ${file} could not be had.`);
  return lock;
}

/** The lock for this holder alone; undefined where another holds it. */
export async function holdUnlessTaken(file: string): Promise<AsyncDisposable | undefined> {
  return await take(file, ['--nonblock']);
}

/** What flock(1) is told to end with. */
const taken = 75;

/** flock(1) holds the lock for us and ends when its standard input does: also when this process is killed. */
async function take(
  file: string,
  options: readonly string[],
  signal?: AbortSignal,
): Promise<AsyncDisposable | undefined> {
  signal?.throwIfAborted();
  const command = [file, 'sh', '-c', 'echo held; exec cat'];
  const holder = execa('flock', [...options, '--conflict-exit-code', `${taken}`, ...command], {
    // Ctrl-C in a terminal is for us alone: the lock is ours until we have cleared away what it protects.
    detached: true,
    reject: false,
  });
  const release = async (): Promise<void> => {
    holder.stdin.end();
    await holder;
  };
  const giveUp = (): void => {
    holder.kill();
    holder.stdin.end();
  };
  signal?.addEventListener('abort', giveUp);
  const held = await Promise.race([
    once(holder.stdout, 'data').then(() => true),
    holder.then(() => false),
  ]).finally(() => signal?.removeEventListener('abort', giveUp));
  if (signal?.aborted === true) await release();
  signal?.throwIfAborted();
  if (held) return { [Symbol.asyncDispose]: release };
  const { exitCode, shortMessage } = await holder;
  if (exitCode === taken) return undefined;
  throw new Error(`The lock on ${file} could not be had: ${shortMessage}`);
}
