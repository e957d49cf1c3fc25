// VLAN tags in and out, and the frames that are none of ours.
import { type End, echo, plain, tcp, text, udp } from '../frame/packet.ts';
import { devices } from '../world/places.ts';
import { any, any6, doors, front, front6 } from '../world/rules.ts';
import { foreign, forwarded, from, type Row, routed, untouched } from './row.ts';

const client: End = ['198.51.100.10', 40000];
const client6: End = ['2001:db8:1::a', 40000];
const tagged: End = ['198.51.109.10', 40000];
const tagged6: End = ['2001:db8:9::a', 40000];
const twiceTagged: End = ['198.51.110.10', 40000];
const machine: End = ['10.1.0.1', 8080];
const machine6: End = ['fd01::1', 8080];
const inVlan: End = ['10.5.0.1', 8080];
const inVlan6: End = ['fd05::1', 8080];
const inTwo: End = ['10.6.0.1', 8080];

export const vlans: readonly Row[] = [
  {
    name: 'no tag in, one out',
    frame: from(tcp(client, [front, doors.vlan])),
    becomes: forwarded({ to: inVlan }),
  },
  {
    name: 'no tag in, one out: IPv6 UDP',
    frame: from(udp(client6, [front6, doors.vlan])),
    becomes: forwarded({ to: inVlan6 }),
  },
  {
    name: 'no tag in, two out',
    frame: from(tcp(client, [front, doors.doubleVlan])),
    becomes: forwarded({ to: inTwo }),
  },
  {
    name: 'one tag in, none out',
    frame: from(tcp(tagged, [front, doors.machine])),
    becomes: forwarded({ to: machine }),
  },
  {
    name: 'one tag in, none out: IPv6 UDP',
    frame: from(udp(tagged6, [front6, doors.machine])),
    becomes: forwarded({ to: machine6 }),
  },
  {
    name: 'one tag in, another out',
    frame: from(udp(tagged, [front, doors.vlan])),
    becomes: forwarded({ to: inVlan }),
  },
  {
    name: 'one tag in, two out',
    frame: from(tcp(tagged, [front, doors.doubleVlan])),
    becomes: forwarded({ to: inTwo }),
  },
  {
    name: 'two tags in, none out',
    frame: from(tcp(twiceTagged, [front, doors.machine])),
    becomes: forwarded({ to: machine }),
  },
  {
    name: 'two tags in, one out',
    frame: from(tcp(twiceTagged, [front, doors.vlan])),
    becomes: forwarded({ to: inVlan }),
  },
  {
    name: 'two tags in, two others out',
    frame: from(udp(twiceTagged, [front, doors.doubleVlan])),
    becomes: forwarded({ to: inTwo }),
  },
  {
    name: 'way back: one tag in, none out',
    frame: from(tcp(inVlan, client)),
    becomes: forwarded({ from: [front, doors.vlan] }),
  },
  {
    name: 'way back: none in, one out',
    frame: from(tcp(machine, tagged)),
    becomes: forwarded({ from: [front, doors.machine] }),
  },
  {
    name: 'way back: two in, one out',
    frame: from(tcp(inTwo, tagged)),
    becomes: forwarded({ from: [front, doors.doubleVlan] }),
  },
  {
    name: 'way back: two in, two out',
    frame: from(tcp(inTwo, twiceTagged)),
    becomes: forwarded({ from: [front, doors.doubleVlan] }),
  },
  {
    name: 'way back: one in, two out',
    frame: from(tcp(inVlan, twiceTagged)),
    becomes: forwarded({ from: [front, doors.vlan] }),
  },
  {
    name: 'way back: one in, none out: IPv6',
    frame: from(tcp(inVlan6, client6)),
    becomes: forwarded({ from: [front6, doors.vlan] }),
  },
  {
    name: 'the wire of arrival, with a tag that it did not have',
    frame: from(tcp(client, [front, doors.sameWireVlan])),
    becomes: forwarded({ to: ['198.51.109.50', 8080] }),
  },
  {
    name: 'the wire of arrival, without the tag that it had',
    frame: from(tcp(tagged, [front, doors.sameWire])),
    becomes: forwarded({ to: ['198.51.100.50', 8080] }),
  },
  {
    name: 'the wire of arrival, with the tag that it had',
    frame: from(udp(tagged, [front, doors.sameWireVlan])),
    becomes: forwarded({ to: ['198.51.109.50', 8080] }),
  },
  {
    name: 'priority bits are not part of the VLAN',
    frame: from(tcp(tagged, [front, doors.machine]), { tags: [{ protocol: 0x8100, id: 9, priority: 5 }] }),
    becomes: forwarded({ to: machine }),
  },
  {
    name: 'a tag of priority alone is none',
    frame: from(tcp(client, [front, doors.machine]), { tags: [{ protocol: 0x8100, id: 0, priority: 3 }] }),
    becomes: forwarded({ to: machine }),
  },
  {
    name: 'tagged, and no MAC address of the next hop',
    frame: from(tcp(tagged, [front, doors.silent])),
    becomes: routed({ to: ['10.1.0.77', 8080] }, 'NEIGHBOUR'),
  },
  {
    name: 'twice tagged, and options',
    frame: from(udp(twiceTagged, [front, doors.machine], { ipOptions: [1, 1, 1, 1] })),
    becomes: routed({ to: machine }, 'OPTIONS'),
  },
  {
    name: 'tagged, and TTL 1',
    frame: from(udp(tagged, [front, doors.machine], { ttl: 1 })),
    becomes: untouched('HOP_LIMIT'),
  },
  ...(
    [
      ['a VLAN that is not there', [{ protocol: 0x8100, id: 99 }]],
      ['the right VLAN by the wrong protocol', [{ protocol: 0x88a8, id: 9 }]],
      ['the inner VLAN alone', [{ protocol: 0x8100, id: 10 }]],
      [
        'an inner VLAN that is not there',
        [
          { protocol: 0x8100, id: 9 },
          { protocol: 0x8100, id: 99 },
        ],
      ],
      [
        'three tags',
        [
          { protocol: 0x88a8, id: 9 },
          { protocol: 0x8100, id: 9 },
          { protocol: 0x8100, id: 10 },
        ],
      ],
    ] as const
  ).map(([name, tags]) => ({
    name,
    frame: from(tcp(client, [front, doors.machine]), { tags }),
    becomes: untouched(),
  })),
];

