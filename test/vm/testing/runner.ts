// Runs the runner as a user would, in a temporary directory of its own, so that what it leaves behind is seen.
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';

const main = new URL('../main.ts', import.meta.url).pathname;

export interface Settings {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** What the runner is started through, such as unshare(1). */
  readonly through?: readonly string[];
}

/** One run of scripts/vm, without the installation that goes before. */
export class Runner {
  readonly process;
  readonly #temporary: string;

  private constructor(args: readonly string[], { env, cwd, through = [] }: Settings, temporary: string) {
    this.#temporary = temporary;
    const [file = '', ...rest] = [...through, process.execPath, main, ...args];
    this.process = execa(file, rest, {
      env: { TMPDIR: temporary, ...env },
      ...(cwd === undefined ? {} : { cwd }),
      reject: false,
      stripFinalNewline: false,
      maxBuffer: 16 * 1024 * 1024,
    });
  }

  static async start(args: readonly string[], settings: Settings = {}): Promise<Runner> {
    return new Runner(args, settings, await mkdtemp(join(tmpdir(), 'vm-test-')));
  }

  /** What it left: files in its temporary directory, and processes that name that directory. Clears the files away. */
  async leftovers(): Promise<readonly string[]> {
    const files = await readdir(this.#temporary);
    const processes = await this.processes();
    await rm(this.#temporary, { recursive: true, force: true });
    return [...files, ...processes.map(({ command }) => command)];
  }

  /** The processes that work in its temporary directory: QEMU, when it runs. */
  async processes(): Promise<readonly { pid: number; command: string }[]> {
    const found: { pid: number; command: string }[] = [];
    for (const entry of await readdir('/proc')) {
      if (!/^\d+$/.test(entry)) continue;
      // Empty for one that only waits to be reaped.
      const command = await readFile(`/proc/${entry}/cmdline`, 'utf8').catch(() => '');
      if (command.includes(this.#temporary)) {
        found.push({ pid: Number(entry), command: command.replaceAll('\0', ' ') });
      }
    }
    return found;
  }
}

/** Runs it to its end. */
export async function vm(args: readonly string[], settings: Settings = {}) {
  const runner = await Runner.start(args, settings);
  const { exitCode, stdout, stderr } = await runner.process;
  return { exitCode, stdout, stderr, leftovers: await runner.leftovers() };
}
