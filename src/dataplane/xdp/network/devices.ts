// Which interfaces packets may leave by without the kernel's routing, and to which interface a tagged frame belongs. Pure.
import type { Link, Network } from './model.ts';

/** An interface that the program is attached to. */
export interface Attached {
  readonly ifindex: number;
  readonly mode: 'native' | 'generic';
}

export interface Tag {
  /** 0x8100 or 0x88a8. */
  readonly protocol: number;
  readonly id: number;
}

/** What becomes a `struct device` of bpf/abi.h. */
export interface Device {
  readonly index: number;
  /** Index of the interface whose wire it is; of the bond for its ports. */
  readonly physical: number;
  readonly receives: boolean;
  readonly sends: boolean;
  /** Frames that came in there may be sent back as they are (XDP_TX); a veth loses them unless its peer has a program. */
  readonly returns: boolean;
  /** Outer first. */
  readonly tags: readonly Tag[];
  readonly mac: string;
  readonly mtu: number;
}

/** What becomes an entry of the map `vlans`. */
export interface Vlan {
  readonly physical: number;
  readonly tags: readonly Tag[];
  /** Index of the interface that such frames belong to. */
  readonly index: number;
}

export interface Devices {
  readonly devices: readonly Device[];
  readonly vlans: readonly Vlan[];
  /** Interfaces that cost more than they could, by name and reason; for the status. */
  readonly slow: readonly { readonly name: string; readonly reason: string }[];
}

const tagsMax = 2;
/** The MTU up to which a frame with its headroom and skb_shared_info fits into a page of 4 KiB, as drivers have it. */
export const onePage = 3498;

/** Attached interfaces that are gone are left out. */
export function devicesOf(network: Network, attached: readonly Attached[]): Devices {
  const links = new Map(network.links.map((link) => [link.index, link]));
  const everywhereGeneric = attached.every(({ mode }) => mode === 'generic');
  const devices: Device[] = [];
  const vlans: Vlan[] = [];
  const slow: { name: string; reason: string }[] = [];
  const sending = new Map<number, boolean>();
  for (const { ifindex, mode } of attached) {
    const link = links.get(ifindex);
    if (link?.mac === undefined) continue;
    const reason = everywhereGeneric ? undefined : obstacle(link, mode, network);
    if (reason !== undefined) slow.push({ name: link.name, reason });
    sending.set(ifindex, reason === undefined);
    devices.push(deviceOf(link, link, true, reason === undefined, []));
    if (link.kind === 'bond' && mode === 'native') devices.push(...portsOf(link, network));
  }
  for (const link of network.links) {
    if (link.vlan === undefined) continue;
    const place = placeOf(link, links, sending);
    if (place === undefined) continue;
    vlans.push({ ...place, index: link.index });
    const sends = sending.get(place.physical) === true && link.up;
    const physical = links.get(place.physical) ?? link;
    devices.push(deviceOf(link, physical, false, sends, place.tags));
  }
  return { devices, vlans, slow };
}

/** Why frames from interfaces in native mode cannot be redirected to this one: the kernel would drop them silently. */
function obstacle(link: Link, mode: Attached['mode'], { features }: Network): string | undefined {
  if (mode === 'generic') {
    return 'in generic mode, while others are in native mode: packets that leave here are routed by the kernel';
  }
  const { sends = false, sendsLarge = false, doubt } = features.get(link.index) ?? {};
  if (sends && !sendsLarge && link.mtu > onePage) {
    return `its driver takes no redirected frames of more than a page, and its MTU is ${link.mtu}: packets that leave here are routed by the kernel`;
  }
  if (sends) return undefined;
  if (doubt !== undefined) return `${doubt}: packets that leave here are routed by the kernel`;
  return link.kind === 'veth'
    ? 'its peer has neither GRO nor an XDP program, so it takes no redirected frames: packets that leave here are routed by the kernel'
    : 'its driver takes no redirected frames: packets that leave here are routed by the kernel';
}

function deviceOf(
  { index, mac = '', mtu }: Link,
  physical: Link,
  receives: boolean,
  sends: boolean,
  tags: readonly Tag[],
): Device {
  const returns = physical.kind !== 'veth';
  return { index, physical: physical.index, receives, sends, returns, tags, mac, mtu };
}

/** In native mode frames come in by the ports of a bond, to its MAC address; what is sent there it gives to one of them. */
function portsOf(bond: Link, { links }: Network): readonly Device[] {
  const ports = links.filter(({ master }) => master === bond.index);
  return ports.map((port) => ({ ...deviceOf(bond, bond, true, false, []), index: port.index }));
}

/**
 * Why the program must not run on this interface in generic mode; undefined where it may. Says something else when another
 * trial makes sense.
 *
 * The ports of a bond put segments together (GRO) before the bond's program sees them, which the kernel refrains from on an
 * interface with a program of its own. To the program they are too big for the way out, so it hands them up untouched, and
 * answers of stateless flows leave with the machine's address. Tags are taken off by then, too: on a bond always, on others
 * by their offloads; the program would translate across VLANs, and the old tag would go out with the frame.
 */
export function againstGeneric({ links }: Network, ifindex: number): string | undefined {
  const link = links.find(({ index }) => index === ifindex);
  if (link?.kind === 'bond') {
    const ports = links.filter(({ master }) => master === ifindex).map(({ name }) => name);
    const of = ports.length === 0 ? 'its ports' : ports.join(' and ');
    return `in generic mode XDP would get frames that ${of} had put together: its packets are left to nftables`;
  }
  const carriesVlans = links.some(({ vlan, parent }) => vlan !== undefined && parent === ifindex);
  if (!carriesVlans) return undefined;
  return 'in generic mode XDP does not see the tags of the VLANs on it: its packets are left to nftables';
}

/** On which attached interface a VLAN device sits, and the tags of its frames there. */
function placeOf(
  device: Link,
  links: ReadonlyMap<number, Link>,
  attached: ReadonlyMap<number, boolean>,
): { readonly physical: number; readonly tags: readonly Tag[] } | undefined {
  const tags: Tag[] = [];
  let link: Link | undefined = device;
  while (link !== undefined && !attached.has(link.index)) {
    if (link.vlan === undefined || link.parent === undefined || tags.length === tagsMax) return undefined;
    // The device nearest to the wire adds the outer tag.
    tags.unshift(link.vlan);
    link = links.get(link.parent);
  }
  return link === undefined || device.mac === undefined ? undefined : { physical: link.index, tags };
}

/** The interfaces at whose addresses packets from attached ones arrive: themselves and the VLANs on them. By name. */
export function receivingInterfaces(network: Network, attached: readonly Attached[]): readonly string[] {
  const { devices } = devicesOf(network, attached);
  // To the kernel, what comes in by a port of a bond comes in by the bond.
  const own = devices.filter(({ index, physical, receives }) => !receives || index === physical);
  const indices = new Set(own.map(({ index }) => index));
  return network.links.filter(({ index }) => indices.has(index)).map(({ name }) => name);
}
