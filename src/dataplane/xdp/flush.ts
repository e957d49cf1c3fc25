// Takes XDP away from the host: for an agent that forwards by nftables alone, and for `penstock flush`.
import { existsSync } from 'node:fs';
import { removeCompletion } from './completion.ts';

/** Where programs are pinned; without it no agent on XDP has run since the host was started. */
const pins = '/sys/fs/bpf/penstock';

/**
 * Takes the program off every interface of this network namespace, and its maps and flows out of the kernel. Says in words
 * what was removed; nothing, and without libbpf, where nothing was there. Throws `KernelError` and `CommitFailed`.
 */
export async function removeXdp(): Promise<readonly string[]> {
  if (!existsSync(pins)) return [];
  const { attachments } = await import('./kernel/attachments.ts');
  const { openPinDirectory } = await import('./kernel/pin-directory.ts');
  const { removeAll } = await import('./kernel/remove-all.ts');
  const directory = openPinDirectory();
  const names = attachments(directory).map(({ name }) => name);
  removeAll(directory);
  await removeCompletion();
  return names.length === 0 ? [] : [`XDP: program removed from ${names.join(', ')}, with its maps and flows`];
}
