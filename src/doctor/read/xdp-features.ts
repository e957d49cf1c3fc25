// What drivers say that they can do with XDP, from the kernel's netdev family (Linux 6.3 and later).
// Layout: include/uapi/linux/netdev.h.
import { attribute, attributes, flags, requestOf, text } from '../../dataplane/netlink/netlink.ts';
import { openNetlinkSocket } from '../../dataplane/netlink/socket.ts';
import type { XdpFeatures } from '../judge/interface.ts';

const controller = { type: 16, getFamily: 3, familyId: 1, familyName: 2 } as const;
const netdev = { getDevice: 1, ifindex: 1, features: 3 } as const;
const bit = { basic: 1, redirect: 2, transmit: 4, frames: 32 } as const;

/** struct genlmsghdr: command, version, two bytes kept free. */
const headerLength = 4;
const header = (command: number): Buffer => Buffer.of(command, 1, 0, 0);

/** By interface index, in the network of the caller; undefined where the kernel does not tell. */
export async function readXdpFeatures(): Promise<ReadonlyMap<number, XdpFeatures> | undefined> {
  const socket = await openNetlinkSocket('generic');
  try {
    let family: number | undefined;
    const asked = socket.nextSequence();
    const name = attribute(controller.familyName, text('netdev'));
    const question = requestOf(controller.type, flags.ack, asked, header(controller.getFamily), name);
    socket.exchange(question, asked, (message) => {
      if (message.errno !== undefined) return;
      family =
        attributes(message.body.subarray(headerLength)).get(controller.familyId)?.readUInt16LE(0) ?? family;
    });
    if (family === undefined) return undefined;
    const devices = new Map<number, XdpFeatures>();
    const dump = socket.nextSequence();
    socket.exchange(requestOf(family, flags.dump, dump, header(netdev.getDevice)), dump, (message) => {
      if (message.errno !== undefined) return;
      const found = attributes(message.body.subarray(headerLength));
      const [ifindex, mask] = [found.get(netdev.ifindex), found.get(netdev.features)];
      if (ifindex === undefined || mask === undefined) return;
      devices.set(ifindex.readUInt32LE(0), featuresOf(Number(mask.readBigUInt64LE(0))));
    });
    return devices;
  } finally {
    socket.close();
  }
}

function featuresOf(mask: number): XdpFeatures {
  const has = (one: number): boolean => (mask & one) !== 0;
  return {
    native: has(bit.basic) && has(bit.redirect),
    transmit: has(bit.transmit),
    jumbo: has(bit.frames),
  };
}
