// Whether the processor's virtualisation can be used. That /dev/kvm is there does not say so: some hosts show one on
// which a stock kernel hangs. So a machine is booted with it.
import { access, constants, readFile, rename, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cacheDirectory, type Unpacked } from './cache.ts';
import { initramfs } from './initramfs.ts';
import { locked } from './lock.ts';
import { qemu } from './process.ts';
import { type Accelerator, machineArguments } from './qemu.ts';
import { inTemporary } from './temporary.ts';

const patience = 15_000;
const word = 'penstock-vm: alive';
const program = new URL('guest/probe.sh', import.meta.url).pathname;

/** Probes once per boot of the host. */
export async function accelerator(kernel: Unpacked, signal: AbortSignal): Promise<Accelerator> {
  const usable = await access('/dev/kvm', constants.R_OK | constants.W_OK).then(
    () => true,
    () => false,
  );
  if (!usable) return 'tcg';
  const boot = (await readFile('/proc/sys/kernel/random/boot_id', 'ascii')).trim();
  const file = join(cacheDirectory, 'accelerator');
  return await locked(join(cacheDirectory, 'accelerator.lock'), signal, async () => {
    const [knownBoot, known] = (await readFile(file, 'ascii').catch(() => '')).split(' ');
    if (knownBoot === boot && (known === 'kvm' || known === 'tcg')) return known;
    const found = (await boots(kernel, signal)) ? 'kvm' : 'tcg';
    await writeFile(`${file}.new`, `${boot} ${found}`);
    await rename(`${file}.new`, file);
    return found;
  });
}

async function boots(kernel: Unpacked, signal: AbortSignal): Promise<boolean> {
  return await inTemporary(tmpdir(), 'penstock-vm', async (directory) => {
    const log = join(directory, 'kernel.log');
    const machine = { accelerator: 'kvm', cpus: 1, memory: 256, log, environment: {} } as const;
    const args = machineArguments({
      ...machine,
      image: kernel.image,
      initramfs: await initramfs(kernel, program, signal),
    });
    await qemu(args, AbortSignal.any([signal, AbortSignal.timeout(patience)]));
    signal.throwIfAborted();
    return (await readFile(log, 'latin1').catch(() => '')).includes(word);
  });
}
