// ICMP errors about flows that are translated: each end is told about the packet as it sent it.
import { bytes, type End, type ErrorFields, error, type Packet, tcp, udp } from '../frame/packet.ts';
import { any, balanced, balanced6, chosen, doors, front, front6, tableOf, twin } from '../world/rules.ts';
import { forwarded, from, type Row, routed, untouched } from './row.ts';

const client: End = ['198.51.100.10', 40000];
const client6: End = ['2001:db8:1::a', 40000];
const router = '198.51.100.254';
const router6 = '2001:db8:1::fe';
/** Behind the gateway, and on the way to a machine. */
const inner = '10.1.0.200';
const inner6 = 'fd01::c8';
const machine: End = ['10.1.0.1', 8080];
const machine6: End = ['fd01::1', 8080];
const door: End = [front, doors.machine];
const door6: End = [front6, doors.machine];

const asked = from(udp(client, door));
const asked6 = from(udp(client6, door6));

const answered = tcp(door, client, { ttl: 61, payload: bytes(64) });
const answered6 = tcp(door6, client6, { ttl: 61, payload: bytes(64) });
const answeredUdp = udp(door, client, { ttl: 61, payload: bytes(64) });
const answeredUdp6 = udp(door6, client6, { ttl: 61, payload: bytes(64) });
/** About what a machine sent, from the way to the client. */
const toMachine = forwarded({ to: [machine[0], 0], quote: { from: machine } });
const toMachine6 = forwarded({ to: [machine6[0], 0], quote: { from: machine6 } });

const sent = tcp(client, machine, { ttl: 61, payload: bytes(64) });
const sent6 = tcp(client6, machine6, { ttl: 61, payload: bytes(64) });
const sentUdp = udp(client, machine, { ttl: 61, payload: bytes(64) });
const sentUdp6 = udp(client6, machine6, { ttl: 61, payload: bytes(64) });
/** About what a client sent, from the way to the machine or the machine itself. */
const toClient = forwarded({ from: [front, 0], quote: { to: door } });
const toClient6 = forwarded({ from: [front6, 0], quote: { to: door6 } });

const about = (quoted: Packet, fields: ErrorFields, by = router): Row['frame'] =>
  from(error(by, front, quoted, fields));
const about6 = (quoted: Packet, fields: ErrorFields, by = router6): Row['frame'] =>
  from(error(by, front6, quoted, fields));
const back = (quoted: Packet, fields: ErrorFields, by = inner): Row['frame'] =>
  from(error(by, client[0], quoted, fields));
const back6 = (quoted: Packet, fields: ErrorFields, by = inner6): Row['frame'] =>
  from(error(by, client6[0], quoted, fields));

const kinds4: readonly (readonly [string, ErrorFields])[] = [
  ['network unreachable', { type: 3, code: 0 }],
  ['port unreachable', { type: 3, code: 3 }],
  ['fragmentation needed', { type: 3, code: 4, rest: 1400 }],
  ['source quench', { type: 4 }],
  ['time exceeded', { type: 11 }],
  ['parameter problem', { type: 12, rest: 0x14000000 }],
];
const kinds6: readonly (readonly [string, ErrorFields])[] = [
  ['no route', { type: 1, code: 0 }],
  ['port unreachable', { type: 1, code: 4 }],
  ['packet too big', { type: 2, rest: 1400 }],
  ['time exceeded', { type: 3 }],
  ['parameter problem', { type: 4, code: 1, rest: 40 }],
];

const table = tableOf();
const member = chosen(table, 'tcp', client, [balanced, 80]);
const member6 = chosen(table, 'udp', client6, [balanced6, 80]);

