// Frames that contradict themselves. The program leaves them to the kernel, which drops them as it always did.

import { encode } from '../frame/encode.ts';
import { type End, tcp, udp } from '../frame/packet.ts';
import { doors, front, front6 } from '../world/rules.ts';
import { from } from './row.ts';

const client: End = ['198.51.100.10', 40000];
const client6: End = ['2001:db8:1::a', 40000];
const knock = encode(from(tcp(client, [front, doors.machine])).packet);
const knock6 = encode(from(tcp(client6, [front6, doors.machine])).packet);
const ask = encode(from(udp(client, [front, doors.machine])).packet);
const ask6 = encode(from(udp(client6, [front6, doors.machine])).packet);
const back = encode(from(tcp(['10.1.0.1', 8080], client)).packet);

/** What they were made of: the same flows. */
export const sound: readonly Uint8Array[] = [knock, knock6, ask, ask6];

export interface Malformed {
  readonly name: string;
  readonly device: 'wan' | 'lan';
  readonly frame: Uint8Array;
}

/** Good frames with some bytes otherwise; offsets count from the IP header. */
export const malformed: readonly Malformed[] = [
  broken('an IPv4 header of 16 bytes', knock, [0, 0x44]),
  broken('an IPv4 header of 0 bytes', knock, [0, 0x40]),
  broken('an IPv4 header longer than the packet', knock, [0, 0x4f]),
  broken('IPv4 that says it is version 6', knock, [0, 0x65]),
  broken('IPv4 that says it is version 0', knock, [0, 0x05]),
  broken('IPv6 that says it is version 4', knock6, [0, 0x40]),
  broken('IPv4 longer than its frame', knock, [2, 0x01]),
  broken('IPv4 shorter than its header', knock, [2, 0, 3, 19]),
  broken('IPv4 of length 0', knock, [2, 0, 3, 0]),
  broken('IPv4 that ends in the TCP header', knock, [2, 0, 3, 39]),
  broken('IPv4 that ends in the UDP header', ask, [2, 0, 3, 27]),
  broken('IPv4 that ends before the ports', knock, [2, 0, 3, 22]),
  broken('IPv6 longer than its frame', knock6, [4, 0x01]),
  broken('IPv6 of length 0', knock6, [4, 0, 5, 0]),
  broken('IPv6 that ends in the TCP header', knock6, [4, 0, 5, 19]),
  broken('IPv6 that ends in the UDP header', ask6, [4, 0, 5, 7]),
  broken('a TCP header of 16 bytes', knock, [32, 0x40]),
  broken('a TCP header of 0 bytes', knock, [32, 0x00]),
  broken('a TCP header longer than the packet', knock, [32, 0xf0]),
  broken('a TCP header longer than the packet: IPv6', knock6, [52, 0xf0]),
  broken('a TCP header longer than the packet: way back', back, [32, 0xf0], 'lan'),
  broken('a UDP length of 0', ask, [24, 0, 25, 0]),
  broken('a UDP length of 7', ask, [24, 0, 25, 7]),
  broken('UDP longer than its packet', ask, [25, 200]),
  broken('UDP longer than its packet: IPv6', ask6, [45, 200]),
  broken('a fragment that ends behind 64 KiB', ask, [6, 0x1f, 7, 0xff]),
];

function broken(
  name: string,
  good: Uint8Array,
  changes: readonly number[],
  device: 'wan' | 'lan' = 'wan',
): Malformed {
  const frame = Uint8Array.from(good);
  for (let at = 0; at < changes.length; at += 2) frame[14 + (changes[at] ?? 0)] = changes[at + 1] ?? 0;
  return { name, device, frame };
}
