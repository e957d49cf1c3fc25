// Inbound NAT, from the client to the machine.
import { addressHash } from '../../../src/dataplane/xdp/memory/hash.ts';
import { addressBytes } from '../frame/address.ts';
import { encodeIp } from '../frame/encode.ts';
import { bytes, type End, type Fields, type Packet, tcp, text, udp } from '../frame/packet.ts';
import { rewrite, steered } from '../frame/rewrite.ts';
import { any, any6, doors, front, front6, idle, idle6, masked, masked6 } from '../world/rules.ts';
import { shape } from '../world/tables.ts';
import { forwarded, from, type Row, routed, untouched } from './row.ts';

const client: End = ['198.51.100.10', 40000];
const client6: End = ['2001:db8:1::a', 40000];
const far: End = ['192.0.2.77', 1024];
const far6: End = ['2001:db8:77::1', 65535];
const machine: End = ['10.1.0.1', 8080];
const machine6: End = ['fd01::1', 8080];

/** Towards `front` and its machine. */
const knock = (fields: Fields = {}): Packet => tcp(client, [front, doors.machine], fields);
const knock6 = (fields: Fields = {}): Packet => tcp(client6, [front6, doors.machine], fields);
const ask = (fields: Fields = {}): Packet => udp(client, [front, doors.machine], fields);
const ask6 = (fields: Fields = {}): Packet => udp(client6, [front6, doors.machine], fields);
const inside = forwarded({ to: machine });
const inside6 = forwarded({ to: machine6 });

/** The packet with a checksum that becomes `wanted` once it is translated. */
const becoming = (packet: Packet, to: End, wanted: number): Packet =>
  steered(packet, wanted, (same) => rewrite(same, { to }));

/** A client whose address is where the filter has that of `front`. */
const lookalike: End = [sharingCell(front), 40000];

function sharingCell(with_: string): string {
  const cell = (address: string): number => {
    const [a = 0, b = 0, c = 0, d = 0] = addressBytes(address);
    const words = Int32Array.of(0, 0, 0xffff0000, a | (b << 8) | (c << 16) | (d << 24));
    return addressHash(words) & (shape.addresses * 64 - 1);
  };
  for (let host = 0; host < 2 ** 24; host += 1) {
    const address = `100.${host >> 16}.${(host >> 8) & 255}.${host & 255}`;
    if (cell(address) === cell(with_)) return address;
  }
  throw new Error(`no address shares the cell of ${with_}`);
}

