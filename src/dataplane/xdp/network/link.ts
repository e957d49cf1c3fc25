// Interfaces and their addresses out of rtnetlink messages. Layout: include/uapi/linux/if_link.h and if_addr.h.
import {
  type Attributes,
  attribute,
  attributes,
  nativeU32,
  readU16,
  readU32,
} from '../../netlink/netlink.ts';
import { addressOf, numberIn, textIn } from './bytes.ts';
import type { InterfaceAddress, Link } from './model.ts';

const headerLength = 16;
const addressHeaderLength = 8;
const hardware = { ethernet: 1, loopback: 772 } as const;
const IFF_UP = 1;
const linkAttribute = {
  address: 1,
  name: 3,
  mtu: 4,
  parent: 5,
  master: 10,
  operationalState: 16,
  info: 18,
  extensions: 29,
  parentNamespace: 37,
  xdp: 43,
} as const;
const infoAttribute = { kind: 1, content: 2 } as const;
const vlanAttribute = { id: 1, protocol: 5 } as const;
const xdpAttribute = { attached: 2, program: 4, nativeProgram: 5 } as const;
/** RTEXT_FILTER_SKIP_STATS: the counters are the most of an answer. */
const skipStatistics = 8;
const xdpModes: readonly Link['xdp'][] = ['none', 'native', 'generic', 'offloaded', 'several'];
const addressAttribute = { address: 1, local: 2 } as const;

/** The parts of a request for all interfaces. */
export function linkQuery(): readonly Buffer[] {
  return [Buffer.alloc(headerLength), attribute(linkAttribute.extensions, nativeU32(skipStatistics))];
}

/** The body of RTM_NEWLINK; undefined when it is cut short. */
export function parseLink(body: Buffer): Link | undefined {
  if (body.length < headerLength) return undefined;
  const found = attributes(body.subarray(headerLength));
  const name = textIn(found, linkAttribute.name);
  if (name === undefined) return undefined;
  const type = readU16(body, 2);
  const mac = found.get(linkAttribute.address);
  const info = attributes(found.get(linkAttribute.info));
  const kind = textIn(info, infoAttribute.kind);
  const master = numberIn(found, linkAttribute.master);
  const parent = found.has(linkAttribute.parentNamespace)
    ? undefined
    : numberIn(found, linkAttribute.parent) || undefined;
  const peer = kind === 'veth' ? parsePeer(found) : undefined;
  const vlan = kind === 'vlan' ? parseVlan(attributes(info.get(infoAttribute.content))) : undefined;
  const xdp = attributes(found.get(linkAttribute.xdp));
  const xdpProgram = numberIn(xdp, xdpAttribute.program) ?? numberIn(xdp, xdpAttribute.nativeProgram);
  return {
    index: readU32(body, 4),
    name,
    ...(mac?.length === 6 && { mac: macText(mac) }),
    mtu: numberIn(found, linkAttribute.mtu) ?? 0,
    ethernet: type === hardware.ethernet,
    loopback: type === hardware.loopback,
    ...(kind !== undefined && { kind }),
    up: (readU32(body, 8) & IFF_UP) !== 0,
    operationalState: found.get(linkAttribute.operationalState)?.[0] ?? 0,
    ...(master !== undefined && master !== 0 && { master }),
    ...(parent !== undefined && { parent }),
    ...(peer !== undefined && { peer }),
    ...(vlan !== undefined && { vlan }),
    xdp: xdpModes[xdp.get(xdpAttribute.attached)?.[0] ?? 0] ?? 'none',
    ...(xdpProgram !== undefined && { xdpProgram }),
  };
}

/** The body of RTM_NEWADDR. */
export function parseInterfaceAddress(body: Buffer): InterfaceAddress | undefined {
  if (body.length < addressHeaderLength) return undefined;
  const found = attributes(body.subarray(addressHeaderLength));
  // On a point-to-point interface the other attribute is the peer's (rtnetlink(7)); IPv6 has often only that one.
  const address = addressOf(found.get(addressAttribute.local) ?? found.get(addressAttribute.address));
  if (address === undefined) return undefined;
  return { link: readU32(body, 4), address, length: body[1] ?? 0 };
}

export function macBytes(mac: string): Buffer {
  return Buffer.from(mac.replaceAll(':', ''), 'hex');
}

function macText(bytes: Buffer): string {
  return bytes.toString('hex').replace(/(..)(?=.)/g, '$1:');
}

function parsePeer(found: Attributes): Link['peer'] {
  const index = numberIn(found, linkAttribute.parent);
  const namespace = numberIn(found, linkAttribute.parentNamespace);
  return index ? { index, ...(namespace !== undefined && { namespace }) } : undefined;
}

function parseVlan(found: Attributes): Link['vlan'] {
  const id = found.get(vlanAttribute.id);
  if (id === undefined) return undefined;
  // The id is in the machine's byte order, the protocol in the network's.
  return { id: readU16(id, 0), protocol: found.get(vlanAttribute.protocol)?.readUInt16BE(0) ?? 0x8100 };
}
