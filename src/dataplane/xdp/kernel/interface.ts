// What the kernel says about a network interface: its name, its driver, and the XDP program on it.
import { closeSync, readdirSync } from 'node:fs';
import { attribute, attributes, nativeU32, readU32, requestOf } from '../../netlink/netlink.ts';
import { askRoute } from './ask-route.ts';
import { koffi, memory } from './foreign.ts';
import { libc } from './libc.ts';

/** The program on an interface, whoever put it there. */
export interface XdpState {
  /** Program ids; 0: none. */
  readonly native: number;
  readonly generic: number;
  readonly hardware: number;
}

/** Of the calling thread's network namespace, as everything here. Undefined if there is no such interface. */
export function interfaceName(ifindex: number): string | undefined {
  const name = memory(16);
  if (libc().interfaceName(ifindex, name) === null) return undefined;
  return name.toString('utf8', 0, name.indexOf(0));
}

/** Such as `veth` or `ixgbe`; undefined for devices that have none, such as `lo`. */
export function driverOf(name: string): string | undefined {
  // struct ethtool_drvinfo: the command, then the driver's name of 32 bytes.
  const info = askEthtool(name, 3, 196);
  const driver = info?.toString('utf8', 4, info.indexOf(0, 4));
  return driver === '' ? undefined : driver;
}

/** Whether generic receive offload is on; undefined if there is no such interface. */
export function mergesReceived(name: string): boolean | undefined {
  // struct ethtool_value: the command, then the answer.
  const answer = askEthtool(name, 0x2b, 8)?.readUInt32LE(4);
  return answer === undefined ? undefined : answer !== 0;
}

/** Pairs of a receive and a send queue. */
export interface QueuePairs {
  /** Without those that the driver has set aside for XDP to send by. */
  readonly now: number;
  readonly most: number;
}

/** Undefined where the driver has none, or does not tell. */
export function queuePairsOf(name: string): QueuePairs | undefined {
  // struct ethtool_channels: the command, then the most of each of four kinds, combined ones last, and how many there are.
  const channels = askEthtool(name, 0x3c, 36);
  const most = channels?.readUInt32LE(16) ?? 0;
  if (channels === undefined || most === 0) return undefined;
  // While a program is on it, virtio_net counts those for XDP among them.
  return { now: sendQueuesOf(name) ?? channels.readUInt32LE(32), most };
}

/** By how many queues the kernel's stack sends; undefined where it is not told. */
export function sendQueuesOf(name: string): number | undefined {
  const [close, context, create, mount] = [1, 0, 6, 1];
  // A mount of our own, at no path: /sys may show the interfaces of another network namespace.
  const files = libc().openFileSystem(430, 'sysfs', close);
  if (files < 0) return undefined;
  const configured = libc().configureFileSystem(431, files, create, null, null, context);
  const root = configured < 0 ? -1 : libc().mountFileSystem(432, files, mount, 0);
  closeSync(files);
  if (root < 0) return undefined;
  try {
    const queues = readdirSync(`/proc/self/fd/${root}/class/net/${name}/queues`);
    return queues.filter((queue) => queue.startsWith('tx-')).length;
  } catch {
    return undefined;
  } finally {
    closeSync(root);
  }
}

/** One question of linux/ethtool.h that is allowed to everybody; undefined where the driver does not answer. */
function askEthtool(name: string, command: number, size: number): Buffer | undefined {
  const [inet, datagram, siocEthtool] = [2, 2, 0x8946];
  const info = memory(size);
  info.writeUInt32LE(command);
  // struct ifreq: the name of 16 bytes, then a pointer to what is asked.
  const request = memory(40);
  request.write(name, 0, 15);
  request.writeBigUInt64LE(koffi().address(info), 16);
  const socket = libc().socket(inet, datagram, 0);
  if (socket < 0) return undefined;
  const result = libc().ioctl(socket, siocEthtool, request);
  closeSync(socket);
  return result < 0 ? undefined : info;
}

/** RTM_GETLINK, struct ifinfomsg, and attributes of rtnetlink(7) and linux/if_link.h. */
const getLink = 18;
const linkHeader = 16;
const linkAttribute = { filter: 29, xdp: 43 } as const;
const withoutStatistics = 8;
const xdpAttribute = { native: 5, generic: 6, hardware: 7 } as const;

/**
 * Throws `KernelError`, ENODEV where there is no such interface. About 20 µs: bpf_xdp_query of libbpf would have the kernel
 * list all interfaces for it.
 */
export function xdpState(ifindex: number): XdpState {
  const header = memory(linkHeader);
  header.writeInt32LE(ifindex, 4);
  const filter = attribute(linkAttribute.filter, nativeU32(withoutStatistics));
  const answer = askRoute(
    requestOf(getLink, 0, 1, header, filter),
    `cannot ask about XDP on interface ${ifindex}`,
  );
  const xdp = attributes(attributes(answer.subarray(linkHeader)).get(linkAttribute.xdp));
  const id = (type: number): number => {
    const bytes = xdp.get(type);
    return bytes === undefined ? 0 : readU32(bytes, 0);
  };
  return {
    native: id(xdpAttribute.native),
    generic: id(xdpAttribute.generic),
    hardware: id(xdpAttribute.hardware),
  };
}
