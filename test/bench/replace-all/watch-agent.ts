// Looks at an agent from outside while it works: memory, the nft processes it starts, and how long it does not answer.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface Health {
  /** Milliseconds of the median answer and of the slowest. */
  readonly usual: number;
  readonly longest: number;
  readonly checks: number;
}

/** Megabytes of 10^6 bytes. */
export interface Memory {
  readonly now: number;
  readonly peak: number;
}

export class HealthProbe implements Disposable {
  readonly #child;

  constructor(address: string) {
    this.#child = fork(join(import.meta.dirname, 'health-probe.ts'), [address], {
      execPath: process.execPath,
    });
  }

  async stop(): Promise<Health> {
    const answer = once(this.#child, 'message');
    this.#child.send('stop');
    const [health] = await answer;
    return health as Health;
  }

  [Symbol.dispose](): void {
    this.#child.kill('SIGKILL');
  }
}

/** Undefined when there is no such process. */
export async function memoryOf(pid: number): Promise<Memory | undefined> {
  const status = await readFile(`/proc/${pid}/status`, 'ascii').catch(() => '');
  const field = (name: string): number =>
    (Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) * 1024) / 1e6;
  const memory = { now: field('VmRSS'), peak: field('VmHWM') };
  return Number.isNaN(memory.now) ? undefined : memory;
}

/** Follows the peak of the largest child until it is stopped. */
export class ChildMemory implements Disposable {
  readonly #pid: number;
  readonly #timer: NodeJS.Timeout;
  #peak = 0;

  constructor(pid: number) {
    this.#pid = pid;
    this.#timer = setInterval(() => void this.#look(), 50);
  }

  get peak(): number {
    return this.#peak;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    const children = await readFile(`/proc/${this.#pid}/task/${this.#pid}/children`, 'ascii').catch(() => '');
    for (const child of children.split(' ').filter(Boolean)) {
      this.#peak = Math.max(this.#peak, (await memoryOf(Number(child)))?.peak ?? 0);
    }
  }
}
