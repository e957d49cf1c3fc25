// A place on this host for Vagrant and libvirt, with network, file systems and processes of its own: what they do to a
// host, they do there, and when its first process ends, all of it has never been.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdir, open, readdir, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import { findProcess, isRunning, type Process } from '../../lab/processes.ts';
import { cacheDirectory, cacheRemedy } from '../../vm/cache.ts';
import { locked } from '../../vm/lock.ts';
import { needSpace } from '../../vm/space.ts';
import { Trouble } from '../../vm/trouble.ts';
import type { Box } from '../box/build.ts';

export const home = join(cacheDirectory, 'vagrant');
const checkout = join(import.meta.dirname, '../../..');
const patience = 60_000;
/** Milliseconds that a command has to end when it is told to: Vagrant ends what it is at, and takes back what it has half made. */
const grace = 120_000;
/** The disks of the machines, as far as they differ from the box, and the box once more. */
const needed = 6 * 1024 ** 3;

/** What a sandbox has of its own: what lies below them on the host cannot be seen in it, or hold it. */
const own = ['/etc', '/run', '/var'];

export interface RunOptions {
  /** Default `pipe`. */
  readonly stdio?: 'inherit' | 'pipe';
  /** Whether a failure of the command rejects. Default false. */
  readonly reject?: boolean;
  /** Tells the command to end; its reason is an error that names the signal which was sent to us. */
  readonly signal?: AbortSignal;
}

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

  /** Fails where no sandbox can be made, before anybody waits for what is to go into it. */
  static async possible(): Promise<void> {
    needRoot('vagrant');
    await mkdir(home, { recursive: true });
    const place = await placeAmong(home, own);
    if (place === undefined) return;
    throw new Trouble(
      `${home} lies below ${place}, which is another one where Vagrant lives; ` +
        `set XDG_CACHE_HOME to a directory that is not below ${own.join(', ')}.`,
    );
  }

  /** Of this name; `undefined` when there is none. */
  static async find(name: string, signal: AbortSignal): Promise<Sandbox | undefined> {
    const directory = join(home, name);
    const text = await readFile(join(directory, 'gate.json'), 'utf8').catch(() => undefined);
    if (text === undefined) return undefined;
    const gate = JSON.parse(text) as Process;
    if (!(await isRunning(gate))) return undefined;
    const sandbox = new Sandbox(directory, gate);
    // Who started it may have been killed meanwhile.
    await sandbox.#untilReady(signal);
    return sandbox;
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
    const directory = join(home, name);
    await rm(directory, { recursive: true, force: true });
    await needSpace(home, needed, cacheRemedy);
    let sandbox: Sandbox | undefined;
    try {
      await mkdir(join(directory, 'tmp'), { recursive: true });
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
      sandbox = new Sandbox(directory, gate);
      await writeFile(join(directory, 'gate.json'), JSON.stringify(gate));
      await sandbox.#untilReady(signal);
      child.unref();
      return sandbox;
    } catch (error) {
      await sandbox?.end();
      await rm(directory, { recursive: true, force: true });
      throw error;
    }
  }

  /** Runs a command in it, from the checkout, with this box for Vagrant. Resolves when it has ended. */
  async run(
    box: Box,
    command: readonly string[],
    { stdio = 'pipe', reject = false, signal }: RunOptions = {},
  ): Promise<Ended> {
    signal?.throwIfAborted();
    const { pid } = this.#gate;
    const namespaces = ['net', 'mnt', 'ipc'].map(
      (name) => `--${name === 'mnt' ? 'mount' : name}=/proc/${pid}/ns/${name}`,
    );
    const processes = ['--no-fork', `--pid=/proc/${pid}/ns/pid_for_children`];
    const running = execa(
      'nsenter',
      [...processes, ...namespaces, `--wd=${checkout}`, '--', ...waiter, ...command],
      {
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
      },
    );
    const stop = (): void => {
      // Ctrl-C goes to everybody in front of the terminal. Vagrant clears up when it hears it once; twice, and it does not.
      const heard = stdio === 'inherit' && process.stdin.isTTY && signal?.reason?.message === 'SIGINT';
      void endChildOf(running.pid, heard);
    };
    signal?.addEventListener('abort', stop);
    try {
      return await running;
    } finally {
      signal?.removeEventListener('abort', stop);
    }
  }

  async isRunning(): Promise<boolean> {
    return await isRunning(this.#gate);
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
    const { stdout = '' } = await this.run(noBox, ['virsh', ...args], { reject: true });
    return stdout.split(/\s+/).filter((name) => name !== '');
  }

  /** Makes the box known to Vagrant, unless it is. */
  async add(box: Box, signal: AbortSignal): Promise<void> {
    // All sandboxes share them.
    await locked(join(home, 'boxes.lock'), signal, async () => {
      const list = ['vagrant', 'box', 'list', '--machine-readable'];
      const { stdout = '' } = await this.run(box, list, { reject: true, signal });
      if (stdout.includes(`,box-name,${box.name}`)) return;
      await rm(join(home, 'home', 'boxes'), { recursive: true, force: true });
      const add = ['vagrant', 'box', 'add', '--name', box.name, box.file];
      await this.run(box, add, { reject: true, signal });
    });
  }

  /** Ends all that is in it, and removes what it left on disk. */
  async end(): Promise<void> {
    while (await isRunning(this.#gate)) {
      const first = await firstOf(this.#gate);
      // With the first process, the kernel ends all others; only then it is gone, and after it the gate.
      if (first !== undefined) kill(first, 'SIGKILL');
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
/** Outlives Ctrl-C, which is for the command itself, and ends as the command does. */
const waiter = ['sh', '-c', `trap : HUP INT TERM; "$@"; exit $?`, 'sh'];

/** Fails for ordinary users of this command of scripts/vm. */
export function needRoot(command: string): void {
  if (process.getuid?.() === 0) return;
  throw new Trouble(
    `It needs namespaces and mounts of its own here, which takes root: sudo scripts/vm ${command}`,
  );
}

/** The one of these places that a directory lies in, wherever links lead. */
export async function placeAmong(directory: string, places: readonly string[]): Promise<string | undefined> {
  const real = await realpath(directory);
  for (const place of places) {
    if (`${real}/`.startsWith(`${await realpath(place)}/`)) return place;
  }
  return undefined;
}

async function gateOf(child: ChildProcess): Promise<Process> {
  await once(child, 'spawn');
  const gate = await findProcess(child.pid ?? 0);
  if (gate === undefined) throw new Trouble('No namespaces could be made; see dmesg(1).');
  return gate;
}

/** Tells the command that a waiter waits for to end, unless it has heard, and ends it when it does not. */
async function endChildOf(pid: number | undefined, heard: boolean): Promise<void> {
  const waiting = await findProcess(pid ?? 0);
  const deadline = Date.now() + grace;
  let told = heard;
  while (waiting !== undefined && (await isRunning(waiting))) {
    const child = await firstOf(waiting);
    const late = Date.now() > deadline;
    if (child !== undefined && (late || !told)) {
      kill(child, late ? 'SIGKILL' : 'SIGINT');
      told = true;
    }
    await sleep(50);
  }
}

async function firstOf({ pid }: Process): Promise<number | undefined> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'ascii').catch(() => '');
  const first = Number.parseInt(text, 10);
  return Number.isNaN(first) ? undefined : first;
}

function kill(pid: number, signal: 'SIGINT' | 'SIGKILL'): void {
  try {
    process.kill(pid, signal);
  } catch {
    // Gone since.
  }
}
