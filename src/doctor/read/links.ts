// The host's interfaces: from ip(8), the drivers, and the network namespaces of veth peers.
import { sendQueuesOf } from '../../dataplane/xdp/kernel/interface.ts';
import type { XdpFeatures } from '../../dataplane/xdp/network/model.ts';
import { openNetworkReader } from '../../dataplane/xdp/network/read.ts';
import type { Interface, Peer } from '../judge/interface.ts';
import { askDriver, type DriverFacts } from './ethtool.ts';
import { askIp, field, listOf, numberOf, textOf } from './ip.ts';
import type { Libc } from './libc.ts';
import { readXdpFeatures } from './xdp-features.ts';

/** All interfaces of the caller's network but the loopback. `libc` is absent where koffi has no build. */
export async function readInterfaces(libc: Libc | undefined): Promise<readonly Interface[]> {
  const [links, routes4, routes6, names] = await Promise.all([
    askIp('-details', 'link', 'show'),
    askIp('-4', 'route', 'show', 'table', 'main'),
    askIp('-6', 'route', 'show', 'table', 'main').catch(() => []),
    namespaceNames(),
  ]);
  const features = libc === undefined ? undefined : await readXdpFeatures().catch(() => undefined);
  const deduced = libc === undefined || features !== undefined ? undefined : await deducedFeatures();
  const routed = new Set([...routes4, ...routes6].flatMap(devicesOf));
  const nameOf = new Map(links.map((link) => [numberOf(link, 'ifindex'), textOf(link, 'ifname')]));
  const interfaces: Interface[] = [];
  for (const link of links) {
    const name = textOf(link, 'ifname');
    if (name === '' || listOf(link, 'flags').includes('LOOPBACK')) continue;
    const ifindex = numberOf(link, 'ifindex') ?? 0;
    const kind = textOf(link, 'linkinfo', 'info_kind');
    const program = programOf(link);
    const xdp = features?.get(ifindex);
    const known = deduced?.get(ifindex);
    const driver: DriverFacts = libc === undefined ? { driver: '' } : askDriver(libc, name);
    const sendQueues = driver.driver === 'virtio_net' ? sendQueuesOf(name) : undefined;
    const peer = kind === 'veth' ? await readPeer(libc, link, links, names) : undefined;
    interfaces.push({
      ...driver,
      name,
      ifindex,
      kind,
      mtu: numberOf(link, 'mtu') ?? 0,
      up: listOf(link, 'flags').includes('UP'),
      routed: routed.has(name),
      physical: textOf(link, 'parentdev') !== '',
      below: belowOf(link, kind, nameOf),
      master: textOf(link, 'master'),
      bondMode: textOf(link, 'linkinfo', 'info_data', 'mode'),
      bridgeNetfilter: [field(link, 'linkinfo', 'info_data', 'nf_call_iptables')].some(
        (value) => value === 1,
      ),
      ...(program === undefined ? {} : { program }),
      ...(sendQueues === undefined ? {} : { sendQueues }),
      ...(xdp === undefined ? {} : { xdp }),
      ...(known === undefined ? {} : { deduced: known }),
      ...(peer === undefined ? {} : { peer }),
    });
  }
  return interfaces;
}

/** As the XDP plane takes it, where the kernel does not tell. */
async function deducedFeatures(): Promise<XdpFeatures | undefined> {
  try {
    const reader = await openNetworkReader();
    const network = await reader.read().finally(() => reader.close());
    return network.deduced ? network.features : undefined;
  } catch {
    return undefined;
  }
}

/** For a veth ip(8) gives its peer as `link`, which is not below it. */
function belowOf(link: unknown, kind: string, nameOf: ReadonlyMap<number | undefined, string>): string {
  if (kind !== 'vlan') return '';
  return textOf(link, 'link') || (nameOf.get(numberOf(link, 'link_index')) ?? '');
}

function devicesOf(route: unknown): readonly string[] {
  // Every interface that is up has this one.
  if (textOf(route, 'dst') === 'fe80::/64') return [];
  const hops = listOf(route, 'nexthops').map((hop) => textOf(hop, 'dev'));
  return [textOf(route, 'dev'), ...hops].filter((name) => name !== '');
}

function programOf(link: unknown): Interface['program'] {
  const attached =
    field(link, 'xdp', 'prog') === undefined ? listOf(link, 'xdp', 'attached')[0] : field(link, 'xdp');
  const id = numberOf(attached, 'prog', 'id');
  if (id === undefined) return undefined;
  const mode = numberOf(attached, 'mode') === attachedGeneric ? 'generic' : 'native';
  return { id, name: textOf(attached, 'prog', 'name'), mode };
}

/** XDP_ATTACHED_SKB of linux/if_link.h. */
const attachedGeneric = 2;

/** The names that ip(8) gives to other networks, by the number under which this network knows them. */
async function namespaceNames(): Promise<ReadonlyMap<number, string>> {
  const known = await askIp('netns', 'list-id').catch(() => []);
  return new Map(known.map((one) => [numberOf(one, 'nsid') ?? -1, textOf(one, 'name')]));
}

/** The other end of a veth; undefined where it is out of reach. */
async function readPeer(
  libc: Libc | undefined,
  link: unknown,
  links: readonly unknown[],
  names: ReadonlyMap<number, string>,
): Promise<Peer | undefined> {
  const nsid = numberOf(link, 'link_netnsid');
  if (nsid === undefined) {
    const name = textOf(link, 'link');
    return name === '' || libc === undefined ? undefined : { name, namespace: '', ...askDriver(libc, name) };
  }
  const namespace = names.get(nsid) ?? '';
  if (namespace === '' || libc === undefined) return undefined;
  const there = await askIp('-netns', namespace, 'link', 'show').catch(() => links.slice(0, 0));
  const ifindex = numberOf(link, 'link_index');
  const name = textOf(
    there.find((one) => numberOf(one, 'ifindex') === ifindex),
    'ifname',
  );
  if (name === '') return undefined;
  try {
    const facts = libc.inNetwork(`/run/netns/${namespace}`, () => askDriver(libc, name));
    return facts === undefined ? undefined : { name, namespace, ...facts };
  } catch {
    // The namespace has gone since.
    return undefined;
  }
}
