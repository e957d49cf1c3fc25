// What an agent on XDP leaves pinned in the BPF file system, which knows no namespaces: a folder for each network.
import { access, rm, rmdir } from 'node:fs/promises';
import { execa } from 'execa';
import { enter } from './namespaces.ts';

const root = '/sys/fs/bpf/penstock';

/** Removes what is pinned for these networks: programs leave their interfaces, maps their memory. */
export async function removePins(namespaces: readonly string[]): Promise<void> {
  for (const namespace of namespaces) {
    const folder = await pinFolder(namespace);
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  }
  // Refused while another network has one.
  await rmdir(root).catch(() => undefined);
}

/** Absent where nothing has ever been pinned on this host. */
export async function pinFolder(namespace: string): Promise<string | undefined> {
  const present = await access(root).then(
    () => true,
    () => false,
  );
  if (!present) return undefined;
  // SO_NETNS_COOKIE: never given twice, where the inode of a namespace may be.
  const program =
    'import socket,sys; print(int.from_bytes(socket.socket().getsockopt(socket.SOL_SOCKET, 71, 8), sys.byteorder))';
  const [file, args] = enter(namespace, ['/usr/bin/python3', '-c', program]);
  return `${root}/${(await execa(file, args)).stdout}`;
}
