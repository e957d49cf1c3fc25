// What of XDP is on a lab's gateway: programs on its interfaces, pins, and what conntrack knows.
import { access } from 'node:fs/promises';
import type { Lab } from '../../lab/lab.ts';
import { pinFolder } from '../../lab/pins.ts';

interface Link {
  readonly ifname: string;
  readonly xdp?: { readonly mode: number; readonly prog?: { readonly id: number } };
}

/** The id of the program on each interface that runs one, by name. */
export async function programs(lab: Lab): Promise<Readonly<Record<string, number>>> {
  const { stdout } = await lab.exec('gateway', ['ip', '-json', '-details', 'link', 'show']);
  const links = JSON.parse(stdout) as readonly Link[];
  return Object.fromEntries(links.flatMap(({ ifname, xdp }) => (xdp?.prog ? [[ifname, xdp.prog.id]] : [])));
}

/** Whether anything is pinned for the gateway. */
export async function isPinned(lab: Lab): Promise<boolean> {
  const folder = await pinFolder(lab.namespace('gateway'));
  if (folder === undefined) return false;
  return await access(folder).then(
    () => true,
    () => false,
  );
}

/** How many flows to a port of a frontend conntrack keeps. */
export async function trackedFlows(lab: Lab, protocol: 'tcp' | 'udp', port: number): Promise<number> {
  const { stdout } = await lab.exec('gateway', [
    ...['conntrack', '-L', '-p', protocol, '--orig-port-dst', String(port)],
  ]);
  return stdout.split('\n').filter((line) => line !== '').length;
}
