// The gateway's network, in a namespace of its own: interfaces, routes and neighbours for which the FIB's answers are known.
import { readFileSync } from 'node:fs';
import { execa } from 'execa';
import koffi from 'koffi';
import {
  type Device,
  type DeviceName,
  dead,
  devices,
  hopTo,
  macOf,
  neighbours,
  networks,
  routes,
} from './places.ts';
import { frontends } from './rules.ts';

const CLONE_NEWNET = 0x40000000;

/** Frontends' addresses are the gateway's own, as they are where the agent puts them on the host. */
const local = Object.values(frontends);

export type Indices = Readonly<Record<DeviceName, number>>;

/**
 * Moves this thread, and all programs that it starts from now on, to a network of its own and builds it there; it goes with
 * the thread. Gives the interfaces' indices. Needs root.
 */
export async function buildNetwork(): Promise<Indices> {
  const unshare = koffi.load('libc.so.6').func('int unshare(int)');
  if (unshare(CLONE_NEWNET) !== 0)
    throw new Error(`no network namespace: errno ${koffi.errno()}; root is needed`);
  const names = Object.keys(devices) as DeviceName[];
  const list: readonly (readonly [DeviceName, Device])[] = names.map((name) => [name, devices[name]]);
  await batch([
    'link set lo up',
    ...local.map((address) => `addr add ${address} dev lo${address.includes(':') ? ' nodad' : ''}`),
    ...list.flatMap(([name, device]) => makeDevice(name, device)),
    ...networks.map(({ device, own }) => `addr add ${own} dev ${device}${own.includes(':') ? ' nodad' : ''}`),
    ...neighbours.map(
      (address) =>
        `neigh replace ${address} lladdr ${macOf(address)} dev ${hopTo(address).device} nud permanent`,
    ),
    ...routes.map(([prefix, hop]) => `route add ${prefix} via ${hop}`),
    ...dead.map((route) => `route add ${route}`),
  ]);
  await execa('sysctl', [
    '-qw',
    'net.ipv4.ip_forward=1',
    'net.ipv6.conf.all.forwarding=1',
    'net.ipv4.conf.still.forwarding=0',
  ]);
  return Object.fromEntries(names.map((name) => [name, indexOf(name)])) as Indices;
}

/**
 * A VLAN device is played by one end of a cable as well: not every kernel has VLANs, and the FIB tells the program no more
 * about one than its index and MAC address. The maps say what it carries.
 */
function makeDevice(name: DeviceName, { mac, mtu = 1500 }: Device): readonly string[] {
  return [
    `link add ${name} address ${mac} mtu ${mtu} type veth peer name ${name}-far mtu ${mtu}`,
    `link set ${name}-far addrgenmode none up`,
    `link set ${name} addrgenmode none up`,
  ];
}

function indexOf(name: string): number {
  // /sys shows the network of whoever mounted it; /proc/thread-self/net is this thread's.
  const line = readFileSync('/proc/thread-self/net/igmp', 'utf8')
    .split('\n')
    .find((each) => each.split(/\s+/)[1] === name);
  if (line === undefined) throw new Error(`no interface ${name}`);
  return Number(line.split('\t')[0]);
}

async function batch(commands: readonly string[]): Promise<void> {
  await execa('ip', ['-batch', '-'], { input: `${commands.join('\n')}\n` });
}
