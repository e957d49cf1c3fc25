// Runs commands on Vagrant's machines, over one connection to each: an emulated machine takes seconds to agree on keys.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';

export type Machine = 'gateway' | 'client' | 'backend1' | 'backend2' | 'single';

export class Ssh implements AsyncDisposable {
  readonly #directory: string;
  readonly #machines: readonly Machine[];

  private constructor(directory: string, machines: readonly Machine[]) {
    this.#directory = directory;
    this.#machines = machines;
  }

  /** As `vagrant ssh` would reach them; rejects with Vagrant's words where a machine does not run. */
  static async open(machines: readonly Machine[]): Promise<Ssh> {
    const { stdout } = await execa('vagrant', ['ssh-config', ...machines]);
    const directory = await mkdtemp(join(tmpdir(), 'penstock-ssh-'));
    const shared = `Host *\n  ControlMaster auto\n  ControlPath ${directory}/%n\n  ControlPersist 600\n`;
    await writeFile(join(directory, 'config'), `${stdout}\n${shared}`);
    return new Ssh(directory, machines);
  }

  /** What ssh(1) is called with to run this there. */
  command(machine: Machine, words: readonly string[]): readonly string[] {
    return ['ssh', '-F', join(this.#directory, 'config'), machine, '--', ...words.map(quoted)];
  }

  /** Resolves with what it prints; rejects when it fails, with what it said. */
  async run(machine: Machine, words: readonly string[], input = ''): Promise<string> {
    const [file = '', ...args] = this.command(machine, words);
    return (await execa(file, args, { input })).stdout;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const machine of this.#machines) {
      await execa('ssh', ['-F', join(this.#directory, 'config'), '-O', 'exit', machine], { reject: false });
    }
    await rm(this.#directory, { recursive: true, force: true });
  }
}

/** For the shell at the other end. */
export function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