export const natInward: readonly Row[] = [
  {
    name: 'a client whose address looks like a frontend’s to the filter',
    frame: from(tcp(lookalike, [front, doors.machine], { flags: 'S' })),
    becomes: inside,
  },
  {
    name: 'a client whose address looks like a frontend’s to the filter: UDP',
    frame: from(udp(lookalike, [front, doors.machine])),
    becomes: inside,
  },
  { name: 'IPv4 TCP: SYN', frame: from(knock({ flags: 'S', tcpOptions: [2, 4, 5, 180] })), becomes: inside },
  { name: 'IPv4 TCP: segment', frame: from(knock()), becomes: inside },
  { name: 'IPv4 TCP: no payload', frame: from(knock({ payload: [] })), becomes: inside },
  { name: 'IPv4 TCP: FIN', frame: from(knock({ flags: 'FA' })), becomes: inside },
  { name: 'IPv4 TCP: RST', frame: from(knock({ flags: 'R' })), becomes: inside },
  { name: 'IPv4 TCP: full-sized', frame: from(knock({ payload: bytes(1460) })), becomes: inside },
  { name: 'IPv4 UDP', frame: from(ask()), becomes: inside },
  { name: 'IPv4 UDP: empty', frame: from(ask({ payload: [] })), becomes: inside },
  { name: 'IPv4 UDP: odd length', frame: from(ask({ payload: text('odd') })), becomes: inside },
  { name: 'IPv4 UDP: no checksum stays none', frame: from(ask({ noChecksum: true })), becomes: inside },
  { name: 'IPv6 TCP: SYN', frame: from(knock6({ flags: 'S' })), becomes: inside6 },
  { name: 'IPv6 TCP: segment', frame: from(knock6()), becomes: inside6 },
  { name: 'IPv6 TCP: full-sized', frame: from(knock6({ payload: bytes(1440) })), becomes: inside6 },
  { name: 'IPv6 UDP', frame: from(ask6()), becomes: inside6 },
  { name: 'IPv6 UDP: empty', frame: from(ask6({ payload: [] })), becomes: inside6 },
  {
    name: 'IPv6: class and label stay',
    frame: from(knock6({ tos: 0xb8, flowLabel: 0xfffff })),
    becomes: inside6,
  },
  { name: 'IPv4: type of service stays', frame: from(knock({ tos: 0xb8 })), becomes: inside },
  { name: 'IPv4: congestion experienced stays', frame: from(knock({ tos: 3 })), becomes: inside },
  {
    name: 'IPv4: may be fragmented, and need not',
    frame: from(knock({ dontFragment: false })),
    becomes: inside,
  },
  {
    name: 'IPv4: padding of a short frame stays',
    frame: from(ask({ payload: [1], trailer: bytes(17) })),
    becomes: inside,
  },
  { name: 'IPv6: bytes behind the packet stay', frame: from(ask6({ trailer: bytes(4) })), becomes: inside6 },
  {
    name: 'IPv4: a client behind a router',
    frame: from(tcp(far, [front, doors.machine])),
    becomes: inside,
  },
  {
    name: 'IPv6: a client behind a router',
    frame: from(udp(far6, [front6, doors.machine])),
    becomes: inside6,
  },
  {
    name: 'IPv4 TCP: the port is kept where both are the same',
    frame: from(tcp(client, [front, doors.samePort])),
    becomes: forwarded({ to: ['10.1.0.3', doors.samePort] }),
  },
  {
    name: 'IPv6 UDP: the port is kept where both are the same',
    frame: from(udp(client6, [front6, doors.samePort])),
    becomes: forwarded({ to: ['fd01::3', doors.samePort] }),
  },
  ...[1, 22, 501, 599, 601, 65535].map((port) => ({
    name: `IPv4 TCP: any port, ${port}`,
    frame: from(tcp(client, [any, port])),
    becomes: forwarded({ to: ['10.1.0.4', port] }),
  })),
  {
    name: 'IPv4 UDP: any port',
    frame: from(udp(client, [any, 53])),
    becomes: forwarded({ to: ['10.1.0.4', 53] }),
  },
  {
    name: 'IPv6 TCP: any port',
    frame: from(tcp(client6, [any6, 443])),
    becomes: forwarded({ to: ['fd01::4', 443] }),
  },
  {
    name: 'IPv6 UDP: any port',
    frame: from(udp(client6, [any6, 443])),
    becomes: forwarded({ to: ['fd01::4', 443] }),
  },
  {
    name: 'IPv4: one port goes before any port',
    frame: from(tcp(client, [any, 600])),
    becomes: forwarded({ to: ['10.1.0.5', 8080] }),
  },
  {
    name: 'IPv6: one port goes before any port',
    frame: from(udp(client6, [any6, 600])),
    becomes: forwarded({ to: ['fd01::5', 8080] }),
  },
  {
    name: 'a mapping to a machine that is in a ring as well',
    frame: from(tcp(client, [front, doors.memberToo], { flags: 'S' })),
    becomes: forwarded({ to: ['10.1.1.1', 22] }),
  },
  { name: 'IPv4: TTL 255', frame: from(knock({ ttl: 255 })), becomes: inside },
  { name: 'IPv4: TTL 2', frame: from(knock({ ttl: 2 })), becomes: inside },
  { name: 'IPv4: TTL 1 ends here', frame: from(knock({ ttl: 1 })), becomes: untouched('HOP_LIMIT') },
  { name: 'IPv4: TTL 0', frame: from(knock({ ttl: 0 })), becomes: untouched('HOP_LIMIT') },
  { name: 'IPv6: hop limit 255', frame: from(knock6({ ttl: 255 })), becomes: inside6 },
  { name: 'IPv6: hop limit 2', frame: from(ask6({ ttl: 2 })), becomes: inside6 },
  { name: 'IPv6: hop limit 1 ends here', frame: from(knock6({ ttl: 1 })), becomes: untouched('HOP_LIMIT') },
  { name: 'IPv6: hop limit 0', frame: from(knock6({ ttl: 0 })), becomes: untouched('HOP_LIMIT') },
  {
    name: 'a rule that masquerades: TCP',
    frame: from(tcp(client, [masked, 501], { flags: 'S' })),
    becomes: untouched('HAND_UP_RULE'),
  },
  {
    name: 'a rule that masquerades: UDP over IPv6',
    frame: from(udp(client6, [masked6, 501])),
    becomes: untouched('HAND_UP_RULE'),
  },
  {
    name: 'a balanced rule that masquerades',
    frame: from(tcp(client, [masked, 80], { flags: 'S' })),
    becomes: untouched('HAND_UP_RULE'),
  },
  {
    name: 'a rule with an idle timeout: TCP',
    frame: from(tcp(client, [idle, 501], { flags: 'S' })),
    becomes: untouched('IDLE_RULE'),
  },
  {
    name: 'a rule with an idle timeout: UDP over IPv6',
    frame: from(udp(client6, [idle6, 501])),
    becomes: untouched('IDLE_RULE'),
  },
  {
    name: 'a balanced rule with a short idle timeout',
    frame: from(tcp(client, [idle, 80], { flags: 'S' })),
    becomes: untouched('IDLE_RULE'),
  },
  {
    name: 'hairpin: a machine at its own frontend',
    frame: from(tcp(['10.1.0.1', 33000], [front, doors.machine], { flags: 'S' })),
    becomes: untouched('HAIRPIN'),
  },
  {
    name: 'hairpin: a machine at the frontend of another, UDP',
    frame: from(udp(['10.1.0.3', 33000], [front, doors.machine])),
    becomes: untouched('HAIRPIN'),
  },
  {
    name: 'hairpin: in the midst of a connection',
    frame: from(tcp(['10.1.0.3', 33000], [front, doors.machine])),
    becomes: untouched('HAIRPIN'),
  },
  {
    name: 'hairpin: IPv6',
    frame: from(tcp(['fd01::1', 33000], [front6, doors.machine], { flags: 'S' })),
    becomes: untouched('HAIRPIN'),
  },
  {
    name: 'hairpin: from the very port that is forwarded to',
    frame: from(udp(machine, [front, doors.machine])),
    becomes: untouched('HAIRPIN'),
  },
  {
    name: 'a host on the machines’ link that is none of them is a client',
    frame: from(tcp(['10.1.0.200', 33000], [front, doors.machine], { flags: 'S' })),
    becomes: forwarded({ to: machine }),
  },
  {
    name: 'an unknown port of a frontend: TCP',
    frame: from(tcp(client, [front, 9])),
    becomes: untouched('NO_SUCH_ENDPOINT'),
  },
  {
    name: 'an unknown port of a frontend: UDP',
    frame: from(udp(client, [front, 9])),
    becomes: untouched('NO_SUCH_ENDPOINT'),
  },
  {
    name: 'an unknown port of a frontend: IPv6',
    frame: from(tcp(client6, [front6, 9])),
    becomes: untouched('NO_SUCH_ENDPOINT'),
  },
  {
    name: 'port 0 of a frontend',
    frame: from(tcp(client, [front, 0])),
    becomes: untouched('NO_SUCH_ENDPOINT'),
  },
];