export const errors: readonly Row[] = [
  ...kinds4.flatMap(([name, fields]): Row[] => [
    { name: `to the machine: ${name}`, frame: about(answered, fields), becomes: toMachine },
    { name: `to the client: ${name}`, frame: back(sent, fields), becomes: toClient },
  ]),
  ...kinds6.flatMap(([name, fields]): Row[] => [
    { name: `to the machine: ${name}, IPv6`, frame: about6(answered6, fields), becomes: toMachine6 },
    { name: `to the client: ${name}, IPv6`, frame: back6(sent6, fields), becomes: toClient6 },
  ]),
  { name: 'to the machine: about UDP', frame: about(answeredUdp, { type: 3, code: 3 }), becomes: toMachine },
  {
    name: 'to the client: about UDP',
    before: [asked],
    frame: back(sentUdp, { type: 3, code: 3 }),
    becomes: toClient,
  },
  {
    name: 'to the machine: about UDP, IPv6',
    frame: about6(answeredUdp6, { type: 1, code: 4 }),
    becomes: toMachine6,
  },
  {
    name: 'to the client: about UDP, IPv6',
    before: [asked6],
    frame: back6(sentUdp6, { type: 1, code: 4 }),
    becomes: toClient6,
  },
  {
    name: 'to the machine: about UDP without a checksum',
    frame: about(udp(door, client, { noChecksum: true }), { type: 3, code: 3 }),
    becomes: toMachine,
  },
  {
    name: 'to the client: about UDP, of one who did not ask',
    frame: back(sentUdp, { type: 3, code: 3 }),
    becomes: untouched('DIRECT'),
  },
  {
    name: 'to the client: about UDP without a checksum',
    before: [asked],
    frame: back(udp(client, machine, { noChecksum: true }), { type: 3, code: 3 }),
    becomes: toClient,
  },
  {
    name: 'to the client: from the machine itself',
    before: [asked],
    frame: back(sentUdp, { type: 3, code: 3 }, machine[0]),
    becomes: toClient,
  },
  {
    name: 'to the client: from the machine itself, IPv6',
    before: [asked6],
    frame: back6(sentUdp6, { type: 1, code: 4 }, machine6[0]),
    becomes: toClient6,
  },
  {
    name: 'to the machine: from a router far away',
    frame: about(answered, { type: 11 }, '192.0.2.1'),
    becomes: toMachine,
  },
  {
    name: 'to the machine: from the client itself',
    frame: about(answeredUdp, { type: 3, code: 3 }, client[0]),
    becomes: toMachine,
  },
  ...[36, 40, 47, 48, 60, 128, 576].flatMap((count): Row[] => [
    {
      name: `to the machine: ${count} bytes quoted`,
      frame: about(answered, { type: 11, bytes: count }),
      becomes: toMachine,
    },
    {
      name: `to the client: ${count} bytes quoted`,
      frame: back(sent, { type: 11, bytes: count }),
      becomes: toClient,
    },
  ]),
  ...[48, 56, 58, 59, 60, 80].flatMap((count): Row[] => [
    {
      name: `to the machine: ${count} bytes quoted, IPv6`,
      frame: about6(answered6, { type: 3, bytes: count }),
      becomes: toMachine6,
    },
    {
      name: `to the client: ${count} bytes quoted, IPv6`,
      frame: back6(sent6, { type: 3, bytes: count }),
      becomes: toClient6,
    },
  ]),
  ...[0, 8, 19, 20, 24, 27].map((count) => ({
    name: `to the machine: ${count} bytes quoted are too few`,
    frame: about(answered, { type: 11, bytes: count }),
    becomes: untouched(),
  })),
  ...[0, 39, 40, 47].map((count) => ({
    name: `to the machine: ${count} bytes quoted are too few, IPv6`,
    frame: about6(answered6, { type: 3, bytes: count }),
    becomes: untouched(),
  })),
  {
    name: 'to the client: 27 bytes quoted are too few',
    frame: back(sent, { type: 11, bytes: 27 }),
    becomes: untouched(),
  },
  {
    name: 'to the machine: the quoted packet had a wrong checksum',
    frame: about(udp(door, client, { checksumError: 77, payload: bytes(20) }), {
      type: 3,
      code: 3,
      bytes: 48,
    }),
    becomes: toMachine,
  },
  {
    name: 'to the machine: the ICMP checksum is wrong and stays so',
    frame: about(answered, { type: 11, checksumError: 3 }),
    becomes: toMachine,
  },
  {
    name: 'to the machine: a fragment is quoted, the first',
    frame: about(udp(door, client, { payload: bytes(1000), slice: { from: 0, to: 512 } }), {
      type: 11,
      code: 1,
    }),
    becomes: toMachine,
  },
  {
    name: 'to the machine: a fragment is quoted, a later one',
    frame: about(udp(door, client, { payload: bytes(1000), slice: { from: 512, to: 1008 } }), { type: 11 }),
    becomes: untouched(),
  },
  {
    name: 'to the machine: an echo is quoted',
    frame: about(
      { ...answered, body: { kind: 'icmp', type: 0, code: 0, rest: 1, payload: bytes(8) } },
      { type: 11 },
    ),
    becomes: untouched('ICMP'),
  },
  {
    name: 'to the machine: about a port that is nobody’s',
    frame: about(tcp([front, 9], client), { type: 11 }),
    becomes: untouched(),
  },
  {
    name: 'to the machine: the quote is from another address than the error goes to',
    frame: from(error(router, any, answered, { type: 11 })),
    becomes: untouched(),
  },
  {
    name: 'to the machine: about its other port',
    frame: about(tcp([front, doors.samePort], client), { type: 3, code: 4, rest: 1300 }),
    becomes: forwarded({ to: ['10.1.0.3', 0], quote: { from: ['10.1.0.3', doors.samePort] } }),
  },
  {
    name: 'to the machine: of any port',
    frame: from(error(router, any, tcp([any, 4321], client), { type: 11 })),
    becomes: forwarded({ to: ['10.1.0.4', 0], quote: { from: ['10.1.0.4', 4321] } }),
  },
  {
    name: 'to the client: of any port',
    frame: back(tcp(client, ['10.1.0.4', 4321]), { type: 3, code: 4, rest: 1300 }),
    becomes: forwarded({ from: [any, 0], quote: { to: [any, 4321] } }),
  },
  {
    name: 'to the machine: TTL 1',
    frame: about(answered, { type: 11, ttl: 1 }),
    becomes: untouched('HOP_LIMIT'),
  },
  {
    name: 'to the machine: with options',
    frame: about(answered, { type: 11, ipOptions: [1, 1, 1, 1] }),
    becomes: routed({ to: [machine[0], 0], quote: { from: machine } }, 'OPTIONS'),
  },
  {
    name: 'to the machine: the quoted packet had options',
    frame: about(tcp(door, client, { ipOptions: [1, 1, 1, 1] }), { type: 11, bytes: 32 }),
    becomes: toMachine,
  },
  {
    name: 'to the machine: in a VLAN',
    frame: from(
      error('198.51.109.10', front, tcp([front, doors.vlan], ['198.51.109.10', 40000]), { type: 11 }),
    ),
    becomes: forwarded({ to: ['10.5.0.1', 0], quote: { from: ['10.5.0.1', 8080] } }),
  },
  {
    name: 'to the machine: nobody knows its MAC address',
    frame: about(tcp([front, doors.silent], client), { type: 11 }),
    becomes: routed({ to: ['10.1.0.77', 0], quote: { from: ['10.1.0.77', 8080] } }, 'NEIGHBOUR'),
  },
  {
    name: 'to the client: about a direct connection',
    before: [from(tcp(client, machine, { flags: 'S' })), from(tcp(machine, client, { flags: 'SA' }))],
    frame: back(sent, { type: 11 }),
    becomes: untouched(),
  },
  {
    name: 'to the client: about a machine’s other port',
    frame: back(tcp(client, ['10.1.0.1', 9]), { type: 3, code: 3 }),
    becomes: untouched(),
  },
  {
    name: 'to the machine: of a balanced flow',
    before: [from(tcp(client, [balanced, 80], { flags: 'S' }))],
    frame: from(error(router, balanced, tcp([balanced, 80], client), { type: 3, code: 4, rest: 1400 })),
    becomes: forwarded({ to: [member[0], 0], quote: { from: member } }),
  },
  {
    name: 'to the client: of a balanced flow',
    before: [from(tcp(client, [balanced, 80], { flags: 'S' }))],
    frame: back(tcp(client, member), { type: 3, code: 4, rest: 1400 }),
    becomes: forwarded({ from: [balanced, 0], quote: { to: [balanced, 80] } }),
  },
  {
    name: 'to the machine: of a balanced flow, IPv6 UDP',
    before: [from(udp(client6, [balanced6, 80]))],
    frame: from(error(router6, balanced6, udp([balanced6, 80], client6), { type: 2, rest: 1400 })),
    becomes: forwarded({ to: [member6[0], 0], quote: { from: member6 } }),
  },
  {
    name: 'to the client: of a balanced flow, IPv6 UDP',
    before: [from(udp(client6, [balanced6, 80]))],
    frame: back6(udp(client6, member6), { type: 1, code: 4 }, member6[0]),
    becomes: forwarded({ from: [balanced6, 0], quote: { to: [balanced6, 80] } }),
  },
  {
    name: 'to the machine: of a balanced flow that nobody knows',
    frame: from(error(router, balanced, tcp([balanced, 80], client), { type: 11 })),
    becomes: untouched('ICMP'),
  },
  {
    name: 'to the machine: of a tracked flow',
    before: [from(tcp(client, [twin, 702], { flags: 'S' }))],
    frame: from(error(router, twin, tcp([twin, 702], client), { type: 11 })),
    becomes: forwarded({ to: ['10.1.0.6', 0], quote: { from: ['10.1.0.6', 8080] } }),
  },
  {
    name: 'to the client: of a tracked flow',
    before: [from(tcp(client, [twin, 702], { flags: 'S' }))],
    frame: back(tcp(client, ['10.1.0.6', 8080]), { type: 11 }),
    becomes: forwarded({ from: [twin, 0], quote: { to: [twin, 702] } }),
  },
  {
    name: 'to the client: of a tracked flow that nobody knows, which may be older than the second rule',
    frame: back(tcp(client, ['10.1.0.6', 8080]), { type: 11 }),
    becomes: forwarded({ from: [twin, 0], quote: { to: [twin, 701] } }),
  },
  {
    name: 'IPv6 about IPv4 in disguise',
    frame: back6(tcp(client6, ['::ffff:10.1.0.1', 8080], { payload: bytes(64) }), { type: 1, code: 4 }),
    becomes: untouched(),
  },
  {
    name: 'a redirect is the kernel’s',
    frame: about(answered, { type: 5, code: 1, rest: 0x0a010001 }),
    becomes: untouched(),
  },
];
