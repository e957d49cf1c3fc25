// Ways that lead over an interface where the program does not run: conntrack translates both directions of such flows.
import { type End, tcp, text, udp } from '../frame/packet.ts';
import { devices } from '../world/places.ts';
import { doors, front, front6 } from '../world/rules.ts';
import { forwarded, from, type Row, untouched } from './row.ts';

const client: End = ['198.51.100.10', 40000];
const client6: End = ['2001:db8:1::a', 40000];
const machine: End = ['10.1.0.1', 8080];
const machine6: End = ['fd01::1', 8080];
const apart: End = ['10.11.0.1', 8080];
const apart6: End = ['fd0b::1', 8080];
const left = untouched('ELSEWHERE');
/** Routing need not be symmetric. */
const byWan = { device: 'wan', destination: devices.wan.mac } as const;
const byLan = { device: 'lan', destination: devices.lan.mac } as const;

export const elsewhere: readonly Row[] = [
  {
    name: 'to a machine there: SYN',
    frame: from(tcp(client, [front, doors.apart], { flags: 'S' })),
    becomes: left,
  },
  { name: 'to a machine there: segment', frame: from(tcp(client, [front, doors.apart])), becomes: left },
  { name: 'to a machine there: UDP', frame: from(udp(client, [front, doors.apart])), becomes: left },
  { name: 'to a machine there: IPv6', frame: from(udp(client6, [front6, doors.apart])), becomes: left },
  {
    name: 'to a machine there: its MAC address is not known',
    frame: from(udp(client, [front, doors.apartSilent])),
    becomes: left,
  },
  {
    name: 'to a machine there: to be fragmented',
    frame: from(udp(client, [front, doors.apart], { dontFragment: false, payload: text('x'.repeat(1600)) })),
    becomes: left,
  },
  {
    name: 'to a machine there: too big',
    frame: from(udp(client, [front, doors.apart], { dontFragment: true, payload: text('x'.repeat(1600)) })),
    becomes: untouched('TOO_BIG'),
  },
  {
    name: 'to a machine there: options',
    frame: from(udp(client, [front, doors.apart], { ipOptions: [1, 1, 1, 1] })),
    becomes: left,
  },
  { name: 'to a client there', frame: from(tcp(machine, ['10.11.0.2', 40000])), becomes: left },
  { name: 'to a client there: IPv6', frame: from(tcp(machine6, ['fd0b::2', 40000])), becomes: left },
  {
    name: 'from a client there, by an interface of ours',
    frame: from(tcp(['10.11.0.2', 40000], [front, doors.machine]), byWan),
    becomes: left,
  },
  {
    name: 'from a machine there, by an interface of ours',
    frame: from(tcp(apart, client), byLan),
    becomes: left,
  },
  {
    name: 'from a client there that the prefixes do not name',
    frame: from(tcp(['fd0b::2', 40000], [front6, doors.machine]), byWan),
    becomes: forwarded({ to: machine6 }),
  },
  {
    name: 'from a machine there that the prefixes do not name',
    frame: from(tcp(apart6, client6), byLan),
    becomes: forwarded({ from: [front6, doors.apart] }),
  },
];