export const checksums: readonly Row[] = [
  {
    name: 'IPv4 UDP: 0xffff (that is, zero) comes in',
    frame: from(steered(ask(), 0)),
    becomes: inside,
  },
  {
    name: 'IPv4 UDP: what comes out as zero is sent as 0xffff',
    frame: from(becoming(ask(), machine, 0)),
    becomes: inside,
  },
  {
    name: 'IPv6 UDP: 0xffff comes in',
    frame: from(steered(ask6(), 0)),
    becomes: inside6,
  },
  {
    name: 'IPv6 UDP: what comes out as zero is sent as 0xffff',
    frame: from(becoming(ask6(), machine6, 0)),
    becomes: inside6,
  },
  { name: 'IPv4 TCP: 0 comes in', frame: from(steered(knock(), 0)), becomes: inside },
  { name: 'IPv4 TCP: 0 comes out', frame: from(becoming(knock(), machine, 0)), becomes: inside },
  { name: 'IPv6 TCP: 0 comes in', frame: from(steered(knock6(), 0)), becomes: inside6 },
  { name: 'IPv6 TCP: 0 comes out', frame: from(becoming(knock6(), machine6, 0)), becomes: inside6 },
  ...[1, 2, 0x00ff, 0x0100, 0x7fff, 0x8000, 0xff00, 0xfffd, 0xfffe].map((wanted) => ({
    name: `IPv4 TCP: 0x${wanted.toString(16)} comes out`,
    frame: from(becoming(knock(), machine, wanted)),
    becomes: inside,
  })),
  ...[1, 0x0100, 0xfffe].map((wanted) => ({
    name: `IPv6 UDP: 0x${wanted.toString(16)} comes out`,
    frame: from(becoming(ask6(), machine6, wanted)),
    becomes: inside6,
  })),
  ...headerEdges(),
  {
    name: 'a wrong TCP checksum stays as wrong as it was',
    frame: from(knock({ checksumError: 1 })),
    becomes: inside,
  },
  {
    name: 'a wrong UDP checksum stays as wrong as it was',
    frame: from(ask6({ checksumError: 0x4321 })),
    becomes: inside6,
  },
  {
    name: 'a wrong IPv4 header checksum stays as wrong as it was',
    frame: from(knock({ headerError: 0x1000 })),
    becomes: inside,
  },
];

