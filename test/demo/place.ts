// Where `scripts/demo --vm` plays: on Vagrant's machines where Vagrant works, else in a guest of scripts/vm.
import { access, constants } from 'node:fs/promises';
import { execa } from 'execa';

export type Place = 'vagrant' | 'guest';

/** What this host has; commands answer when they work, not when they are there. */
export interface Host {
  readonly vagrant: boolean;
  /** A libvirt that lets us in, and a KVM for it. */
  readonly libvirt: boolean;
  readonly virtualbox: boolean;
  /** PENSTOCK_PROVIDER, or Vagrant's own variable. */
  readonly provider: string | undefined;
}

export interface Choice {
  readonly place: Place;
  readonly reason: string;
}

export function choose({ vagrant, libvirt, virtualbox, provider }: Host): Choice {
  if (!vagrant) return { place: 'guest', reason: 'this host has no vagrant' };
  if (provider !== undefined && provider !== 'libvirt' && provider !== 'virtualbox') {
    return { place: 'vagrant', reason: `vagrant is told to use ${provider}` };
  }
  if (libvirt && provider !== 'virtualbox') return { place: 'vagrant', reason: 'vagrant has libvirt here' };
  if (virtualbox && provider !== 'libvirt')
    return { place: 'vagrant', reason: 'vagrant has VirtualBox here' };
  return {
    place: 'guest',
    reason: `vagrant has no ${provider ?? 'libvirt with KVM and no VirtualBox'} here`,
  };
}

export async function look(): Promise<Host> {
  const [vagrant, libvirt, virtualbox] = await Promise.all([
    works('vagrant', '--version'),
    works('virsh', '--connect', 'qemu:///system', 'uri').then(
      async (answers) =>
        answers &&
        (await access('/dev/kvm', constants.R_OK | constants.W_OK).then(
          () => true,
          () => false,
        )),
    ),
    works('VBoxManage', '--version'),
  ]);
  const provider = process.env.PENSTOCK_PROVIDER ?? process.env.VAGRANT_DEFAULT_PROVIDER;
  return { vagrant, libvirt, virtualbox, provider };
}

async function works(file: string, ...args: readonly string[]): Promise<boolean> {
  return !(await execa(file, args, { reject: false, timeout: 30_000 })).failed;
}
