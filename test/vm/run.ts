// Boots a guest, runs one command in it, and leaves nothing behind.
import { once } from 'node:events';
import { copyFile, readFile, realpath, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import type { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { accelerator } from './accelerator.ts';
import { cacheDirectory, obtain, type Unpacked } from './cache.ts';
import { commandScript } from './command.ts';
import { makeDirectory } from './directory.ts';
import { initramfs } from './initramfs.ts';
import { fault, hasStarted, lastLines, trouble } from './kernel-log.ts';
import type { Kernel } from './kernels.ts';
import { type Kept, keepLog } from './logs.ts';
import { qemu } from './process.ts';
import { deviceArguments, machineArguments } from './qemu.ts';
import { needSpace } from './space.ts';
import { UntilMark } from './stream.ts';
import { inTemporary } from './temporary.ts';
import { needTools } from './tools.ts';
import { TimeLimit, Trouble } from './trouble.ts';
import { visible } from './visible.ts';

export interface Order {
  readonly kernel: Kernel;
  readonly command: readonly string[];
  readonly cpus: number;
  /** In MiB. */
  readonly memory: number;
  readonly nics: number;
  /** Queue pairs of each of them. Default 1. */
  readonly queues?: number;
  /** Seconds that the guest has, from power-on. */
  readonly timeout: number;
  /** Directory that the guest writes to, or undefined to throw away what it writes. */
  readonly output: string | undefined;
  /** Further arguments of QEMU. */
  readonly qemu: readonly string[];
}

export interface Streams {
  readonly stdout: Writable;
  readonly stderr: Writable;
  /** What the runner itself is doing, where that takes long. */
  readonly say: (text: string) => void;
}

/** What a run needs of the temporary directory; the command's own files stay in the guest's memory. */
const temporarySpace = 32 * 1024 * 1024;
const guest = (name: string) => new URL(`guest/${name}`, import.meta.url).pathname;

export interface Ended {
  /** The command's exit status. */
  readonly status: number;
  /** What its kernel said that only a fault makes it say. */
  readonly fault: string | undefined;
}

/**
 * Throws a Trouble when the command has no exit status: the guest cannot be made, takes too long, or dies. Whatever
 * happens, also when the signal comes, the guest is gone before this returns.
 */
export async function run(order: Order, streams: Streams, signal: AbortSignal): Promise<Ended> {
  await needTools();
  const temporary = await visible('The temporary directory', tmpdir(), 'set TMPDIR to a directory elsewhere');
  needShortPath(temporary);
  await needSpace(temporary, temporarySpace, 'set TMPDIR to a directory on another file system');
  await visible('The cache', cacheDirectory, 'set XDG_CACHE_HOME to a directory elsewhere');
  await visible('The current directory', process.cwd(), 'go to another one');
  if (order.output !== undefined) await makeOutput(order.output);
  const kernel = await obtain(order.kernel, streams.say, signal);
  const boot = {
    initramfs: await initramfs(kernel, guest('init.sh'), signal),
    accelerator: await accelerator(kernel, signal),
  };
  return await inTemporary(temporary, 'penstock-vm', (directory) =>
    runIn(directory, order, kernel, boot, streams, signal),
  );
}

/** The address of a Unix socket has room for 107 bytes. */
function needShortPath(temporary: string): void {
  const path = join(temporary, 'penstock-vm-XXXXXX/stdout');
  if (Buffer.byteLength(path) <= 107) return;
  throw new Trouble(
    `The temporary directory ${temporary} has too long a name for sockets in it; set TMPDIR to a shorter one.`,
  );
}

async function makeOutput(output: string): Promise<void> {
  await makeDirectory(output).catch((error: Error) => {
    throw new Trouble(`The output directory ${output} cannot be made (${error.message}).`);
  });
}

type Boot = Pick<Parameters<typeof machineArguments>[0], 'initramfs' | 'accelerator'>;

async function runIn(
  directory: string,
  order: Order,
  kernel: Unpacked,
  boot: Boot,
  streams: Streams,
  signal: AbortSignal,
): Promise<Ended> {
  const log = join(directory, 'kernel.log');
  const output = order.output ?? join(directory, 'output');
  await makeDirectory(output);
  await copyFile(guest('start.sh'), join(directory, 'start.sh'));
  await writeFile(join(directory, 'command.sh'), commandScript(order.kernel.name, order.command));

  const word = basename(directory);
  const ports = await Promise.all([
    listen(join(directory, 'stdout'), new UntilMark(word), streams.stdout),
    listen(join(directory, 'stderr'), new UntilMark(word), streams.stderr),
  ]);
  const ended = new AbortController();
  const late = AbortSignal.timeout(order.timeout * 1000);
  const machine = qemu(
    [
      ...machineArguments({
        ...boot,
        image: kernel.image,
        cpus: order.cpus,
        memory: order.memory,
        log,
        environment: {
          PENSTOCK_VM_DIRECTORY: directory,
          PENSTOCK_VM_MODULES: await realpath(kernel.modules),
        },
      }),
      ...deviceArguments({
        output,
        ports: ports.map((port) => port.path),
        nics: order.nics,
        queues: order.queues ?? 1,
      }),
      ...order.qemu,
    ],
    AbortSignal.any([signal, late, ended.signal]),
    (order.queues ?? 1) === 1 ? 0 : order.nics,
  );
  try {
    const statuses = Promise.all(ports.map((port) => port.status));
    const status = await Promise.race([statuses, machine.then(() => undefined)]);
    ended.abort();
    const { stderr, exitCode } = await machine;
    signal.throwIfAborted();
    await Promise.all(ports.map((port) => port.close()));
    if (status !== undefined) {
      const [first = 0] = status;
      const found = fault(await readFile(log, 'latin1').catch(() => ''));
      if (first !== 0 || found !== undefined) {
        const says = found === undefined ? '' : `; its kernel says: ${found}`;
        const kept = await keepLog(log, order.kernel.name);
        streams.say(`exit status ${first}${says}; kernel log: ${'file' in kept ? kept.file : notKept(kept)}`);
      }
      return { status: first, fault: found };
    }
    // QEMU's own complaint, such as about an argument: no guest was there.
    if (exitCode !== undefined && exitCode !== 0)
      throw new Trouble(`QEMU ended with status ${exitCode}: ${stderr}`);
    throw await failure(order, log, late.aborted);
  } finally {
    ended.abort();
    await machine;
    for (const port of ports) port.abandon();
  }
}

interface Port {
  readonly path: string;
  readonly status: Promise<number>;
  /** Resolves when all that came has been passed on; the guest must have ended. */
  readonly close: () => Promise<void>;
  /** Passes on no more. */
  readonly abandon: () => void;
}

/** A socket for QEMU to connect to, and the way from there to a stream of ours. */
async function listen(path: string, stream: UntilMark, to: Writable): Promise<Port> {
  const abandon = () => {
    stream.unpipe(to).resume();
    server.close();
  };
  // When the one who reads us has gone, the command goes on; its exit status still counts.
  to.once('error', () => stream.unpipe(to).resume());
  stream.pipe(to, { end: false });
  const passedOn = finished(stream);
  let came = false;
  const server = createServer((socket) => {
    came = true;
    socket.on('error', () => stream.end());
    socket.pipe(stream);
  }).listen(path);
  await once(server, 'listening');
  const close = async () => {
    if (!came) stream.end();
    await passedOn;
  };
  return { path, status: stream.status, close, abandon };
}

async function failure(order: Order, log: string, late: boolean): Promise<Trouble> {
  const text = await readFile(log, 'latin1').catch(() => '');
  const found = trouble(text);
  const because = found === undefined ? '' : `\nIts kernel says: ${found}`;
  const kept = await keepLog(log, order.kernel.name);
  const where = 'file' in kept ? `is kept in ${kept.file}` : notKept(kept);
  const lines = lastLines(text, 20).replaceAll(/^/gm, '  ');
  const end = `${because}\nThe last lines of its kernel log, which ${where}:\n${lines}`;
  const kernel = `The guest (kernel ${order.kernel.name})`;
  if (late) {
    const what = hasStarted(text) ? 'did not finish its command' : 'did not get so far as to run its command';
    return new TimeLimit(
      `${kernel} ${what} within ${order.timeout} s and was ended. If it only needs longer: --timeout SECONDS.${end}`,
    );
  }
  const what = found?.startsWith('Kernel panic') ? 'panicked' : 'ended without an exit status of its command';
  return new Trouble(`${kernel} ${what}.${end}`);
}

function notKept({ reason }: Kept & { readonly reason: string }): string {
  return `could not be kept: ${reason}`;
}
