// Whose XDP programs are attached: Penstock's are pinned under its folder. And the bpf_link that holds a foreign one.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fixedBuffer, type Libc } from './libc.ts';

const command = { objectGet: 7, infoByFd: 15, linkFdById: 30, linkNextId: 31 } as const;
const LINK_XDP = 6;
const pins = '/sys/fs/bpf/penstock';

/** Ids of the programs that Penstock has pinned, by themselves or by a link. */
export async function ownPrograms(libc: Libc): Promise<ReadonlySet<number>> {
  const entries = await readdir(pins, { recursive: true }).catch(() => []);
  const ids = new Set<number>();
  for (const entry of entries) {
    // Maps have ids of their own kind.
    if (!/(^|\/)(links\/|program-)/.test(entry)) continue;
    const path = fixedBuffer(4096);
    path.write(`${join(pins, entry)}\0`);
    const attributes = fixedBuffer(16);
    attributes.writeBigUInt64LE(libc.addressOf(path), 0);
    const descriptor = libc.bpf(command.objectGet, attributes);
    if (descriptor < 0) continue;
    const info = infoOf(libc, descriptor);
    libc.close(descriptor);
    if (info === undefined) continue;
    // Of a link, its own id stands before its program's.
    ids.add(info.readUInt32LE(/(^|\/)links\//.test(entry) ? 8 : 4));
  }
  return ids;
}

/** The link that holds an XDP program in place; undefined where it is attached without one, or root is needed to know. */
export function linkOfProgram(libc: Libc, program: number): number | undefined {
  for (let id = 0; ; ) {
    const next = fixedBuffer(16);
    next.writeUInt32LE(id, 0);
    if (libc.bpf(command.linkNextId, next) < 0) return undefined;
    id = next.readUInt32LE(4);
    const attributes = fixedBuffer(16);
    attributes.writeUInt32LE(id, 0);
    const descriptor = libc.bpf(command.linkFdById, attributes);
    if (descriptor < 0) continue;
    const info = infoOf(libc, descriptor);
    libc.close(descriptor);
    if (info?.readUInt32LE(0) === LINK_XDP && info.readUInt32LE(8) === program) return id;
  }
}

function infoOf(libc: Libc, descriptor: number): Buffer | undefined {
  const info = fixedBuffer(128);
  const attributes = fixedBuffer(16);
  attributes.writeUInt32LE(descriptor, 0);
  attributes.writeUInt32LE(info.length, 4);
  attributes.writeBigUInt64LE(libc.addressOf(info), 8);
  return libc.bpf(command.infoByFd, attributes) < 0 ? undefined : info;
}
