// XDP programs that are not Penstock's, attached in both ways that there are.
import { mkdtemp, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { fixedBuffer, type Libc, openLibc } from '../../../src/doctor/read/libc.ts';
import type { SickHost } from './sick-host.ts';

const command = { programLoad: 5, pin: 6, infoByFd: 15, linkCreate: 28 } as const;

/** A program `foreign` that passes everything; gives its descriptor. */
function loadProgram(libc: Libc): number {
  const code = fixedBuffer(16);
  code.writeBigUInt64LE(0x00000002_000000b7n, 0);
  code.writeBigUInt64LE(0x95n, 8);
  const license = fixedBuffer(4);
  license.write('GPL\0');
  const attributes = fixedBuffer(128);
  attributes.writeUInt32LE(6, 0);
  attributes.writeUInt32LE(2, 4);
  attributes.writeBigUInt64LE(libc.addressOf(code), 8);
  attributes.writeBigUInt64LE(libc.addressOf(license), 16);
  attributes.write('foreign', 48);
  return succeeded(libc, libc.bpf(command.programLoad, attributes));
}

function succeeded(libc: Libc, result: number | undefined): number {
  if (result === undefined || result < 0) throw new Error(`the kernel refuses: errno ${libc.errno()}`);
  return result;
}

/** By ip(8), from a BPF file system of the test's own. */
export async function attachProgram(host: SickHost, link: string): Promise<AsyncDisposable> {
  const libc = await openLibc();
  const directory = await mkdtemp(join(tmpdir(), 'penstock-bpf-'));
  await execa('mount', ['-t', 'bpf', 'bpf', directory]);
  try {
    const program = loadProgram(libc);
    const path = fixedBuffer(256);
    path.write(`${directory}/foreign\0`);
    const attributes = fixedBuffer(16);
    attributes.writeBigUInt64LE(libc.addressOf(path), 0);
    attributes.writeUInt32LE(program, 8);
    succeeded(libc, libc.bpf(command.pin, attributes));
    libc.close(program);
    await host.sh(`ip link set dev ${link} xdp pinned ${directory}/foreign`);
  } finally {
    await execa('umount', [directory]);
    await rmdir(directory);
  }
  return {
    [Symbol.asyncDispose]: async () => {
      await host.sh(`ip link set dev ${link} xdp off`);
    },
  };
}

/** By a bpf_link, as other agents do it. */
export async function attachLink(
  host: SickHost,
  link: string,
): Promise<AsyncDisposable & { readonly id: number }> {
  const libc = await openLibc();
  const ifindex = Number(/^\d+/.exec(await host.sh(`ip -o link show ${link}`))?.[0]);
  const program = loadProgram(libc);
  const attributes = fixedBuffer(64);
  for (const [index, value] of [program, ifindex, 37, 0].entries()) {
    attributes.writeUInt32LE(value, index * 4);
  }
  const descriptor = succeeded(
    libc,
    libc.inNetwork(host.path, () => libc.bpf(command.linkCreate, attributes)),
  );
  libc.close(program);
  const info = fixedBuffer(64);
  const question = fixedBuffer(16);
  question.writeUInt32LE(descriptor, 0);
  question.writeUInt32LE(info.length, 4);
  question.writeBigUInt64LE(libc.addressOf(info), 8);
  succeeded(libc, libc.bpf(command.infoByFd, question));
  return {
    id: info.readUInt32LE(4),
    [Symbol.asyncDispose]: async () => {
      libc.close(descriptor);
    },
  };
}
