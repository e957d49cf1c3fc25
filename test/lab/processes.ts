// Finds and ends a lab's processes. A process belongs to a lab when it lives in one of the lab's network namespaces:
// the kernel keeps that true, also for children and after a crash, where a list of process ids would not.
import { readdir, readFile, readlink, stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { slowness } from '../slowness.ts';
import { namespacePath } from './topology.ts';

export interface Process {
  readonly pid: number;
  /** In clock ticks since boot: tells a process from a later one with the same id. */
  readonly started: number;
}

/** The process with this id, or undefined when there is none or it only waits to be reaped. */
export async function findProcess(pid: number): Promise<Process | undefined> {
  const line = await readFile(`/proc/${pid}/stat`, 'ascii').catch(() => undefined);
  // The command's name stands in parentheses and may hold any character.
  const [state, ...fields] = line?.slice(line.lastIndexOf(')') + 2).split(' ') ?? [];
  const started = Number(fields[18]);
  return state === undefined || state === 'Z' ? undefined : { pid, started };
}

export async function isRunning(process: Process): Promise<boolean> {
  return (await findProcess(process.pid))?.started === process.started;
}

/** All processes in these namespaces, but not the caller. */
export async function processesIn(namespaces: readonly string[]): Promise<readonly Process[]> {
  const inodes = new Set<string>();
  for (const namespace of namespaces) {
    const file = await stat(namespacePath(namespace)).catch(() => undefined);
    if (file !== undefined) inodes.add(`net:[${file.ino}]`);
  }
  const found: Process[] = [];
  for (const entry of await readdir('/proc')) {
    const pid = Number(entry);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    const network = await readlink(`/proc/${pid}/ns/net`).catch(() => '');
    if (!inodes.has(network)) continue;
    const live = await findProcess(pid);
    if (live !== undefined) found.push(live);
  }
  return found;
}

/** Asks, waits, then kills. Resolves when all are gone. */
export async function endProcesses(processes: readonly Process[], patience: number): Promise<void> {
  let left = await signal(processes, 'SIGTERM');
  const deadline = Date.now() + patience * slowness;
  while (left.length > 0 && Date.now() < deadline) {
    await sleep(10);
    left = await stillRunning(left);
  }
  await killProcesses(left);
}

/** Kills at once. Resolves when all are gone. */
export async function killProcesses(processes: readonly Process[]): Promise<void> {
  let left = await signal(processes, 'SIGKILL');
  while (left.length > 0) {
    await sleep(10);
    left = await stillRunning(left);
  }
}

async function stillRunning(processes: readonly Process[]): Promise<readonly Process[]> {
  const running = await Promise.all(processes.map(isRunning));
  return processes.filter((_, index) => running[index]);
}

async function signal(
  processes: readonly Process[],
  name: 'SIGTERM' | 'SIGKILL',
): Promise<readonly Process[]> {
  const live = await stillRunning(processes);
  for (const { pid } of live) {
    try {
      process.kill(pid, name);
    } catch {
      // Gone since.
    }
  }
  return live;
}
