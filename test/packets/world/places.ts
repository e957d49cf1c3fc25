// Who is where around the gateway, and so which wire a packet comes from or leaves by.
import type { Ethernet, Mac, Tag } from '../frame/packet.ts';

/**
 * The gateway's interfaces. `wan` to `wide` are interfaces of their own, the others are VLANs on `wan` and `lan`. The
 * program runs on all of the former but `apart`, and can send by all but `unfit`. `narrow` carries 1,280 bytes,
 * `wide` 9,000, and nothing that comes in by `still` is forwarded.
 */
export const devices = {
  wan: { mac: '02:00:00:00:01:01', tags: [] },
  lan: { mac: '02:00:00:00:02:01', tags: [] },
  narrow: { mac: '02:00:00:00:03:01', tags: [], mtu: 1280 },
  unfit: { mac: '02:00:00:00:04:01', tags: [] },
  apart: { mac: '02:00:00:00:05:01', tags: [] },
  still: { mac: '02:00:00:00:06:01', tags: [] },
  wide: { mac: '02:00:00:00:07:01', tags: [], mtu: 9000 },
  'wan.9': { mac: '02:00:00:00:01:01', parent: 'wan', tags: [{ protocol: 0x8100, id: 9 }] },
  'wan.9.10': {
    mac: '02:00:00:00:01:01',
    parent: 'wan',
    tags: [
      { protocol: 0x8100, id: 9 },
      { protocol: 0x8100, id: 10 },
    ],
  },
  'lan.5': { mac: '02:00:00:00:02:01', parent: 'lan', tags: [{ protocol: 0x8100, id: 5 }] },
  'lan.6.7': {
    mac: '02:00:00:00:02:01',
    parent: 'lan',
    tags: [
      { protocol: 0x88a8, id: 6 },
      { protocol: 0x8100, id: 7 },
    ],
  },
} as const satisfies Readonly<Record<string, Device>>;

export interface Device {
  readonly mac: Mac;
  readonly tags: readonly Tag[];
  readonly parent?: string;
  /** 1500 unless told. */
  readonly mtu?: number;
}

export type DeviceName = keyof typeof devices;

/** The interface that a frame of this device is on the wire of. */
export function physicalOf(name: DeviceName): DeviceName {
  const device: Device = devices[name];
  return device.parent === undefined ? name : physicalOf(device.parent as DeviceName);
}

interface Network {
  readonly device: DeviceName;
  /** The gateway's own address in it, with the prefix length. */
  readonly own: string;
  /** Addresses begin so. */
  readonly prefix: string;
}

export const networks: readonly Network[] = [
  { device: 'wan', own: '198.51.100.1/24', prefix: '198.51.100.' },
  { device: 'wan', own: '2001:db8:1::1/64', prefix: '2001:db8:1::' },
  { device: 'wan.9', own: '198.51.109.1/24', prefix: '198.51.109.' },
  { device: 'wan.9', own: '2001:db8:9::1/64', prefix: '2001:db8:9::' },
  { device: 'wan.9.10', own: '198.51.110.1/24', prefix: '198.51.110.' },
  { device: 'lan', own: '10.1.0.254/16', prefix: '10.1.' },
  { device: 'lan', own: 'fd01::fe/64', prefix: 'fd01::' },
  { device: 'lan.5', own: '10.5.0.254/16', prefix: '10.5.' },
  { device: 'lan.5', own: 'fd05::fe/64', prefix: 'fd05::' },
  { device: 'lan.6.7', own: '10.6.0.254/16', prefix: '10.6.' },
  { device: 'narrow', own: '10.7.0.254/16', prefix: '10.7.' },
  { device: 'narrow', own: 'fd07::fe/64', prefix: 'fd07::' },
  { device: 'unfit', own: '10.8.0.254/16', prefix: '10.8.' },
  { device: 'apart', own: '10.11.0.254/16', prefix: '10.11.' },
  { device: 'apart', own: 'fd0b::fe/64', prefix: 'fd0b::' },
  { device: 'still', own: '10.12.0.254/16', prefix: '10.12.' },
  { device: 'wide', own: '10.13.0.254/16', prefix: '10.13.' },
];

/** Routes over a next hop, besides the default ones: prefix and next hop. */
export const routes: readonly (readonly [prefix: string, hop: string])[] = [
  ['10.20.0.0/16', '10.1.0.200'],
  ['fd20::/64', 'fd01::c8'],
  ['10.21.0.0/16', '10.1.0.201'],
  ['0.0.0.0/0', '198.51.100.254'],
  ['::/0', '2001:db8:1::fe'],
];

/** Prefixes that nothing is forwarded to. */
export const dead = [
  'unreachable 10.30.0.0/16',
  'blackhole 10.31.0.0/16',
  'prohibit 10.32.0.0/16',
  'unreachable fd30::/64',
];

/** On a link, but nobody knows their MAC address. */
export const silent = [
  '10.1.0.77',
  '198.51.100.77',
  '198.51.100.78',
  'fd01::4d',
  '2001:db8:1::4d',
  '10.1.0.201',
];

/** All that answer on their links. */
export const neighbours: readonly string[] = [
  ...['10', '11', '12', '50', '254'].map((host) => `198.51.100.${host}`),
  ...['a', 'b', '32', 'fe'].map((host) => `2001:db8:1::${host}`),
  '198.51.109.10',
  '2001:db8:9::a',
  '198.51.109.50',
  '198.51.110.10',
  ...['1', '2', '3', '4', '5', '6', '7', '200'].map((host) => `10.1.0.${host}`),
  ...['1', '2', '3', '4', '5'].map((host) => `10.1.1.${host}`),
  ...['1', '2', '3', '4', '5', '6', '7', 'c8', '101', '102', '103'].map((host) => `fd01::${host}`),
  '10.5.0.1',
  'fd05::1',
  '10.6.0.1',
  '10.7.0.1',
  '10.7.0.2',
  'fd07::1',
  '10.8.0.1',
  '10.8.0.2',
  '10.11.0.1',
  '10.11.0.2',
  'fd0b::2',
  'fd0b::1',
  '10.12.0.1',
  '10.13.0.1',
  '10.13.0.2',
];

/** A neighbour's MAC address. */
export function macOf(address: string): Mac {
  const index = neighbours.indexOf(address);
  if (index < 0) throw new RangeError(`${address} is nobody's neighbour`);
  return `02:00:00:01:00:${index.toString(16).padStart(2, '0')}`;
}

/** Who brings the packets from an address, or gets those to it. */
export function hopTo(address: string): { readonly device: DeviceName; readonly mac: Mac } {
  const network = networks.find(({ prefix }) => address.startsWith(prefix) && !/^fd01::.*:/.test(address));
  if (network !== undefined) return { device: network.device, mac: macOf(address) };
  const via = address.includes(':')
    ? address.startsWith('fd20:')
      ? 'fd01::c8'
      : '2001:db8:1::fe'
    : address.startsWith('10.20.')
      ? '10.1.0.200'
      : '198.51.100.254';
  return hopTo(via);
}

/** The wire on which packets from an address arrive. */
export function arrival(address: string): { readonly device: DeviceName; readonly ethernet: Ethernet } {
  const { device, mac } = hopTo(address);
  return { device, ethernet: { source: mac, destination: devices[device].mac, tags: devices[device].tags } };
}

/** The wire by which packets to an address leave. */
export function departure(address: string): { readonly device: DeviceName; readonly ethernet: Ethernet } {
  const { device, mac } = hopTo(address);
  return { device, ethernet: { source: devices[device].mac, destination: mac, tags: devices[device].tags } };
}
