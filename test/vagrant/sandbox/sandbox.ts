// A place on this host for Vagrant and libvirt, with network, file systems and processes of its own: what they do to a
// host, they do there, and when its first process ends, all of it has never been.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdir, open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import { findProcess, isRunning, type Process } from '../../lab/processes.ts';
import { cacheDirectory } from '../../vm/cache.ts';
import { needSpace } from '../../vm/space.ts';
import { Trouble } from '../../vm/trouble.ts';
import type { Box } from '../box/build.ts';

const home = join(cacheDirectory, 'vagrant');
const checkout = join(import.meta.dirname, '../../..');
const patience = 60_000;
/** The disks of the machines, as far as they differ from the box, and the box once more. */
const needed = 6 * 1024 ** 3;

export interface Ended {
  readonly failed: boolean;
  /** Undefined when a signal ended it. */
  readonly exitCode?: number | undefined;
  /** Absent when it went elsewhere. */
  readonly stdout?: string | undefined;
}

/** For commands that have nothing to do with Vagrant. */
const noBox: Box = { name: '', file: '' };

export class Sandbox {
  readonly directory: string;
  /** unshare(1), which is in the sandbox but for its process number, and waits for the first process. */
  readonly #gate: Process;

  private constructor(directory: string, gate: Process) {
    this.directory = directory;
    this.#gate = gate;
  }

  /** Of this name; `undefined` when there is none. */
  static async find(name: string): Promise<Sandbox | undefined> {
    const directory = join(home, name);
    const text = await readFile(join(directory, 'gate.json'), 'utf8').catch(() => undefined);
    if (text === undefined) return undefined;
    const gate = JSON.parse(text) as Process;
    return (await isRunning(gate)) ? new Sandbox(directory, gate) : undefined;
  }

  /** Removes what sandboxes have left on disk whose processes were killed. */
  static async sweep(): Promise<void> {
    for (const name of await readdir(home).catch(() => [])) {
      const bound = name.startsWith('circle-') && (await findProcess(Number(name.slice(7)))) === undefined;
      if (bound) await rm(join(home, name), { recursive: true, force: true });
    }
  }

  /** A bound one ends with this process, however that ends. */
  static async start(name: string, bound: boolean, signal: AbortSignal): Promise<Sandbox> {
    if (process.getuid?.() !== 0) {
      throw new Trouble(
        'Vagrant needs namespaces of its own here, which takes root: sudo scripts/vm vagrant',
      );
    }
    const directory = join(home, name);
    await rm(directory, { recursive: true, force: true });
    await mkdir(join(directory, 'tmp'), { recursive: true });
    await needSpace(directory, needed, 'set XDG_CACHE_HOME to a directory on another file system');
    await using log = await open(join(directory, 'init.log'), 'w');
    const namespaces = [
      '--mount',
      '--net',
      '--pid',
      '--ipc',
      '--fork',
      '--kill-child=SIGKILL',
      '--mount-proc',
    ];
    const bond = bound ? ['setpriv', '--pdeathsig', 'KILL', '--'] : [];
    const [file = '', ...args] = [...bond, 'unshare', ...namespaces, '--', init, directory];
    const child = spawn(file, args, { detached: true, stdio: ['ignore', log.fd, log.fd] });
    const gate = await gateOf(child);
    const sandbox = new Sandbox(directory, gate);
    try {
      await writeFile(join(directory, 'gate.json'), JSON.stringify(gate));
      await sandbox.#untilReady(signal);
      child.unref();
      return sandbox;
    } catch (error) {
      await sandbox.end();
      throw error;
    }
  }

