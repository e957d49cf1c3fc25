// Where `scripts/demo --vm` plays: on Vagrant's machines where Vagrant works, else in a guest of scripts/vm.
import { access, constants } from 'node:fs/promises';
import { execa } from 'execa';
import { accelerator } from '../vm/accelerator.ts';
import { obtain } from '../vm/cache.ts';
import { defaultKernel, findKernel } from '../vm/kernels.ts';
import { needTools } from '../vm/tools.ts';
import { Trouble } from '../vm/trouble.ts';
import { line } from './screen.ts';

export type Place = 'vagrant' | 'guest';

/** What this host has; commands answer when they work, not when they are there. */
export interface Host {
  readonly vagrant: boolean;
  /** One that lets us in. */
  readonly libvirt: boolean;
  /** For libvirt. */
  readonly kvm: boolean;
  readonly virtualbox: boolean;
  /** PENSTOCK_PROVIDER, or Vagrant's own variable. */
  readonly provider: string | undefined;
}

export interface Choice {
  readonly place: Place;
  readonly reason: string;
}

export function choose({ vagrant, libvirt, kvm, virtualbox, provider }: Host): Choice {
  if (!vagrant) return { place: 'guest', reason: 'this host has no vagrant' };
  if (provider !== undefined && provider !== 'libvirt' && provider !== 'virtualbox') {
    return { place: 'vagrant', reason: `vagrant is told to use ${provider}` };
  }
  if (libvirt && kvm && provider !== 'virtualbox')
    return { place: 'vagrant', reason: 'vagrant has libvirt here' };
  if (virtualbox && provider !== 'libvirt')
    return { place: 'vagrant', reason: 'vagrant has VirtualBox here' };
  if (libvirt && provider !== 'virtualbox')
    return { place: 'guest', reason: 'vagrant has libvirt here, but no KVM that works' };
  return {
    place: 'guest',
    reason: `vagrant has no ${provider ?? 'libvirt that lets us in and no VirtualBox'} here`,
  };
}

export async function look(signal: AbortSignal): Promise<Host> {
  const works = async (file: string, ...args: readonly string[]): Promise<boolean> =>
    !(await execa(file, args, { reject: false, timeout: 30_000, cancelSignal: signal })).failed;
  const virsh = ['virsh', '--connect', 'qemu:///system'] as const;
  const [vagrant, libvirt, virtualbox] = await Promise.all([
    works('vagrant', '--version'),
    works(...virsh, 'uri'),
    works('VBoxManage', '--version'),
  ]);
  const provider = process.env.PENSTOCK_PROVIDER ?? process.env.VAGRANT_DEFAULT_PROVIDER;
  // Only where something depends on it: a machine has to be booted.
  const asked = vagrant && libvirt && (provider === undefined || provider === 'libvirt');
  const kvm =
    asked && (await works(...virsh, 'domcapabilities', '--virttype', 'kvm')) && (await boots(signal));
  signal.throwIfAborted();
  return { vagrant, libvirt, kvm, virtualbox, provider };
}

/** Whether a machine boots with KVM, as far as this user can find out: libvirt's are run by another. */
async function boots(signal: AbortSignal): Promise<boolean> {
  const ours = await access('/dev/kvm', constants.R_OK | constants.W_OK).then(
    () => true,
    () => false,
  );
  const kernel = findKernel(defaultKernel);
  if (!ours || kernel === undefined) return true;
  try {
    await needTools();
    return (await accelerator(await obtain(kernel, line, signal), signal)) === 'kvm';
  } catch (error) {
    if (error instanceof Trouble) return true;
    throw error;
  }
}
