// Starts what has to live on when the process that raised the lab has ended.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { open } from 'node:fs/promises';
import { enter } from './namespaces.ts';
import { findProcess, type Process } from './processes.ts';

/** Starts a command in a namespace, in a session of its own; its output is added to the log. */
export async function startDaemon(
  namespace: string,
  command: readonly string[],
  log: string,
  env: Readonly<Record<string, string>> = {},
): Promise<Process | undefined> {
  const [file, args] = enter(namespace, command);
  await using output = await open(log, 'a');
  const child = spawn(file, args, {
    detached: true,
    stdio: ['ignore', output.fd, output.fd],
    env: { ...process.env, ...env },
  });
  await once(child, 'spawn');
  child.unref();
  return child.pid === undefined ? undefined : await findProcess(child.pid);
}