  /** Runs a command in it, from the checkout, with this box for Vagrant. */
  async run(box: Box, command: readonly string[], stdio: 'inherit' | 'pipe', reject = false): Promise<Ended> {
    const { pid } = this.#gate;
    const namespaces = ['net', 'mnt', 'ipc'].map(
      (name) => `--${name === 'mnt' ? 'mount' : name}=/proc/${pid}/ns/${name}`,
    );
    const own = `--pid=/proc/${pid}/ns/pid_for_children`;
    return await execa('nsenter', [...namespaces, own, `--wd=${checkout}`, '--', ...command], {
      stdin: stdio === 'inherit' ? 'inherit' : 'ignore',
      stdout: stdio,
      stderr: stdio,
      reject,
      env: {
        HOME: this.directory,
        TMPDIR: join(this.directory, 'tmp'),
        VAGRANT_HOME: join(home, 'home'),
        VAGRANT_CWD: checkout,
        VAGRANT_DOTFILE_PATH: join(this.directory, 'machines'),
        VAGRANT_CHECKPOINT_DISABLE: '1',
        VAGRANT_DEFAULT_PROVIDER: 'libvirt',
        LIBVIRT_DEFAULT_URI: 'qemu:///system',
        PENSTOCK_PROVIDER: 'libvirt',
        PENSTOCK_BOX: box.name,
        PENSTOCK_NODE_MODULES: 'box',
      },
    });
  }

  /** The names of the machines that libvirt knows, running or not. */
  async machines(): Promise<readonly string[]> {
    return await this.#list('list', '--all', '--name');
  }

  /** The names of libvirt's networks but for the one that Vagrant keeps for itself. */
  async networks(): Promise<readonly string[]> {
    return (await this.#list('net-list', '--all', '--name')).filter((name) => name !== 'vagrant-libvirt');
  }

  async #list(...args: readonly string[]): Promise<readonly string[]> {
    const { stdout = '' } = await this.run(noBox, ['virsh', ...args], 'pipe', true);
    return stdout.split(/\s+/).filter((name) => name !== '');
  }

  /** Makes the box known to Vagrant, unless it is. */
  async add(box: Box): Promise<void> {
    const { stdout = '' } = await this.run(
      box,
      ['vagrant', 'box', 'list', '--machine-readable'],
      'pipe',
      true,
    );
    if (stdout.includes(`,box-name,${box.name}`)) return;
    await rm(join(home, 'home', 'boxes'), { recursive: true, force: true });
    await this.run(box, ['vagrant', 'box', 'add', '--name', box.name, box.file], 'pipe', true);
  }

  /** Ends all that is in it, and removes what it left on disk. */
  async end(): Promise<void> {
    while (await isRunning(this.#gate)) {
      const first = await firstOf(this.#gate);
      // With the first process, the kernel ends all others; only then it is gone, and after it the gate.
      if (first !== undefined) kill(first);
      await sleep(20);
    }
    await rm(this.directory, { recursive: true, force: true, maxRetries: 20 });
  }

  async #untilReady(signal: AbortSignal): Promise<void> {
    const deadline = Date.now() + patience;
    for (;;) {
      signal.throwIfAborted();
      const ready = await access(join(this.directory, 'ready')).then(
        () => true,
        () => false,
      );
      if (ready) return;
      if (!(await isRunning(this.#gate)) || Date.now() > deadline) {
        const said = await readFile(join(this.directory, 'init.log'), 'utf8');
        const log = await readFile(join(this.directory, 'libvirtd.log'), 'utf8').catch(() => '');
        throw new Trouble(`libvirt does not start:\n${said}${log.slice(-2_000)}`);
      }
      await sleep(50);
    }
  }
}

const init = join(import.meta.dirname, 'init');

async function gateOf(child: ChildProcess): Promise<Process> {
  await once(child, 'spawn');
  const gate = await findProcess(child.pid ?? 0);
  if (gate === undefined) throw new Trouble('No namespaces could be made; see dmesg(1).');
  return gate;
}

async function firstOf({ pid }: Process): Promise<number | undefined> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'ascii').catch(() => '');
  const first = Number.parseInt(text, 10);
  return Number.isNaN(first) ? undefined : first;
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // Gone since.
  }
}
