// Inbound NAT, from the machine back to the client; and what must not be taken for it.
import { bytes, type End, type Fields, type Packet, tcp, udp } from '../frame/packet.ts';
import { rewrite, steered } from '../frame/rewrite.ts';
import { any, any6, doors, front, front6, idle, idle6 } from '../world/rules.ts';
import { foreign, forwarded, from, type Row, routed, untouched } from './row.ts';

const client: End = ['198.51.100.10', 40000];
const other: End = ['198.51.100.11', 40000];
const client6: End = ['2001:db8:1::a', 40000];
const machine: End = ['10.1.0.1', 8080];
const machine6: End = ['fd01::1', 8080];
const door: End = [front, doors.machine];
const door6: End = [front6, doors.machine];

const answer = (fields: Fields = {}): Packet => tcp(machine, client, fields);
const answer6 = (fields: Fields = {}): Packet => tcp(machine6, client6, fields);
const outside = forwarded({ from: door });
const outside6 = forwarded({ from: door6 });
const knocked = [from(tcp(client, door, { flags: 'S' }))];
const knocked6 = [from(tcp(client6, door6, { flags: 'S' }))];
const asked = [from(udp(client, door))];
const asked6 = [from(udp(client6, door6))];

export const natBack: readonly Row[] = [
  { name: 'IPv4 TCP: a segment needs no state', frame: from(answer()), becomes: outside },
  { name: 'IPv6 TCP: a segment needs no state', frame: from(answer6()), becomes: outside6 },
  { name: 'IPv4 TCP: FIN', frame: from(answer({ flags: 'FA' })), becomes: outside },
  { name: 'IPv4 TCP: RST', frame: from(answer({ flags: 'R' })), becomes: outside },
  { name: 'IPv4 TCP: RST and ACK', frame: from(answer({ flags: 'RA' })), becomes: outside },
  {
    name: 'IPv4 TCP: SYN+ACK to one who knocked',
    before: knocked,
    frame: from(answer({ flags: 'SA' })),
    becomes: outside,
  },
  {
    name: 'IPv6 TCP: SYN+ACK to one who knocked',
    before: knocked6,
    frame: from(answer6({ flags: 'SA' })),
    becomes: outside6,
  },
  {
    name: 'IPv4 TCP: SYN+ACK to one who did not',
    frame: from(answer({ flags: 'SA' })),
    becomes: untouched('DIRECT'),
  },
  {
    name: 'IPv6 TCP: SYN+ACK to one who did not',
    frame: from(answer6({ flags: 'SA' })),
    becomes: untouched('DIRECT'),
  },
  {
    name: 'TCP: SYN+ACK to another client than the one who knocked',
    before: knocked,
    frame: from(tcp(machine, other, { flags: 'SA' })),
    becomes: untouched('DIRECT'),
  },
  {
    name: 'TCP: SYN+ACK long after the knock',
    before: [...knocked, { waitSeconds: 140 }],
    frame: from(answer({ flags: 'SA' })),
    becomes: untouched('DIRECT'),
  },
  {
    name: 'IPv4 TCP: an answer through a rule with an idle timeout, from a port of another rule as well',
    before: [from(tcp(client, [idle, 501], { flags: 'S' }))],
    frame: from(answer({ flags: 'SA' })),
    becomes: untouched('DIRECT'),
  },
  {
    name: 'IPv6 TCP: a segment of such a flow',
    before: [from(tcp(client6, [idle6, 501], { flags: 'S' })), from(answer6({ flags: 'SA' }))],
    frame: from(answer6()),
    becomes: untouched('DIRECT'),
  },
  { name: 'IPv4 UDP: to one who asked', before: asked, frame: from(udp(machine, client)), becomes: outside },
  {
    name: 'IPv6 UDP: to one who asked',
    before: asked6,
    frame: from(udp(machine6, client6)),
    becomes: outside6,
  },
  {
    name: 'IPv4 UDP: no checksum stays none',
    before: asked,
    frame: from(udp(machine, client, { noChecksum: true })),
    becomes: outside,
  },
  {
    name: 'IPv4 UDP: to one who did not ask',
    frame: from(udp(machine, client)),
    becomes: untouched('DIRECT'),
  },
  {
    name: 'IPv6 UDP: to one who did not ask',
    frame: from(udp(machine6, client6)),
    becomes: untouched('DIRECT'),
  },
  {
    name: 'UDP: soon after the question',
    before: [...asked, { waitSeconds: 60 }],
    frame: from(udp(machine, client)),
    becomes: outside,
  },
  {
    name: 'UDP: a client that only listens',
    before: [
      ...asked,
      { waitSeconds: 100 },
      from(udp(machine, client)),
      { waitSeconds: 100 },
      from(udp(machine, client)),
      { waitSeconds: 100 },
    ],
    frame: from(udp(machine, client)),
    becomes: outside,
  },
  {
    name: 'UDP: long after the question',
    before: [...asked, { waitSeconds: 140 }],
    frame: from(udp(machine, client)),
    becomes: untouched('DIRECT'),
  },
  {
    name: 'UDP: a question by TCP does not count',
    before: knocked,
    frame: from(udp(machine, client)),
    becomes: untouched('DIRECT'),
  },
  {
    name: 'UDP: a question to another port does not count',
    before: [from(udp(client, [front, doors.samePort]))],
    frame: from(udp(machine, client)),
    becomes: untouched('DIRECT'),
  },
  {
    name: 'UDP: what comes out as zero is sent as 0xffff',
    before: asked,
    frame: from(steered(udp(machine, client), 0, (packet) => rewrite(packet, { from: door }))),
    becomes: outside,
  },
  { name: 'TTL 2', frame: from(answer({ ttl: 2 })), becomes: outside },
  { name: 'TTL 1 ends here', frame: from(answer({ ttl: 1 })), becomes: untouched('HOP_LIMIT') },
  { name: 'hop limit 1 ends here', frame: from(answer6({ ttl: 1 })), becomes: untouched('HOP_LIMIT') },
  {
    name: 'options',
    frame: from(answer({ ipOptions: [1, 1, 1, 1] })),
    becomes: routed({ from: door }, 'OPTIONS'),
  },
  {
    name: 'extension header',
    frame: from(answer6({ extensions: [{ type: 60, body: [1, 4, 0, 0, 0, 0] }] })),
    becomes: routed({ from: door6 }, 'OPTIONS'),
  },
  { name: 'to a client behind a router', frame: from(tcp(machine, ['192.0.2.77', 1024])), becomes: outside },
  {
    name: 'to a client behind a router: IPv6',
    frame: from(tcp(machine6, ['2001:db8:77::1', 1024])),
    becomes: outside6,
  },
  {
    name: 'to a client whose MAC address is not known',
    frame: from(tcp(machine, ['198.51.100.78', 1024])),
    becomes: routed({ from: door }, 'NEIGHBOUR'),
  },
  {
    name: 'to a client whose MAC address is not known: IPv6',
    frame: from(tcp(machine6, ['2001:db8:1::4d', 1024])),
    becomes: routed({ from: door6 }, 'NEIGHBOUR'),
  },
  {
    name: 'to a client by an interface that cannot be redirected to',
    frame: from(tcp(machine, ['10.8.0.2', 1024])),
    becomes: routed({ from: door }, 'DEVICE'),
  },
  {
    name: 'to where nothing is forwarded',
    frame: from(tcp(machine, ['10.30.0.2', 1024])),
    becomes: untouched('UNROUTABLE'),
  },
  {
    name: 'to a client by a narrow link',
    frame: from(tcp(machine, ['10.7.0.2', 1024], { payload: bytes(1300) })),
    becomes: untouched('TOO_BIG'),
  },
  {
    name: 'to a client by a narrow link, to be fragmented',
    frame: from(tcp(machine, ['10.7.0.2', 1024], { payload: bytes(1300), dontFragment: false })),
    becomes: routed({ from: door }, 'TOO_BIG'),
  },
  {
    name: 'to a client on the machine’s own link',
    frame: from(tcp(machine, ['10.1.0.200', 1024])),
    becomes: outside,
  },
  {
    name: 'the machine is on the client’s wire',
    frame: from(tcp(['198.51.100.50', 8080], client)),
    becomes: forwarded({ from: [front, doors.sameWire] }),
  },
  {
    name: 'the machine is behind a router',
    frame: from(tcp(['10.20.0.1', 8080], client)),
    becomes: forwarded({ from: [front, doors.behindHop] }),
  },
  {
    name: 'the port is kept',
    frame: from(tcp(['10.1.0.3', 516], client)),
    becomes: forwarded({ from: [front, 516] }),
  },
  ...[1, 22, 65535].map((port) => ({
    name: `any port: ${port}`,
    frame: from(tcp(['10.1.0.4', port], client)),
    becomes: forwarded({ from: [any, port] }),
  })),
  {
    name: 'any port: UDP to one who asked',
    before: [from(udp(client, [any, 53]))],
    frame: from(udp(['10.1.0.4', 53], client)),
    becomes: forwarded({ from: [any, 53] }),
  },
  {
    name: 'any port: UDP from a port that nobody asked',
    before: [from(udp(client, [any, 53]))],
    frame: from(udp(['10.1.0.4', 54], client)),
    becomes: untouched('DIRECT'),
  },
  {
    name: 'any port: IPv6',
    frame: from(tcp(['fd01::4', 443], client6)),
    becomes: forwarded({ from: [any6, 443] }),
  },
  {
    name: 'any port: from a port that leads to another machine',
    frame: from(tcp(['10.1.0.4', 600], client)),
    becomes: untouched(),
  },
  {
    name: 'one port besides any port',
    frame: from(tcp(['10.1.0.5', 8080], client)),
    becomes: forwarded({ from: [any, 600] }),
  },
  {
    name: 'a machine that is in a ring as well',
    frame: from(tcp(['10.1.1.1', 22], client)),
    becomes: forwarded({ from: [front, doors.memberToo] }),
  },
  { name: 'another port of a machine', frame: from(tcp(['10.1.0.1', 8081], client)), becomes: foreign },
  {
    name: 'another port of a machine: UDP',
    before: asked,
    frame: from(udp(['10.1.0.1', 9], client)),
    becomes: foreign,
  },
  { name: 'another machine on the link', frame: from(tcp(['10.1.0.200', 8080], client)), becomes: foreign },
  { name: 'from machine to machine', frame: from(tcp(machine, ['10.1.0.2', 9090])), becomes: untouched() },
  {
    name: 'from machine to machine: UDP over IPv6',
    frame: from(udp(machine6, ['fd01::3', 9])),
    becomes: untouched(),
  },
];