/** Identifications for which the header checksum is 0 before, and after, translation. */
function headerEdges(): readonly Row[] {
  const found: Row[] = [];
  for (const [name, after] of [
    ['IPv4 header: 0 comes in', false],
    ['IPv4 header: 0 comes out', true],
  ] as const) {
    for (let identification = 0; identification < 0x10000; identification += 1) {
      const sent = from(knock({ identification }));
      if (headerChecksum(after ? inside(sent).packet : sent.packet) !== 0) continue;
      found.push({ name, frame: sent, becomes: inside });
      break;
    }
  }
  if (found.length !== 2) throw new Error('no identification gives a header checksum of 0');
  return found;
}

export const hops: readonly Row[] = [
  {
    name: 'IPv4 options are the kernel’s to read',
    frame: from(knock({ ipOptions: [1, 1, 1, 1] })),
    becomes: routed({ to: machine }, 'OPTIONS'),
  },
  {
    name: 'IPv4: 40 bytes of options',
    frame: from(ask({ ipOptions: [7, 39, 4, ...new Array<number>(36).fill(0), 0] })),
    becomes: routed({ to: machine }, 'OPTIONS'),
  },
  {
    name: 'IPv4: options and TTL 1',
    frame: from(ask({ ipOptions: [1, 1, 1, 1], ttl: 1 })),
    becomes: untouched('HOP_LIMIT'),
  },
  {
    name: 'IPv6: hop-by-hop options',
    frame: from(knock6({ extensions: [{ type: 0, body: [1, 4, 0, 0, 0, 0] }] })),
    becomes: routed({ to: machine6 }, 'OPTIONS'),
  },
  {
    name: 'IPv6: destination options of 16 bytes, UDP',
    frame: from(ask6({ extensions: [{ type: 60, body: [1, 12, ...new Array<number>(12).fill(0)] }] })),
    becomes: routed({ to: machine6 }, 'OPTIONS'),
  },
  {
    name: 'IPv6: three extension headers',
    frame: from(knock6({ extensions: [0, 60, 60].map((type) => ({ type, body: [1, 4, 0, 0, 0, 0] })) })),
    becomes: routed({ to: machine6 }, 'OPTIONS'),
  },
  {
    name: 'IPv6: a routing header says that the addresses are not the whole truth',
    frame: from(knock6({ extensions: [{ type: 43, body: [0, 0, 0, 0, 0, 0] }] })),
    becomes: untouched(),
  },
  {
    name: 'IPv6: seven extension headers are too many',
    frame: from(
      knock6({ extensions: [0, 60, 60, 60, 60, 60, 60].map((type) => ({ type, body: [1, 4, 0, 0, 0, 0] })) }),
    ),
    becomes: untouched(),
  },
  {
    name: 'the next hop’s MAC address is not known',
    frame: from(tcp(client, [front, doors.silent], { flags: 'S' })),
    becomes: routed({ to: ['10.1.0.77', 8080] }, 'NEIGHBOUR'),
  },
  {
    name: 'the next hop’s MAC address is not known: IPv6 UDP',
    frame: from(udp(client6, [front6, doors.silent])),
    becomes: routed({ to: ['fd01::4d', 8080] }, 'NEIGHBOUR'),
  },
  {
    name: 'the MAC address of a router on the way is not known',
    frame: from(udp(client, [front, doors.silentHop])),
    becomes: routed({ to: ['10.21.0.1', 8080] }, 'NEIGHBOUR'),
  },
  {
    name: 'the next hop’s MAC address is not known, on the wire of arrival',
    frame: from(udp(client, [front, doors.sameWireSilent])),
    becomes: routed({ to: ['198.51.100.77', 8080] }, 'NEIGHBOUR'),
  },
  {
    name: 'TTL 1 and no MAC address of the next hop',
    frame: from(udp(client, [front, doors.silent], { ttl: 1 })),
    becomes: untouched('HOP_LIMIT'),
  },
  {
    name: 'an interface that cannot be redirected to',
    frame: from(tcp(client, [front, doors.unfit])),
    becomes: routed({ to: ['10.8.0.1', 8080] }, 'DEVICE'),
  },
  {
    name: 'a machine behind a router',
    frame: from(tcp(client, [front, doors.behindHop])),
    becomes: forwarded({ to: ['10.20.0.1', 8080] }),
  },
  {
    name: 'a machine behind a router: IPv6',
    frame: from(tcp(client6, [front6, doors.behindHop])),
    becomes: forwarded({ to: ['fd20::1', 8080] }),
  },
  {
    name: 'back by the wire of arrival',
    frame: from(tcp(client, [front, doors.sameWire])),
    becomes: forwarded({ to: ['198.51.100.50', 8080] }),
  },
  {
    name: 'back by the wire of arrival: IPv6 UDP',
    frame: from(udp(client6, [front6, doors.sameWire])),
    becomes: forwarded({ to: ['2001:db8:1::32', 8080] }),
  },
  ...(['unreachable', 'blackhole', 'prohibited', 'gateway'] as const).map((door) => ({
    name: `nowhere to forward to: ${door}`,
    frame: from(tcp(client, [front, doors[door]])),
    becomes: untouched('UNROUTABLE'),
  })),
  {
    name: 'nowhere to forward to: IPv6',
    frame: from(tcp(client6, [front6, doors.unreachable])),
    becomes: untouched('UNROUTABLE'),
  },
  {
    name: 'forwarding is off where the frame comes in',
    frame: from(tcp(['10.12.0.1', 40000], [front, doors.machine])),
    becomes: untouched('UNROUTABLE'),
  },
  {
    name: 'IPv4: as long as the path carries',
    frame: from(tcp(client, [front, doors.narrow], { payload: bytes(1240) })),
    becomes: forwarded({ to: ['10.7.0.1', 8080] }),
  },
  {
    name: 'IPv4: one byte too long, not to be fragmented',
    frame: from(tcp(client, [front, doors.narrow], { payload: bytes(1241) })),
    becomes: untouched('TOO_BIG'),
  },
  {
    name: 'IPv4: one byte too long, to be fragmented',
    frame: from(tcp(client, [front, doors.narrow], { payload: bytes(1241), dontFragment: false })),
    becomes: routed({ to: ['10.7.0.1', 8080] }, 'TOO_BIG'),
  },
  {
    name: 'IPv4: one byte too long for a path that is remembered',
    before: [from(tcp(client, [front, doors.narrow]))],
    frame: from(tcp(client, [front, doors.narrow], { payload: bytes(1241) })),
    becomes: untouched('TOO_BIG'),
  },
  {
    name: 'IPv4: one byte too long for a path that is remembered, to be fragmented',
    before: [from(tcp(client, [front, doors.narrow]))],
    frame: from(tcp(client, [front, doors.narrow], { payload: bytes(1241), dontFragment: false })),
    becomes: routed({ to: ['10.7.0.1', 8080] }, 'TOO_BIG'),
  },
  {
    name: 'IPv6: one byte too long for a path that is remembered',
    before: [from(udp(client6, [front6, doors.narrow]))],
    frame: from(udp(client6, [front6, doors.narrow], { payload: bytes(1233) })),
    becomes: untouched('TOO_BIG'),
  },
  {
    name: 'IPv4: too long and TTL 1',
    frame: from(udp(client, [front, doors.narrow], { payload: bytes(1400), dontFragment: false, ttl: 1 })),
    becomes: untouched('HOP_LIMIT'),
  },
  {
    name: 'IPv6: as long as the path carries',
    frame: from(udp(client6, [front6, doors.narrow], { payload: bytes(1232) })),
    becomes: forwarded({ to: ['fd07::1', 8080] }),
  },
  {
    name: 'IPv6: one byte too long',
    frame: from(udp(client6, [front6, doors.narrow], { payload: bytes(1233) })),
    becomes: untouched('TOO_BIG'),
  },
  {
    name: 'padding does not count as length',
    frame: from(tcp(client, [front, doors.narrow], { payload: bytes(1240), trailer: bytes(40) })),
    becomes: forwarded({ to: ['10.7.0.1', 8080] }),
  },
];

function headerChecksum({ ip, ethernet, body }: Packet): number {
  const header = encodeIp(ip, body);
  return ethernet.tags.length === 0 ? ((header[10] ?? 0) << 8) | (header[11] ?? 0) : -1;
}
