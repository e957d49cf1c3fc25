// Builds a lab's network out of namespaces, in few calls of ip(8), and takes it down again.
import { readdir } from 'node:fs/promises';
import { execa } from 'execa';
import { batch } from './ip.ts';
import { joinWires, type NicPair, type Wire } from './nics.ts';
import { type Backend, client, frontends, gateway, isNode, namespaceOf, namespacePath } from './topology.ts';

/**
 * Veth pairs are made inside the namespaces, so the host never sees an interface. Network cards, where there are some,
 * come first to the gateway, then to the machines.
 */
export async function createNetwork(
  lab: string,
  backends: readonly Backend[],
  { xdp, nics }: { readonly xdp: boolean; readonly nics: readonly NicPair[] },
): Promise<void> {
  const nodes = ['client', 'gateway', 'switch', ...backends.map((backend) => backend.node)] as const;
  await batch(nodes.map((node) => `netns add ${namespaceOf(lab, node)}`));
  await batch(
    [
      'link set lo up',
      'link add lan type bridge forward_delay 0 mcast_snooping 0',
      'link set lan addrgenmode none',
      'link set lan up',
    ],
    namespaceOf(lab, 'switch'),
  );
  await joinWires(lab, wires(backends), nics);
  await batch(
    ['gateway', ...backends.map(({ node }) => node)].flatMap(intoSwitch),
    namespaceOf(lab, 'switch'),
  );
  await batch(
    [
      'link set lo up',
      ...interfaceUp('wan0', [`${gateway.wan.address}/24`, `${gateway.wan.address6}/64`], 'fe80::1'),
      ...interfaceUp('lan0', [`${gateway.lan.address}/16`, `${gateway.lan.address6}/64`], 'fe80::1'),
    ],
    namespaceOf(lab, 'gateway'),
  );
  await Promise.all([
    batch(
      [
        'link set lo up',
        ...interfaceUp('eth0', [`${client.address}/24`, `${client.address6}/64`], 'fe80::10'),
        `route add ${frontends.network} via ${gateway.wan.address}`,
        `route add ${frontends.network6} via ${gateway.wan.address6}`,
        `route add default via ${gateway.wan.address}`,
        `route add default via ${gateway.wan.address6}`,
      ],
      namespaceOf(lab, 'client'),
    ),
    setGatewayKernel(lab),
    ...inLanes(4, backends, (backend) => configureBackend(lab, backend, backends.length > crowd)),
  ]);
  if (backends.length > crowd) {
    await batch(
      backends.flatMap((backend) => [
        `neigh replace ${backend.address} lladdr ${backend.mac} dev lan0 nud permanent`,
        `neigh replace ${backend.address6} lladdr ${backend.mac} dev lan0 nud permanent`,
      ]),
      namespaceOf(lab, 'gateway'),
    );
  }
  if (xdp) await Promise.all(inLanes(4, nodes, (node) => prepareForXdp(namespaceOf(lab, node))));
}

/** Adds one machine to a lab that runs. */
export async function createBackend(lab: string, backend: Backend, xdp: boolean): Promise<void> {
  await batch([`netns add ${namespaceOf(lab, backend.node)}`]);
  await joinWires(lab, [wireTo(backend)], []);
  await batch(intoSwitch(backend.node), namespaceOf(lab, 'switch'));
  await configureBackend(lab, backend, false);
  if (!xdp) return;
  await prepareForXdp(namespaceOf(lab, backend.node));
  await prepareForXdp(namespaceOf(lab, 'switch'));
}

/** Takes a machine out of a lab that runs. Its wire goes first: with the namespace alone it would go some time later. */
export async function deleteBackend(lab: string, node: Backend['node']): Promise<void> {
  await batch(['link del eth0'], namespaceOf(lab, node));
  await deleteNamespaces([namespaceOf(lab, node)]);
}

/** The names of a lab's namespaces that exist, whoever made them. */
export async function existingNamespaces(lab: string): Promise<readonly string[]> {
  const all = await readdir('/run/netns').catch(() => []);
  return all.filter((name) => name.startsWith(`${lab}-`) && isNode(name.slice(lab.length + 1)));
}

/** Deletes namespaces with all interfaces in them; no process may be left inside. */
export async function deleteNamespaces(namespaces: readonly string[]): Promise<void> {
  if (namespaces.length > 0) await batch(namespaces.map((namespace) => `netns del ${namespace}`));
}

