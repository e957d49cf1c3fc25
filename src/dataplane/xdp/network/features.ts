// Which interfaces take redirected frames, as the kernel tells since 6.3. Layout: include/uapi/linux/netdev.h and genetlink.h.
import {
  attribute,
  attributes,
  eachAttribute,
  flags,
  type Message,
  readU16,
  requestOf,
  text,
} from '../../netlink/netlink.ts';
import { NetlinkError, type NetlinkSocket } from '../../netlink/socket.ts';
import { numberIn, textIn } from './bytes.ts';
import type { DriverFeatures } from './model.ts';

const headerLength = 4;
const controller = 16;
const getFamily = 3;
const familyAttribute = { id: 1, name: 2, groups: 7 } as const;
const groupAttribute = { name: 1, id: 2 } as const;
const getDevice = 1;
const deviceAttribute = { index: 1, features: 3 } as const;
/** NETDEV_XDP_ACT_NDO_XMIT and NETDEV_XDP_ACT_NDO_XMIT_SG */
const bit = { sends: 4n, sendsLarge: 64n } as const;
const ENOENT = 2;

/** Numbers that the kernel gives out at run time. */
export interface FeatureFamily {
  readonly id: number;
  /** The multicast group that tells of changes. */
  readonly group: number;
}

/** Undefined where the kernel has no such family. */
export function findFeatureFamily(generic: NetlinkSocket): FeatureFamily | undefined {
  let found: FeatureFamily | undefined;
  const sequence = generic.nextSequence();
  const query = requestOf(
    controller,
    flags.ack,
    sequence,
    genericHeader(getFamily),
    attribute(familyAttribute.name, text('netdev')),
  );
  let refused = 0;
  generic.exchange(query, sequence, (message) => {
    refused ||= message.errno ?? 0;
    if (message.type === controller) found = parseFamily(message.body);
  });
  if (refused !== 0 && refused !== ENOENT) {
    throw new NetlinkError('cannot ask for the features of interfaces', refused);
  }
  return found;
}

export function parseFamily(body: Buffer): FeatureFamily | undefined {
  const found = attributes(body.subarray(headerLength));
  const id = found.get(familyAttribute.id);
  if (id === undefined) return undefined;
  const groups = [...eachAttribute(found.get(familyAttribute.groups))].map(({ value }) => attributes(value));
  const group = groups.find((one) => textIn(one, groupAttribute.name) === 'mgmt');
  return { id: readU16(id, 0), group: (group && numberIn(group, groupAttribute.id)) ?? 0 };
}

/** The parts of a request for the features of all interfaces of the namespace. */
export function featureQuery(): Buffer {
  return genericHeader(getDevice);
}

/** One answer's interface and what it can; undefined for anything else. */
export function parseFeatures(
  message: Message,
  family: FeatureFamily,
): readonly [index: number, features: DriverFeatures] | undefined {
  if (message.type !== family.id) return undefined;
  const found = attributes(message.body.subarray(headerLength));
  const index = numberIn(found, deviceAttribute.index);
  const bits = found.get(deviceAttribute.features);
  if (index === undefined || bits?.length !== 8) return undefined;
  // In the machine's byte order; eBPF's JIT and Node's prebuilt koffi leave only little-endian ones here.
  const set = bits.readBigUInt64LE(0);
  return [index, { sends: (set & bit.sends) !== 0n, sendsLarge: (set & bit.sendsLarge) !== 0n }];
}

function genericHeader(command: number): Buffer {
  return Buffer.of(command, 1, 0, 0);
}
