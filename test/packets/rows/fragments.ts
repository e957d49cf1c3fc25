// Fragments: only the first has ports. Inward the kernel puts them together; on the way back the others follow the first.
import { bytes, type End, type Fields, type Packet, tcp, udp } from '../frame/packet.ts';
import { any, balanced, doors, front, front6 } from '../world/rules.ts';
import { forwarded, from, type Row, untouched } from './row.ts';

const client: End = ['198.51.100.10', 40000];
const client6: End = ['2001:db8:1::a', 40000];
const machine: End = ['10.1.0.1', 8080];
const machine6: End = ['fd01::1', 8080];
const door: End = [front, doors.machine];
const door6: End = [front6, doors.machine];

/** 2,008 bytes of datagram, in three parts of which the first is `parts[0]`. */
const whole = bytes(2000);
const parts = [
  { from: 0, to: 1200 },
  { from: 1200, to: 1800 },
  { from: 1800, to: 2008 },
] as const;
const [first, middle, last] = parts;

const ask = (fields: Fields): Packet => udp(client, door, { payload: whole, ...fields });
const ask6 = (fields: Fields): Packet => udp(client6, door6, { payload: whole, ...fields });
const answer = (fields: Fields): Packet => udp(machine, client, { payload: whole, ...fields });
const answer6 = (fields: Fields): Packet => udp(machine6, client6, { payload: whole, ...fields });
const outside = forwarded({ from: door });
const outside6 = forwarded({ from: door6 });
const asked = from(udp(client, door));
const asked6 = from(udp(client6, door6));

export const fragments: readonly Row[] = [
  { name: 'inward: first', frame: from(ask({ slice: first })), becomes: untouched('FRAGMENT') },
  { name: 'inward: middle', frame: from(ask({ slice: middle })), becomes: untouched('FRAGMENT') },
  { name: 'inward: last', frame: from(ask({ slice: last })), becomes: untouched('FRAGMENT') },
  { name: 'inward: first of IPv6', frame: from(ask6({ slice: first })), becomes: untouched('FRAGMENT') },
  { name: 'inward: middle of IPv6', frame: from(ask6({ slice: middle })), becomes: untouched('FRAGMENT') },
  { name: 'inward: last of IPv6', frame: from(ask6({ slice: last })), becomes: untouched('FRAGMENT') },
  {
    name: 'inward: of TCP',
    frame: from(tcp(client, door, { payload: whole, slice: first })),
    becomes: untouched('FRAGMENT'),
  },
  {
    name: 'inward: to every port',
    frame: from(udp(client, [any, 53], { payload: whole, slice: last })),
    becomes: untouched('FRAGMENT'),
  },
  {
    name: 'inward: to a balanced frontend',
    frame: from(udp(client, [balanced, 80], { payload: whole, slice: first })),
    becomes: untouched('FRAGMENT'),
  },
  {
    name: 'a whole IPv6 packet with a fragment header (RFC 6946)',
    frame: from(udp(client6, door6, { slice: { from: 0, to: 32, more: false } })),
    becomes: forwarded({ to: machine6 }),
  },
  {
    name: 'a question in fragments is a question',
    before: [from(ask({ slice: first }))],
    frame: from(udp(machine, client)),
    becomes: outside,
  },
  {
    name: 'a question in fragments is a question: IPv6',
    before: [from(ask6({ slice: first }))],
    frame: from(udp(machine6, client6)),
    becomes: outside6,
  },
  {
    name: 'a later fragment alone is no question',
    before: [from(ask({ slice: middle }))],
    frame: from(udp(machine, client)),
    becomes: untouched('DIRECT'),
  },
  {
    name: 'back: first',
    before: [asked],
    frame: from(answer({ slice: first, identification: 11 })),
    becomes: outside,
  },
  {
    name: 'back: middle after the first',
    before: [asked, from(answer({ slice: first, identification: 12 }))],
    frame: from(answer({ slice: middle, identification: 12 })),
    becomes: outside,
  },
  {
    name: 'back: last after the others',
    before: [
      asked,
      from(answer({ slice: first, identification: 13 })),
      from(answer({ slice: middle, identification: 13 })),
    ],
    frame: from(answer({ slice: last, identification: 13 })),
    becomes: outside,
  },
  {
    name: 'back: first of IPv6',
    before: [asked6],
    frame: from(answer6({ slice: first, identification: 14 })),
    becomes: outside6,
  },
  {
    name: 'back: last of IPv6',
    before: [asked6, from(answer6({ slice: first, identification: 15 }))],
    frame: from(answer6({ slice: last, identification: 15 })),
    becomes: outside6,
  },
  {
    name: 'back: first of TCP',
    frame: from(tcp(machine, client, { payload: whole, slice: first, identification: 16 })),
    becomes: outside,
  },
  {
    name: 'back: last of TCP',
    before: [from(tcp(machine, client, { payload: whole, slice: first, identification: 17 }))],
    frame: from(tcp(machine, client, { payload: whole, slice: last, identification: 17 })),
    becomes: outside,
  },
  {
    name: 'back: last before the first',
    before: [asked],
    frame: from(answer({ slice: last, identification: 18 })),
    becomes: untouched('FRAGMENT'),
  },
  {
    name: 'back: last of another datagram',
    before: [asked, from(answer({ slice: first, identification: 19 }))],
    frame: from(answer({ slice: last, identification: 20 })),
    becomes: untouched('FRAGMENT'),
  },
  {
    name: 'back: last to another client',
    before: [asked, from(answer({ slice: first, identification: 21 }))],
    frame: from(udp(machine, ['198.51.100.11', 40000], { payload: whole, slice: last, identification: 21 })),
    becomes: untouched('FRAGMENT'),
  },
  {
    name: 'back: last of another protocol',
    before: [asked, from(answer({ slice: first, identification: 22 }))],
    frame: from(tcp(machine, client, { payload: whole, slice: last, identification: 22 })),
    becomes: untouched('FRAGMENT'),
  },
  {
    name: 'back: fragments of an answer to a direct question',
    before: [from(udp(client, machine)), from(answer({ slice: first, identification: 23 }))],
    frame: from(answer({ slice: last, identification: 23 })),
    becomes: untouched('FRAGMENT'),
  },
  {
    name: 'back: no checksum',
    before: [asked],
    frame: from(answer({ slice: first, identification: 24, noChecksum: true })),
    becomes: outside,
  },
  {
    name: 'back: a first fragment without all of the TCP header',
    frame: from(tcp(machine, client, { payload: whole, slice: { from: 0, to: 8 }, identification: 25 })),
    becomes: untouched(),
  },
  {
    name: 'back: last with TTL 1',
    before: [asked, from(answer({ slice: first, identification: 26 }))],
    frame: from(answer({ slice: last, identification: 26, ttl: 1 })),
    becomes: untouched('HOP_LIMIT'),
  },
];
