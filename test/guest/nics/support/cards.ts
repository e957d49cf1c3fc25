// Network cards that are taken out of a running gateway and put back.
import { writeFile } from 'node:fs/promises';
import { execa } from 'execa';
import type { Lab } from '../../../lab/lab.ts';
import { gateway } from '../../../lab/topology.ts';
import { linksOf } from './driver.ts';

/** A card on its bus. */
export interface Slot {
  /** Such as 0000:00:06.0. */
  readonly address: string;
  readonly mac: string;
}

export async function slotOf(lab: Lab, name: string): Promise<Slot> {
  const { stdout } = await lab.exec('gateway', ['ethtool', '-i', name]);
  const address = /^bus-info: (.+)$/m.exec(stdout)?.[1];
  const link = (await linksOf(lab, 'gateway')).find(({ ifname }) => ifname === name);
  const mac = link?.permaddr ?? link?.address;
  if (address === undefined || mac === undefined) throw new Error(`${name} is no card of a bus:\n${stdout}`);
  return { address, mac };
}

/** As if it were pulled out: its interface is gone at once, with all that ran on it. */
export async function unplug({ address }: Slot): Promise<void> {
  await writeFile('/sys/bus/pci/drivers/virtio-pci/unbind', address);
}

/** The driver makes a new interface, in the first namespace; it is brought to the gateway's as the client's side. */
export async function plugIn(lab: Lab, { address, mac }: Slot): Promise<void> {
  await writeFile('/sys/bus/pci/drivers/virtio-pci/bind', address);
  const { stdout } = await execa('ip', ['-json', 'link', 'show']);
  const links = JSON.parse(stdout) as readonly { readonly ifname: string; readonly address: string }[];
  const name = links.find((link) => link.address === mac)?.ifname;
  if (name === undefined) throw new Error(`the driver has made no interface with the address ${mac}`);
  await execa('ip', ['link', 'set', name, 'netns', lab.namespace('gateway'), 'name', 'wan0']);
  await lab.exec('gateway', ['ip', 'link', 'set', 'wan0', 'addrgenmode', 'none', 'up']);
  await giveAddresses(lab);
}

/** Those of the client's side, which IPv6 loses when the interface goes down. */
export async function giveAddresses(lab: Lab): Promise<void> {
  const { address, address6 } = gateway.wan;
  for (const each of [`${address}/24`, `${address6}/64`, 'fe80::1/64']) {
    const nodad = each.includes(':') ? ['nodad'] : [];
    await lab.exec('gateway', ['ip', 'address', 'replace', each, 'dev', 'wan0', ...nodad]);
  }
}
