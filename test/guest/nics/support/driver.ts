// What drivers and the kernel say of a lab's network cards.
import type { Lab } from '../../../lab/lab.ts';
import type { Node } from '../../../lab/topology.ts';

/** Of all queues, since the driver was loaded. */
export interface DriverCounters {
  /** That a program has seen in the driver. */
  readonly packets: number;
  /** Sent back by the interface they came in by (XDP_TX). */
  readonly returned: number;
  /** Sent on by another interface (XDP_REDIRECT). */
  readonly redirected: number;
  /** Sent here by XDP, whichever interface they came in by. */
  readonly sent: number;
}

/** As virtio_net names them: `rx_queue_0_xdp_packets` in Linux 6.1, `rx0_xdp_packets` in 6.12. */
const virtio = {
  packets: /^\s*rx(?:_queue_)?\d+_xdp_packets: (\d+)$/gm,
  returned: /^\s*rx(?:_queue_)?\d+_xdp_tx: (\d+)$/gm,
  redirected: /^\s*rx(?:_queue_)?\d+_xdp_redirects: (\d+)$/gm,
  sent: /^\s*tx(?:_queue_)?\d+_xdp_tx: (\d+)$/gm,
} as const;

const vmxnet3 = {
  packets: /^\s*xdp packets: (\d+)$/gm,
  returned: /^\s*xdp tx: (\d+)$/gm,
  redirected: /^\s*xdp redirects: (\d+)$/gm,
  sent: /^\s*xdp xmit: (\d+)$/gm,
} as const;

/** Throws where the driver counts no such thing: zero would be no proof of anything. */
export async function driverCounters(lab: Lab, name: string): Promise<DriverCounters> {
  const { stdout } = await lab.exec('gateway', ['ethtool', '-S', name]);
  const patterns = stdout.includes('_xdp_packets') ? virtio : vmxnet3;
  const sum = (pattern: RegExp): number => {
    const values = [...stdout.matchAll(pattern)].map(([, value]) => Number(value));
    if (values.length === 0) throw new Error(`${name} has no counter like ${pattern.source}:\n${stdout}`);
    return values.reduce((total, value) => total + value, 0);
  };
  return {
    packets: sum(patterns.packets),
    returned: sum(patterns.returned),
    redirected: sum(patterns.redirected),
    sent: sum(patterns.sent),
  };
}

interface Link {
  readonly ifname: string;
  readonly address: string;
  /** Where another address was given to it. */
  readonly permaddr?: string;
  readonly xdp?: { readonly mode: number; readonly prog?: { readonly id: number; readonly name: string } };
}

/** XDP_ATTACHED_* of linux/if_link.h. */
const modes = ['none', 'native', 'generic', 'offloaded', 'several'] as const;

/** What runs on the gateway's interfaces, as rtnetlink tells: by name, such as `native penstock`. */
export async function kernelModes(lab: Lab): Promise<Readonly<Record<string, string>>> {
  const links = await linksOf(lab, 'gateway');
  return Object.fromEntries(
    links.flatMap(({ ifname, xdp }) =>
      xdp === undefined ? [] : [[ifname, `${modes[xdp.mode] ?? xdp.mode} ${xdp.prog?.name ?? ''}`.trim()]],
    ),
  );
}

export async function linksOf(lab: Lab, node: Node): Promise<readonly Link[]> {
  const { stdout } = await lab.exec(node, ['ip', '-json', '-details', 'link', 'show']);
  return JSON.parse(stdout) as readonly Link[];
}

/** Packets that the gateway's stack has routed, of both families (RFC 4293: what nftables forwards is among them). */
export async function routedByKernel(lab: Lab): Promise<number> {
  const read = async (file: string): Promise<string> => (await lab.exec('gateway', ['cat', file])).stdout;
  const [heading = '', values = ''] = (await read('/proc/net/snmp'))
    .split('\n')
    .filter((line) => line.startsWith('Ip: '));
  const four = values.split(' ')[heading.split(' ').indexOf('ForwDatagrams')];
  const six = /^Ip6OutForwDatagrams\s+(\d+)$/m.exec(await read('/proc/net/snmp6'))?.[1];
  return Number(four) + Number(six);
}
