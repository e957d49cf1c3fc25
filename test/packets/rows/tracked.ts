// Several frontends lead to one port of a machine: the flow table knows whose a flow is, and keeps equal ones apart.
import { member } from '../../../src/forwarding/testing/declare.ts';
import { type End, type Fields, type Packet, tcp, udp } from '../frame/packet.ts';
import { balanced, front, twin, twin6 } from '../world/rules.ts';
import { forwarded, from, type Row, type Sent, untouched } from './row.ts';

const client: End = ['198.51.100.10', 40000];
const other: End = ['198.51.100.11', 40000];
const client6: End = ['2001:db8:1::a', 40000];
const machine: End = ['10.1.0.6', 8080];
const machine6: End = ['fd01::6', 8080];
const one: End = [twin, 701];
const two: End = [twin, 702];
/** A member of a ring, to whose port a mapping leads as well. */
const both: End = ['10.1.1.4', 8080];
const mapping: End = [front, 584];
const ring: End = [balanced, 84];

const syn: Fields = { flags: 'S' };
const inside = forwarded({ to: machine });

/** Forwarded, from another port than the client's own: which one is the program's choice. */
function reported(to: End): Row['becomes'] {
  return (sent, actual) => {
    const port = sourcePortOf(actual);
    const own = sourcePortOf(undefined, sent.packet);
    if (port === own || port < 1024) throw new Error(`sent from port ${port}, where the client has ${own}`);
    return forwarded({ from: [sent.packet.ip.source, port], to })(sent);
  };
}

/** What the machine answers to the port that the last of the frames came from. */
function answerTo(answer: (client: End) => Packet, address: string): Row['frame'] {
  return (earlier): Sent => from(answer([address, sourcePortOf(earlier.at(-1))]));
}

function sourcePortOf(frame: Uint8Array | undefined, packet?: Packet): number {
  if (packet !== undefined)
    return packet.body.kind === 'tcp' || packet.body.kind === 'udp' ? packet.body.sourcePort : 0;
  if (frame === undefined) throw new Error('there is no frame');
  const at = frame[12] === 0x86 ? 54 : 34;
  return ((frame[at] ?? 0) << 8) | (frame[at + 1] ?? 0);
}

/** A flow of the ring is open; its rule goes, and another ring has the machine. What begins then is not the mapping's. */
function afterTheRule(name: string, begins: Sent): readonly Row[] {
  const opened = [
    from(tcp(client, ring, syn)),
    from(tcp(both, client, { flags: 'SA' })),
    from(tcp(client, ring)),
    from(tcp(both, client)),
  ];
  return [
    {
      name,
      before: [...opened, { change: { without: ['pair'], web: [member('web-4', both[0])] } }, begins],
      frame: from(tcp(both, client)),
      becomes: untouched('DIRECT'),
    },
  ];
}

