// XDP programs that are not Penstock's, attached in both ways that there are.
import koffi from 'koffi';
import { fixedBuffer, type Libc, openLibc } from '../../../src/doctor/read/libc.ts';
import type { SickHost } from './sick-host.ts';

/** Where an interface is. */
export type Place = Pick<SickHost, 'path' | 'sh'>;

const command = { programLoad: 5, infoByFd: 15, linkCreate: 28 } as const;

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

/** Without a link, as ip(8) does it; the kernel holds the program until somebody takes it off. */
export async function attachProgram(host: Place, link: string): Promise<AsyncDisposable> {
  const libc = await openLibc();
  const ifindex = await indexOf(host, link);
  const attach = koffi.load('libbpf.so.1').func('int bpf_xdp_attach(int, int, unsigned int, const void *)');
  const program = loadProgram(libc);
  const result = libc.inNetwork(host.path, () => attach(ifindex, program, 0, null));
  libc.close(program);
  if (result !== 0) throw new Error(`the kernel refuses the program: ${result}`);
  return {
    [Symbol.asyncDispose]: async () => {
      await host.sh(`ip link set dev ${link} xdp off`);
    },
  };
}

async function indexOf(host: Place, link: string): Promise<number> {
  return Number(/^\d+/.exec(await host.sh(`ip -o link show ${link}`))?.[0]);
}

/** By a bpf_link, as other agents do it. */
export async function attachLink(
  host: Place,
  link: string,
): Promise<AsyncDisposable & { readonly id: number }> {
  const libc = await openLibc();
  const ifindex = await indexOf(host, link);
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
