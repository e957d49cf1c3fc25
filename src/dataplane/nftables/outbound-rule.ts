// The rule that gives outbound flows of IPv6 their source, told to the kernel as it is. In words it would be
// `snat ip6 to ip6 saddr . meta l4proto map @outbound_source6`, but nft 1.0.6 looks for the upper ends of the ranges in
// the wrong registers (which start every 16 bytes only), and the kernel refuses what it makes of it.
import { attribute, flags, nest, request, requestOf, text, u32 } from '../netlink/netlink.ts';
import { NetlinkError, type NetlinkSocket } from '../netlink/socket.ts';
import type { Outcome } from './session.ts';
import { tableName } from './skeleton.ts';

// include/uapi/linux/netfilter/nfnetlink.h and nf_tables.h
const batch = { begin: 0x10, end: 0x11 } as const;
const subsystem = 10;
const newRule = 6;
const NFPROTO_INET = 1;
const NFPROTO_IPV6 = 10;
const networkHeader = 1;
const keyOfL4Protocol = 16;
const sourceNat = 0;
/** 32-bit registers; the source address of IPv6 lies at byte 8 of its header. */
const register0 = 8;
const source = { offset: 8, length: 16 } as const;

/** Key and data of the map both begin at the first register: address, protocol; least address, port, greatest of both. */
const registers = {
  address: register0,
  protocol: register0 + 4,
  leastAddress: register0,
  leastPort: register0 + 4,
  greatestAddress: register0 + 5,
  greatestPort: register0 + 9,
} as const;

const expressions = [
  expression(
    'payload',
    attribute(1, u32(registers.address)),
    attribute(2, u32(networkHeader)),
    attribute(3, u32(source.offset)),
    attribute(4, u32(source.length)),
  ),
  expression('meta', attribute(1, u32(registers.protocol)), attribute(2, u32(keyOfL4Protocol))),
  expression(
    'lookup',
    attribute(1, text('outbound_source6')),
    attribute(2, u32(registers.address)),
    attribute(3, u32(registers.leastAddress)),
  ),
  expression(
    'nat',
    attribute(1, u32(sourceNat)),
    attribute(2, u32(NFPROTO_IPV6)),
    attribute(3, u32(registers.leastAddress)),
    attribute(4, u32(registers.greatestAddress)),
    attribute(5, u32(registers.leastPort)),
    attribute(6, u32(registers.greatestPort)),
  ),
];

/** Puts it before the one that drops what came so far; right after the skeleton, for without it the shape is not whole. */
export function addOutboundRule(socket: NetlinkSocket): Outcome {
  const [begin, rule, end] = [socket.nextSequence(), socket.nextSequence(), socket.nextSequence()];
  const toNftables = Buffer.of(0, 0, 0, subsystem);
  const content = [
    attribute(1, text(tableName)),
    attribute(2, text('outbound_snat6')),
    nest(4, ...expressions),
  ];
  const messages = Buffer.concat([
    requestOf(batch.begin, 0, begin, toNftables),
    request((subsystem << 8) | newRule, NFPROTO_INET, flags.ack | flags.create, rule, ...content),
    requestOf(batch.end, 0, end, toNftables),
  ]);
  let errno = 0;
  socket.exchange(messages, rule, (answer) => {
    errno ||= answer.errno ?? 0;
  });
  if (errno === 0) return { kind: 'done' };
  return { kind: 'refused', log: new NetlinkError('the outbound rule of IPv6', errno).message };
}

function expression(name: string, ...content: readonly Buffer[]): Buffer {
  return nest(1, attribute(1, text(name)), nest(2, ...content));
}
