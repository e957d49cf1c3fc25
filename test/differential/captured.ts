// Reads from a captured frame what tells it apart, and takes away what two kernels may choose at will.
import { addressText } from '../packets/frame/address.ts';
import { dissect } from '../packets/frame/dissect.ts';
import type { End } from '../packets/frame/packet.ts';

export interface Captured {
  readonly frame: Uint8Array;
  /** IPv4 identification, or the lower half of the IPv6 flow label. */
  readonly id: number;
  readonly protocol: 'tcp' | 'udp' | 'icmp' | 'fragment' | 'other';
  readonly ttl: number;
  /** IPv4 type of service, or IPv6 traffic class. */
  readonly tos: number;
  /** The `id` of what an ICMP error quotes; 0 where it quotes nothing. */
  readonly quotedId: number;
  readonly source: End;
  readonly destination: End;
}

/** Undefined for what is not IP, or is about the link only: neighbours that are asked for, say. */
export function read(frame: Uint8Array): Captured | undefined {
  const type = ((frame[12] ?? 0) << 8) | (frame[13] ?? 0);
  if (type !== 0x0800 && type !== 0x86dd) return undefined;
  const fields = new Map(dissect(frame).fields.map(({ name, bytes }) => [name, bytes]));
  const number = (name: string): number =>
    [...(fields.get(name) ?? [])].reduce((value, byte) => value * 256 + byte, 0);
  const kind = ['tcp', 'udp'].find((name) => fields.has(`${name}.source port`));
  const end = (address: string, port: string): End => [
    addressText(fields.get(address) ?? Uint8Array.of(0, 0, 0, 0)),
    kind === undefined ? 0 : number(`${kind}.${port}`),
  ];
  // To a multicast group of IPv6.
  if (fields.get('ip.destination')?.[0] === 0xff) return undefined;
  const offset = number('ip.fragment') & (type === 0x0800 ? 0x1fff : 0xfff8);
  const plain = kind === 'tcp' || kind === 'udp' ? kind : fields.has('icmp.type') ? 'icmp' : 'other';
  return {
    frame,
    id: type === 0x0800 ? number('ip.identification') : ((frame[16] ?? 0) << 8) | (frame[17] ?? 0),
    protocol: offset > 0 ? 'fragment' : plain,
    ttl: number('ip.ttl'),
    tos: type === 0x0800 ? number('ip.tos') : (((frame[14] ?? 0) & 15) << 4) | ((frame[15] ?? 0) >> 4),
    quotedId: type === 0x0800 ? number('inner.ip.identification') : number('inner.ip.class') & 0xffff,
    source: end('ip.source', 'source port'),
    destination: end('ip.destination', 'destination port'),
  };
}

/** Of what a gateway has made itself: without the identification, which is its own affair, and the checksum over it. */
export function withoutIdentification(frame: Uint8Array): Uint8Array {
  return blank(frame, ['ip.identification', 'ip.checksum', 'ip.class']);
}

/** IPv6 fragments that a gateway has put together and cut again have an identification of its choice. */
export function withoutFragmentIdentification(frame: Uint8Array): Uint8Array {
  return frame[12] === 0x86 ? blank(frame, ['ip.identification']) : frame;
}

/**
 * Of a flow whose client's port was changed: which port it became is the gateway's own affair; and whether an error about
 * it seems to come from the client itself (as conntrack has it, which has changed the source) or from who has sent it.
 */
export function withoutPorts(frame: Uint8Array): Uint8Array {
  const names = ['tcp', 'udp'].flatMap((kind) => [`${kind}.source port`, `${kind}.checksum`]);
  const inner = ['tcp', 'udp'].flatMap((kind) => [
    ...[`inner.${kind}.source port`, `inner.${kind}.destination port`, `inner.${kind}.checksum`],
  ]);
  const isError = read(frame)?.protocol === 'icmp';
  const error = ['icmp.checksum', 'ip.source', 'ip.checksum', ...inner];
  return blank(frame, isError ? error : names);
}

function blank(frame: Uint8Array, names: readonly string[]): Uint8Array {
  const copy = Uint8Array.from(frame);
  for (const { name, at, bytes } of dissect(frame).fields)
    if (names.includes(name)) copy.fill(0, at, at + bytes.length);
  return copy;
}
