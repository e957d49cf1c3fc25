// The network interfaces, as far as a data plane without XDP asks for them. Layout: include/uapi/linux/if_link.h.
import { attribute, attributes, flags, messageType, nativeU32, readU16, requestOf } from './netlink.ts';
import { NetlinkError, type NetlinkSocket } from './socket.ts';

const RTM_GETLINK = 18;
const headerLength = 16;
const ARPHRD_ETHER = 1;
const linkAttribute = { name: 3, master: 10, info: 18, extensions: 29 } as const;
const infoKind = 1;
/** RTEXT_FILTER_SKIP_STATS: the counters are the most of an answer. */
const skipStatistics = 8;

/** RTNLGRP_LINK: told when an interface comes, goes or changes. */
export const linkGroup = 1;

export interface LinkSummary {
  readonly name: string;
  readonly ethernet: boolean;
  /** Belongs to a bridge, a bond, a VRF or the like. */
  readonly enslaved: boolean;
  /** What rtnetlink calls a virtual device, such as `veth`; empty for a network card. */
  readonly kind: string;
}

/** All interfaces of the network namespace. `socket` is of the kind `route`. Throws `NetlinkError`. */
export async function readLinks(socket: NetlinkSocket): Promise<readonly LinkSummary[]> {
  const links: LinkSummary[] = [];
  const asked = socket.nextSequence();
  let errno = 0;
  const query = requestOf(
    RTM_GETLINK,
    flags.dump,
    asked,
    Buffer.alloc(headerLength),
    attribute(linkAttribute.extensions, nativeU32(skipStatistics)),
  );
  await socket.exchangeAsync(query, asked, ({ type, sequence, errno: code, body }) => {
    if (sequence !== asked) return;
    if (code !== undefined && code !== 0) errno = code;
    if (type === messageType.error || type === messageType.done || body.length < headerLength) return;
    const found = attributes(body.subarray(headerLength));
    links.push({
      name: nameIn(found.get(linkAttribute.name)),
      ethernet: readU16(body, 2) === ARPHRD_ETHER,
      enslaved: found.has(linkAttribute.master),
      kind: nameIn(attributes(found.get(linkAttribute.info)).get(infoKind)),
    });
  });
  if (errno !== 0) throw new NetlinkError('cannot list the network interfaces', errno);
  return links;
}

function nameIn(bytes: Buffer | undefined): string {
  if (bytes === undefined) return '';
  const end = bytes.indexOf(0);
  return bytes.toString('latin1', 0, end === -1 ? bytes.length : end);
}