export const tracked: readonly Row[] = [
  { name: 'TCP: a SYN', frame: from(tcp(client, one, syn)), becomes: inside },
  { name: 'TCP: a SYN to the other', frame: from(tcp(client, two, syn)), becomes: inside },
  { name: 'TCP: in its midst, the choice is no question', frame: from(tcp(client, two)), becomes: inside },
  { name: 'UDP', frame: from(udp(client, one)), becomes: inside },
  { name: 'IPv6 TCP', frame: from(tcp(client6, [twin6, 701], syn)), becomes: forwarded({ to: machine6 }) },
  { name: 'IPv6 UDP', frame: from(udp(client6, [twin6, 702])), becomes: forwarded({ to: machine6 }) },
  ...[one, two].flatMap((door): Row[] => [
    {
      name: `back: SYN+ACK from port ${door[1]}`,
      before: [from(tcp(client, door, syn))],
      frame: from(tcp(machine, client, { flags: 'SA' })),
      becomes: forwarded({ from: door }),
    },
    {
      name: `back: UDP from port ${door[1]}`,
      before: [from(udp(client, door))],
      frame: from(udp(machine, client)),
      becomes: forwarded({ from: door }),
    },
  ]),
  {
    name: 'back: IPv6',
    before: [from(udp(client6, [twin6, 702]))],
    frame: from(udp(machine6, client6)),
    becomes: forwarded({ from: [twin6, 702] }),
  },
  {
    name: 'back: two clients at two frontends, one',
    before: [from(tcp(client, one, syn)), from(tcp(other, two, syn))],
    frame: from(tcp(machine, client, { flags: 'SA' })),
    becomes: forwarded({ from: one }),
  },
  {
    name: 'back: two clients at two frontends, the other',
    before: [from(tcp(client, one, syn)), from(tcp(other, two, syn))],
    frame: from(tcp(machine, other, { flags: 'SA' })),
    becomes: forwarded({ from: two }),
  },
  {
    name: 'back: nobody knows the flow, which may be older than the second rule',
    frame: from(tcp(machine, client)),
    becomes: forwarded({ from: one }),
  },
  {
    name: 'back: SYN+ACK of a flow that nobody knows',
    frame: from(tcp(machine, client, { flags: 'SA' })),
    becomes: untouched(),
  },
  { name: 'back: nobody knows the flow, UDP', frame: from(udp(machine, client)), becomes: untouched() },
  {
    name: 'the same client and port at both: the second comes from another port',
    before: [from(tcp(client, one, syn))],
    frame: from(tcp(client, two, syn)),
    becomes: reported(machine),
  },
  {
    name: 'the same client and port at both: the first stays',
    before: [from(tcp(client, one, syn)), from(tcp(client, two, syn))],
    frame: from(tcp(client, one)),
    becomes: inside,
  },
  {
    name: 'the same client and port at both: back from the first',
    before: [from(tcp(client, one, syn)), from(tcp(client, two, syn))],
    frame: from(tcp(machine, client, { flags: 'SA' })),
    becomes: forwarded({ from: one }),
  },
  {
    name: 'the same client and port at both: back from the second',
    before: [from(tcp(client, one, syn)), from(tcp(client, two, syn))],
    frame: answerTo((to) => tcp(machine, to, { flags: 'SA' }), client[0]),
    becomes: forwarded({ from: two, to: client }),
  },
  {
    name: 'the same client and port at both: UDP',
    before: [from(udp(client, two))],
    frame: from(udp(client, one)),
    becomes: reported(machine),
  },
  {
    name: 'the same client and port at both: UDP, back from the second',
    before: [from(udp(client, two)), from(udp(client, one))],
    frame: answerTo((to) => udp(machine, to), client[0]),
    becomes: forwarded({ from: one, to: client }),
  },
  {
    name: 'the same client and port at both: IPv6, back from the second',
    before: [from(tcp(client6, [twin6, 702], syn)), from(tcp(client6, [twin6, 701], syn))],
    frame: answerTo((to) => tcp(machine6, to, { flags: 'SA' }), client6[0]),
    becomes: forwarded({ from: [twin6, 701], to: client6 }),
  },
  {
    name: 'TCP and UDP from the same port do not collide',
    before: [from(tcp(client, one, syn))],
    frame: from(udp(client, two)),
    becomes: inside,
  },
  {
    name: 'a mapping and a ring to one port: the mapping',
    frame: from(tcp(client, mapping, syn)),
    becomes: forwarded({ to: both }),
  },
  {
    name: 'a mapping and a ring to one port: the ring',
    frame: from(tcp(client, ring, syn)),
    becomes: forwarded({ to: both }),
  },
  {
    name: 'a mapping and a ring to one port: back to the mapping’s',
    before: [from(tcp(client, mapping, syn)), from(tcp(other, ring, syn))],
    frame: from(tcp(both, client, { flags: 'SA' })),
    becomes: forwarded({ from: mapping }),
  },
  {
    name: 'a mapping and a ring to one port: back to the ring’s',
    before: [from(tcp(client, mapping, syn)), from(tcp(other, ring, syn))],
    frame: from(tcp(both, other, { flags: 'SA' })),
    becomes: forwarded({ from: ring }),
  },
  {
    name: 'a mapping and a ring to one port: the same client and port at both',
    before: [from(tcp(client, ring, syn))],
    frame: from(tcp(client, mapping, syn)),
    becomes: reported(both),
  },
  {
    name: 'a mapping and a ring to one port: the same client and port at both, the ring later',
    before: [from(tcp(client, mapping, syn))],
    frame: from(tcp(client, ring, syn)),
    becomes: reported(both),
  },
  {
    name: 'one of the two is gone: its flow ends',
    before: [from(tcp(client, two, syn)), { change: { without: ['twin-2'] } }],
    frame: from(tcp(client, two)),
    becomes: untouched('NO_SUCH_ENDPOINT'),
  },
  {
    name: 'one of the two is gone: the other’s flow goes on',
    before: [from(tcp(client, one, syn)), { change: { without: ['twin-2'] } }],
    frame: from(tcp(machine, client)),
    becomes: forwarded({ from: one }),
  },
  {
    name: 'one of the two is gone: its answers are nobody’s',
    before: [
      from(tcp(client, two, syn)),
      from(tcp(machine, client, { flags: 'SA' })),
      { change: { without: ['twin-2'] } },
    ],
    frame: from(udp(machine, client)),
    becomes: untouched(),
  },
  ...afterTheRule(
    'in its midst, where a rule that is gone had such a flow: back',
    from(tcp(client, [balanced, 80])),
  ),
  ...afterTheRule('directly, where a rule that is gone had such a flow: back', from(tcp(client, both))),
];
