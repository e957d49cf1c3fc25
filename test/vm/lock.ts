// A lock between processes, which its holder cannot leave behind.
import { execa } from 'execa';

/**
 * Runs the work while no one else holds the lock on this file. flock(1) holds it for us and ends when its standard input
 * does: also when this process is killed.
 */
export async function locked<Result>(
  file: string,
  signal: AbortSignal,
  work: () => Promise<Result>,
): Promise<Result> {
  const holder = execa('flock', [file, 'sh', '-c', 'echo held; exec cat'], {
    cancelSignal: signal,
    reject: false,
  });
  try {
    await new Promise<void>((resolve, reject) => {
      holder.stdout.once('data', () => resolve());
      holder.then(
        ({ shortMessage }) => reject(new Error(`The lock on ${file} could not be had: ${shortMessage}`)),
        reject,
      );
    });
    signal.throwIfAborted();
    return await work();
  } finally {
    holder.stdin.end();
    await holder;
  }
}
