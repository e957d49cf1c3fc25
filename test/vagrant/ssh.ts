// Runs commands on Vagrant's machines, over one connection to each: an emulated machine takes seconds to agree on keys.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';

/** Where the Vagrantfile is. */
export const root = join(import.meta.dirname, '../..');

export type Machine = 'gateway' | 'client' | 'backend1' | 'backend2' | 'single';

export class Ssh implements AsyncDisposable {
  readonly #directory: string;
  readonly #machines: readonly Machine[];
  readonly #signal: AbortSignal;
  readonly #onAbort = (): void => void this.#close();
  #closed: Promise<void> | undefined;

  private constructor(directory: string, machines: readonly Machine[], signal: AbortSignal) {
    this.#directory = directory;
    this.#machines = machines;
    this.#signal = signal;
  }

  /**
   * As `vagrant ssh` would reach them; rejects with Vagrant's words where a machine does not run. All that runs there
   * ends when the signal comes.
   */
  static async open(machines: readonly Machine[], signal: AbortSignal): Promise<Ssh> {
    const { stdout } = await execa('vagrant', ['ssh-config', ...machines], {
      cwd: root,
      cancelSignal: signal,
    });
    const ssh = new Ssh(await mkdtemp(join(tmpdir(), 'penstock-ssh-')), machines, signal);
    try {
      await ssh.#connect(stdout);
      return ssh;
    } catch (error) {
      await ssh.#close();
      throw error;
    }
  }

  async #connect(config: string): Promise<void> {
    const shared = `Host *\n  ControlMaster auto\n  ControlPath ${this.#directory}/%n\n  ControlPersist 600\n`;
    await writeFile(join(this.#directory, 'config'), `${config}\n${shared}`);
    // Whatever is run later goes over these connections, and ends with them.
    for (const machine of this.#machines) await this.run(machine, ['true']);
    this.#signal.throwIfAborted();
    this.#signal.addEventListener('abort', this.#onAbort);
  }

  /** What ssh(1) is called with to run this there. */
  command(machine: Machine, words: readonly string[]): readonly string[] {
    return ['ssh', '-F', join(this.#directory, 'config'), machine, '--', ...words.map(quoted)];
  }

  /** Resolves with what it prints; rejects when it fails, with what it said. */
  async run(machine: Machine, words: readonly string[], input = ''): Promise<string> {
    const [file = '', ...args] = this.command(machine, words);
    return (await execa(file, args, { input, cancelSignal: this.#signal })).stdout;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#close();
  }

  async #close(): Promise<void> {
    this.#signal.removeEventListener('abort', this.#onAbort);
    this.#closed ??= (async () => {
      for (const machine of this.#machines) {
        const args = ['-F', join(this.#directory, 'config'), '-O', 'exit', machine];
        // A second Ctrl-C is not for it.
        await execa('ssh', args, { detached: true, reject: false });
      }
      await rm(this.#directory, { recursive: true, force: true });
    })();
    await this.#closed;
  }
}

/** For the shell at the other end. */
export function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