const elsewhere = '02:00:00:99:99:99';

export const strangers: readonly Row[] = [
  {
    name: 'a client to no frontend: TCP',
    frame: from(tcp(client, ['203.0.113.99', doors.machine])),
    becomes: foreign,
  },
  {
    name: 'a client to no frontend: UDP',
    frame: from(udp(client, ['203.0.113.99', doors.machine])),
    becomes: foreign,
  },
  {
    name: 'a client to no frontend: IPv6',
    frame: from(tcp(client6, ['2001:db8:f::99', doors.machine])),
    becomes: foreign,
  },
  {
    name: 'a client to the gateway itself',
    frame: from(tcp(client, ['198.51.100.1', 22], { flags: 'S' })),
    becomes: foreign,
  },
  {
    name: 'a host on the machines’ link to a client',
    frame: from(udp(['10.1.0.200', 53], client)),
    becomes: foreign,
  },
  { name: 'a ping of a frontend', frame: from(echo(client[0], front)), becomes: untouched() },
  { name: 'a ping of an any-port frontend', frame: from(echo(client[0], any)), becomes: untouched() },
  { name: 'a ping of a frontend: IPv6', frame: from(echo(client6[0], front6)), becomes: untouched() },
  { name: 'a machine pings', frame: from(echo(machine[0], client[0])), becomes: untouched() },
  { name: 'a machine answers a ping', frame: from(echo(machine[0], client[0], true)), becomes: untouched() },
  {
    name: 'a machine answers a ping: IPv6',
    frame: from(echo(machine6[0], client6[0], true)),
    becomes: untouched(),
  },
  ...[47, 50, 132, 136, 41, 255, 0].map((protocol) => ({
    name: `protocol ${protocol} to a frontend`,
    frame: from(
      plain(client[0], front, { kind: 'other', protocol, payload: text('something else entirely') }),
    ),
    becomes: untouched(),
  })),
  {
    name: 'protocol 132 to a frontend: IPv6',
    frame: from(plain(client6[0], front6, { kind: 'other', protocol: 132, payload: text('a chunk or so') })),
    becomes: untouched(),
  },
  {
    name: 'nothing behind the IPv6 header',
    frame: from(plain(client6[0], front6, { kind: 'other', protocol: 59, payload: [] })),
    becomes: untouched(),
  },
  {
    name: 'an authentication header',
    frame: from(
      plain(client6[0], front6, {
        kind: 'other',
        protocol: 51,
        payload: [6, 4, 0, 0, ...text('and so on and so forth')],
      }),
    ),
    becomes: untouched(),
  },
  {
    name: 'for another MAC address',
    frame: from(tcp(client, [front, doors.machine]), { destination: elsewhere }),
    becomes: untouched(),
  },
  {
    name: 'for another MAC address: IPv6',
    frame: from(udp(client6, [front6, doors.machine]), { destination: elsewhere }),
    becomes: untouched(),
  },
  {
    name: 'for another MAC address: way back',
    frame: from(tcp(machine, client), { destination: elsewhere }),
    becomes: untouched(),
  },
  {
    name: 'for another interface’s MAC address',
    frame: from(tcp(client, [front, doors.machine]), { destination: devices.lan.mac }),
    becomes: untouched(),
  },
  {
    name: 'for everybody on the link',
    frame: from(udp(client, [front, doors.machine]), { destination: 'ff:ff:ff:ff:ff:ff' }),
    becomes: untouched(),
  },
  {
    name: 'for a group on the link',
    frame: from(udp(client, [front, doors.machine]), { destination: '01:00:5e:00:00:01' }),
    becomes: untouched(),
  },
  {
    name: 'by an interface where the program has no business',
    frame: from(tcp(['10.11.0.1', 40000], [front, doors.machine])),
    becomes: untouched(),
  },
  {
    name: 'to an IPv4 group',
    frame: from(udp(client, ['224.0.0.251', 5353]), { destination: '01:00:5e:00:00:fb' }),
    becomes: foreign,
  },
  {
    name: 'to everybody, IPv4',
    frame: from(udp(['0.0.0.0', 68], ['255.255.255.255', 67]), {
      device: 'wan',
      destination: 'ff:ff:ff:ff:ff:ff',
    }),
    becomes: foreign,
  },
  {
    name: 'to an IPv6 group',
    frame: from(udp(client6, ['ff02::fb', 5353]), { destination: '33:33:00:00:00:fb' }),
    becomes: foreign,
  },
  {
    name: 'neighbour solicitation for a frontend',
    frame: from(
      plain(
        client6[0],
        'ff02::1:ff00:1',
        { kind: 'icmp', type: 135, code: 0, rest: 0, payload: new Array<number>(16).fill(1) },
        { ttl: 255 },
      ),
      { destination: '33:33:ff:00:00:01' },
    ),
    becomes: foreign,
  },
  ...['127.0.0.1', '0.0.0.0', '224.0.0.1', '255.255.255.255', '240.0.0.1'].map((source) => ({
    name: `from ${source}, which nobody is`,
    frame: from(tcp([source, 40000], [front, doors.machine]), { device: 'wan' }),
    becomes: untouched(),
  })),
  ...['::1', '::', 'ff02::1'].map((source) => ({
    name: `from ${source}, which nobody is`,
    frame: from(udp([source, 40000], [front6, doors.machine]), { device: 'wan' }),
    becomes: untouched(),
  })),
  {
    name: 'from the frontend to itself',
    frame: from(tcp([front, doors.machine], [front, doors.machine], { flags: 'S' }), { device: 'wan' }),
    becomes: untouched(),
  },
  {
    name: 'from another frontend',
    frame: from(tcp([any, 40000], [front, doors.machine], { flags: 'S' }), { device: 'wan' }),
    becomes: untouched(),
  },
  {
    name: 'from another frontend, in the midst of a connection',
    frame: from(tcp([any, 40000], [front, doors.machine]), { device: 'wan' }),
    becomes: untouched(),
  },
  {
    name: 'from another frontend: IPv6',
    frame: from(udp([any6, 40000], [front6, doors.machine]), { device: 'wan' }),
    becomes: untouched(),
  },
  {
    name: 'a machine to a link-local address',
    frame: from(tcp(machine6, ['fe80::1', 40000])),
    becomes: untouched(),
  },
  {
    name: 'the gate is closed: to a frontend',
    before: [{ gate: false }],
    frame: from(tcp(client, [front, doors.machine])),
    becomes: untouched(),
  },
  {
    name: 'the gate is closed: from a machine',
    before: [{ gate: false }],
    frame: from(tcp(machine, client)),
    becomes: untouched(),
  },
];