export const direct: readonly Row[] = [
  {
    name: 'a client knocks at the machine itself',
    frame: from(tcp(client, machine, { flags: 'S' })),
    becomes: untouched('DIRECT'),
  },
  {
    name: 'a client asks the machine itself: UDP',
    frame: from(udp(client, machine)),
    becomes: untouched('DIRECT'),
  },
  {
    name: 'a client asks the machine itself: IPv6',
    frame: from(udp(client6, machine6)),
    becomes: untouched('DIRECT'),
  },
  {
    name: 'SYN+ACK to a direct knock',
    before: [from(tcp(client, machine, { flags: 'S' }))],
    frame: from(answer({ flags: 'SA' })),
    becomes: untouched('DIRECT'),
  },
  {
    name: 'a segment of a direct connection',
    before: [
      from(tcp(client, machine, { flags: 'S' })),
      from(answer({ flags: 'SA' })),
      from(tcp(client, machine)),
    ],
    frame: from(answer()),
    becomes: untouched('DIRECT'),
  },
  {
    name: 'a segment of a direct connection: IPv6',
    before: [
      from(tcp(client6, machine6, { flags: 'S' })),
      from(answer6({ flags: 'SA' })),
      from(tcp(client6, machine6)),
    ],
    frame: from(answer6()),
    becomes: untouched('DIRECT'),
  },
  {
    name: 'a direct connection of which only its midst was seen',
    before: [from(tcp(client, machine))],
    frame: from(answer()),
    becomes: untouched('DIRECT'),
  },
  {
    name: 'the last segment of a direct connection',
    before: [
      from(tcp(client, machine, { flags: 'S' })),
      from(answer({ flags: 'SA' })),
      from(answer({ flags: 'FA' })),
      from(tcp(client, machine, { flags: 'FA' })),
    ],
    frame: from(answer()),
    becomes: untouched('DIRECT'),
  },
  {
    name: 'a direct connection that was silent for an hour',
    before: [
      from(tcp(client, machine, { flags: 'S' })),
      from(answer({ flags: 'SA' })),
      from(tcp(client, machine)),
      from(answer()),
      { waitSeconds: 3600 },
    ],
    frame: from(answer()),
    becomes: untouched('DIRECT'),
  },
  {
    name: 'the answer to a direct question: UDP',
    before: [from(udp(client, machine))],
    frame: from(udp(machine, client)),
    becomes: untouched('DIRECT'),
  },
  {
    name: 'the answer to a direct question: IPv6 UDP',
    before: [from(udp(client6, machine6))],
    frame: from(udp(machine6, client6)),
    becomes: untouched('DIRECT'),
  },
  {
    name: 'a direct connection of one client leaves another’s through the frontend alone',
    before: [from(tcp(client, machine, { flags: 'S' })), from(answer({ flags: 'SA' }))],
    frame: from(tcp(machine, other)),
    becomes: forwarded({ from: door }),
  },
  {
    name: 'a direct connection from one port leaves another port’s alone',
    before: [from(tcp(client, machine, { flags: 'S' })), from(answer({ flags: 'SA' }))],
    frame: from(tcp(machine, [client[0], 40001])),
    becomes: forwarded({ from: door }),
  },
  {
    name: 'through the frontend from a port whose direct connection has just ended',
    before: [
      from(tcp(client, machine, { flags: 'S' })),
      from(answer({ flags: 'SA' })),
      from(tcp(client, machine)),
      from(answer({ flags: 'FA' })),
      from(tcp(client, machine, { flags: 'FA' })),
      from(answer()),
      from(tcp(client, door, { flags: 'S' })),
      from(answer({ flags: 'SA' })),
      from(tcp(client, door)),
    ],
    frame: from(answer()),
    becomes: forwarded({ from: door }),
  },
  {
    name: 'through the frontend from a port whose direct connection is over',
    before: [
      from(tcp(client, machine, { flags: 'S' })),
      from(answer({ flags: 'SA' })),
      from(tcp(client, machine)),
      from(answer({ flags: 'FA' })),
      from(tcp(client, machine, { flags: 'FA' })),
      { waitSeconds: 130 },
      from(tcp(client, door, { flags: 'S' })),
    ],
    frame: from(answer({ flags: 'SA' })),
    becomes: forwarded({ from: door }),
  },
  {
    name: 'the machine opens a connection from its port',
    frame: from(answer({ flags: 'S' })),
    becomes: untouched('DIRECT'),
  },
  {
    name: 'the machine opens a connection from its port: IPv6',
    frame: from(answer6({ flags: 'S' })),
    becomes: untouched('DIRECT'),
  },
  {
    name: 'the machine opens a connection to one who knocked',
    before: knocked,
    frame: from(answer({ flags: 'S' })),
    becomes: untouched('DIRECT'),
  },
  {
    name: 'SYN+ACK to the connection that the machine opens',
    before: [from(answer({ flags: 'S' }))],
    frame: from(tcp(client, machine, { flags: 'SA' })),
    becomes: untouched('DIRECT'),
  },
  {
    name: 'a segment of the connection that the machine opened',
    before: [from(answer({ flags: 'S' })), from(tcp(client, machine, { flags: 'SA' }))],
    frame: from(answer()),
    becomes: untouched('DIRECT'),
  },
  {
    name: 'a datagram of an exchange that the machine began',
    before: [from(udp(machine, client)), from(udp(client, machine))],
    frame: from(udp(machine, client)),
    becomes: untouched('DIRECT'),
  },
  {
    name: 'another port of a machine, from a client: not ours',
    frame: from(tcp(client, ['10.1.0.1', 22])),
    becomes: foreign,
  },
  {
    name: 'any port: the machine opens a connection',
    frame: from(tcp(['10.1.0.4', 51000], ['192.0.2.1', 443], { flags: 'S' })),
    becomes: untouched('DIRECT'),
  },
  {
    name: 'any port: a segment of the connection that the machine opened',
    before: [
      from(tcp(['10.1.0.4', 51000], ['192.0.2.1', 443], { flags: 'S' })),
      from(tcp(['192.0.2.1', 443], ['10.1.0.4', 51000], { flags: 'SA' })),
    ],
    frame: from(tcp(['10.1.0.4', 51000], ['192.0.2.1', 443])),
    becomes: untouched('DIRECT'),
  },
  {
    name: 'any port: the machine asks a name server',
    frame: from(udp(['10.1.0.4', 51000], ['192.0.2.53', 53])),
    becomes: untouched('DIRECT'),
  },
];