/**
 * From so many machines on, the lab sets neighbours instead of asking for them: the kernel counts the asked ones of all
 * namespaces against one limit of the host, 1,024 by default, which is not the lab's to change.
 */
const crowd = 250;

function wires(backends: readonly Backend[]): readonly Wire[] {
  return [
    [
      { node: 'gateway', name: 'lan0', mac: gateway.lan.mac },
      { node: 'switch', name: 'gateway' },
    ],
    [
      { node: 'gateway', name: 'wan0' },
      { node: 'client', name: 'eth0' },
    ],
    ...backends.map(wireTo),
  ];
}

function wireTo({ node, mac }: Backend): Wire {
  return [
    { node, name: 'eth0', mac },
    { node: 'switch', name: node },
  ];
}

function intoSwitch(port: string): readonly string[] {
  return [`link set ${port} addrgenmode none`, `link set ${port} master lan up`];
}

async function configureBackend(lab: string, backend: Backend, permanent: boolean): Promise<void> {
  const { address, address6, mac } = gateway.lan;
  await batch(
    [
      'link set lo up',
      ...interfaceUp(
        'eth0',
        [`${backend.address}/16`, `${backend.address6}/64`],
        `fe80::${(backend.number + 3).toString(16)}`,
      ),
      `route add default via ${address}`,
      `route add default via ${address6}`,
      ...(permanent
        ? [
            `neigh replace ${address} lladdr ${mac} dev eth0 nud permanent`,
            `neigh replace ${address6} lladdr ${mac} dev eth0 nud permanent`,
          ]
        : []),
    ],
    namespaceOf(lab, backend.node),
  );
}

/**
 * The link-local address is given by hand: the kernel's own would first be checked for duplicates, and until then no
 * neighbour is asked for on behalf of forwarded packets.
 */
function interfaceUp(name: string, addresses: readonly string[], linkLocal: string): readonly string[] {
  return [
    `link set ${name} addrgenmode none`,
    `link set ${name} up`,
    ...[`${linkLocal}/64`, ...addresses].map((address) => {
      const nodad = address.includes(':') ? ' nodad' : '';
      return `addr add ${address} dev ${name}${nodad}`;
    }),
  ];
}

/** Forwarding starts as off, whatever the host has: switching it on is the agent's work. */
async function setGatewayKernel(lab: string): Promise<void> {
  const off = ['net.ipv4.ip_forward', 'net.ipv6.conf.all.forwarding'];
  const filters = ['all', 'default', 'wan0', 'lan0'].map((name) => `net.ipv4.conf.${name}.rp_filter`);
  await inNamespace(namespaceOf(lab, 'gateway'), [
    'sysctl',
    '-qw',
    ...[...off, ...filters].map((key) => `${key}=0`),
  ]);
  const bridge = ['net.bridge.bridge-nf-call-iptables=0', 'net.bridge.bridge-nf-call-ip6tables=0'];
  // Absent where the host has not loaded br_netfilter, and then not needed.
  await inNamespace(namespaceOf(lab, 'switch'), ['sysctl', '-eqw', ...bridge]);
}

/** A veth takes redirected frames only when its peer has GRO on, and a frame must carry its real checksum. */
async function prepareForXdp(namespace: string): Promise<void> {
  // Listed by ip(8): /sys shows the interfaces of the namespace that it was mounted in.
  const script = `for d in $(ip -brief link | sed 's/[@ ].*//'); do
    [ $d = lo ] || ethtool -K $d tx off gro on >/dev/null; done`;
  await inNamespace(namespace, ['sh', '-c', script]);
}

/** Runs a command in a namespace without ip(8)'s own mounts, which would hide the BPF file system. */
export function enter(namespace: string, command: readonly string[]): readonly [string, string[]] {
  return ['nsenter', [`--net=${namespacePath(namespace)}`, '--', ...command]];
}

async function inNamespace(namespace: string, command: readonly string[]): Promise<void> {
  const [file, args] = enter(namespace, command);
  await execa(file, args);
}

/** Works the items off in a few lanes side by side, one promise per lane. */
export function inLanes<Item>(
  lanes: number,
  items: readonly Item[],
  work: (item: Item) => Promise<void>,
): readonly Promise<void>[] {
  const queue = items.values();
  return Array.from({ length: Math.min(lanes, items.length) }, async () => {
    for (const item of queue) await work(item);
  });
}
