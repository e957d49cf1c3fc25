// Balanced rules: the hash chooses, the flow table remembers.
import type { ForwardingTable } from '../../../src/forwarding/table.ts';
import { member } from '../../../src/forwarding/testing/declare.ts';
import type { Member } from '../../../src/resources/model.ts';
import { type End, type Fields, type Packet, tcp, udp } from '../frame/packet.ts';
import { balanced, balanced6, balancedAny, chosen, tableOf, web } from '../world/rules.ts';
import { forwarded, from, type Row, untouched } from './row.ts';

const host = '198.51.100.10';
const host6 = '2001:db8:1::a';
const usual = tableOf();

const door: End = [balanced, 80];
const door6: End = [balanced6, 80];

/** The pool with one more machine, which takes slots of the others. */
const grown = { web: [...web, member('web-9', '10.1.0.2', { weight: 1000 })] };
const grownTable = tableOf(grown);
/** A port of the client from which a new flow goes elsewhere once the pool has grown. */
const moving = portWhere((port) => {
  const to = chosen(usual, 'tcp', [host, port], door);
  return to[0] === '10.1.1.1' && chosen(grownTable, 'tcp', [host, port], door)[0] !== to[0];
});
const movingUdp = portWhere((port) => {
  const to = chosen(usual, 'udp', [host, port], door);
  return to[0] === '10.1.1.1' && chosen(grownTable, 'udp', [host, port], door)[0] !== to[0];
});
const client: End = [host, moving];
const clientUdp: End = [host, movingUdp];
const first: End = ['10.1.1.1', 8080];

/** The pool with the first member otherwise, or without it. */
const without = { web: web.slice(1) };
const down = { web: withFirst({ adminState: 'down' }) };
const drained = { web: withFirst({ adminState: 'drain' }) };

const knock = (fields: Fields = {}): Packet => tcp(client, door, fields);
const ask = (): Packet => udp(clientUdp, door);
const knocked = from(knock({ flags: 'S' }));
const asked = from(ask());
const opened = [knocked, from(tcp(first, client, { flags: 'SA' })), from(knock()), from(tcp(first, client))];
const talking = [asked, from(udp(first, clientUdp)), asked];

export const balancing: readonly Row[] = [
  ...(
    [
      ['five-tuple', 80],
      ['client', 81],
      ['client and protocol', 82],
    ] as const
  ).flatMap(([affinity, port]) =>
    [40000, 40001, 40002].flatMap((source): Row[] => [
      newFlow(`${affinity}: TCP from port ${source}`, tcp([host, source], [balanced, port], { flags: 'S' })),
      newFlow(`${affinity}: UDP from port ${source}`, udp([host, source], [balanced, port])),
      newFlow(
        `${affinity}: IPv6 TCP from port ${source}`,
        tcp([host6, source], [balanced6, port], { flags: 'S' }),
      ),
      newFlow(`${affinity}: IPv6 UDP from port ${source}`, udp([host6, source], [balanced6, port])),
    ]),
  ),
  ...['192.0.2.1', '192.0.2.2', '198.18.7.200'].map((source) =>
    newFlow(`client: from ${source}`, tcp([source, 999], [balanced, 81], { flags: 'S' })),
  ),
  newFlow('every port: TCP', tcp([host, 40000], [balancedAny, 4242], { flags: 'S' })),
  newFlow('every port: UDP', udp([host, 40000], [balancedAny, 53])),
  newFlow('a SYN with ECN', tcp([host, 40000], door, { flags: 'SEC' })),
  newFlow('by one tag', tcp(['198.51.109.10', 40000], door, { flags: 'S' })),
  {
    name: 'a segment of a known flow',
    before: [knocked],
    frame: from(knock()),
    becomes: forwarded({ to: first }),
  },
  {
    name: 'a SYN again',
    before: [knocked],
    frame: from(knock({ flags: 'S' })),
    becomes: forwarded({ to: first }),
  },
  {
    name: 'a FIN of a known flow',
    before: opened,
    frame: from(knock({ flags: 'FA' })),
    becomes: forwarded({ to: first }),
  },
  {
    name: 'a RST of a known flow',
    before: opened,
    frame: from(knock({ flags: 'R' })),
    becomes: forwarded({ to: first }),
  },
  {
    name: 'the last ACK of a known flow',
    before: [...opened, from(knock({ flags: 'FA' })), from(tcp(first, client, { flags: 'FA' }))],
    frame: from(knock()),
    becomes: forwarded({ to: first }),
  },
  {
    name: 'back: SYN+ACK',
    before: [knocked],
    frame: from(tcp(first, client, { flags: 'SA' })),
    becomes: forwarded({ from: door }),
  },
  {
    name: 'back: segment',
    before: opened,
    frame: from(tcp(first, client)),
    becomes: forwarded({ from: door }),
  },
  {
    name: 'back: RST',
    before: [knocked],
    frame: from(tcp(first, client, { flags: 'RA' })),
    becomes: forwarded({ from: door }),
  },
  {
    name: 'back: UDP',
    before: [asked],
    frame: from(udp(first, clientUdp)),
    becomes: forwarded({ from: door }),
  },
  wayBack('back: IPv6 TCP', tcp([host6, 40000], door6, { flags: 'S' })),
  wayBack('back: IPv6 UDP', udp([host6, 40000], door6)),
  wayBack('back: every port', tcp([host, 40000], [balancedAny, 4242], { flags: 'S' })),
  { name: 'back: nobody knows the flow', frame: from(tcp(first, [host, 40000])), becomes: untouched() },
  { name: 'back: nobody knows the flow, UDP', frame: from(udp(first, [host, 40000])), becomes: untouched() },
  {
    name: 'back: another member than the flow’s',
    before: [knocked],
    frame: from(tcp(['10.1.1.2', 8080], client)),
    becomes: untouched(),
  },
  {
    name: 'back: another port of the member',
    before: [knocked],
    frame: from(tcp(['10.1.1.1', 8081], client)),
    becomes: untouched(),
  },
  { name: 'in its midst, and nobody knows it', frame: from(knock()), becomes: untouched('UNKNOWN_FLOW') },
  { name: 'SYN+ACK from a client', frame: from(knock({ flags: 'SA' })), becomes: untouched('UNKNOWN_FLOW') },
  {
    name: 'a RST, and nobody knows the flow',
    frame: from(knock({ flags: 'R' })),
    becomes: untouched('UNKNOWN_FLOW'),
  },
  { name: 'no flag at all', frame: from(knock({ flags: '' })), becomes: untouched('UNKNOWN_FLOW') },
  {
    name: 'no member takes new flows: TCP',
    frame: from(tcp([host, 40000], [balanced, 83], { flags: 'S' })),
    becomes: untouched('NO_MEMBER'),
  },
  {
    name: 'no member takes new flows: UDP',
    frame: from(udp([host, 40000], [balanced, 83])),
    becomes: untouched('NO_MEMBER'),
  },
  {
    name: 'hairpin: a member at its own frontend',
    frame: from(tcp(['10.1.1.2', 5000], door, { flags: 'S' })),
    becomes: untouched('HAIRPIN'),
  },
  { name: 'TTL 1 ends here', frame: from(knock({ flags: 'S', ttl: 1 })), becomes: untouched('HOP_LIMIT') },
  {
    name: 'back: another port of the member, when the flow is open',
    before: opened,
    frame: from(tcp(['10.1.1.1', 8081], client)),
    becomes: untouched(),
  },
  {
    name: 'back: another member than the open flow’s',
    before: opened,
    frame: from(tcp(['10.1.1.2', 8080], client)),
    becomes: untouched(),
  },
  {
    name: 'the same client and port at another balanced frontend',
    before: opened,
    frame: from(tcp(client, [balanced, 81])),
    becomes: untouched('UNKNOWN_FLOW'),
  },
  {
    name: 'a new member takes slots: a known flow stays',
    before: [...opened, { change: grown }],
    frame: from(knock()),
    becomes: forwarded({ to: first }),
  },
  {
    name: 'a new member takes slots: a SYN again stays',
    before: [knocked, { change: grown }],
    frame: from(knock({ flags: 'S' })),
    becomes: forwarded({ to: first }),
  },
  {
    name: 'a new member takes slots: a known UDP flow stays',
    before: [...talking, { change: grown }],
    frame: asked,
    becomes: forwarded({ to: first }),
  },
  {
    name: 'a new member takes slots: back',
    before: [...opened, { change: grown }],
    frame: from(tcp(first, client)),
    becomes: forwarded({ from: door }),
  },
  newFlow('a new member takes slots: a new flow', knock({ flags: 'S' }), grownTable, [{ change: grown }]),
  {
    name: 'a member is gone: its TCP flow is unknown',
    before: [...opened, { change: without }],
    frame: from(knock()),
    becomes: untouched('UNKNOWN_FLOW'),
  },
  newFlow('a member is gone: a SYN goes to another', knock({ flags: 'S' }), tableOf(without), [
    knocked,
    { change: without },
  ]),
  newFlow('a member is gone: its UDP flow goes to another', ask(), tableOf(without), [
    ...talking,
    { change: without },
  ]),
  {
    name: 'a member is gone and back: its flow is another’s',
    before: [...opened, { change: without }, { change: {} }],
    frame: from(knock()),
    becomes: untouched('UNKNOWN_FLOW'),
  },
  {
    name: 'the rule is gone and back: its flow is another’s',
    before: [...opened, { change: { without: ['five'] } }, { change: {} }],
    frame: from(knock()),
    becomes: untouched('UNKNOWN_FLOW'),
  },
  {
    name: 'the rule is gone and back: its answers are nobody’s',
    before: [...opened, { change: { without: ['five'] } }, { change: {} }],
    frame: from(tcp(first, client)),
    becomes: untouched(),
  },
  {
    name: 'the rule is gone: its flow ends',
    before: [...opened, { change: { without: ['five'] } }],
    frame: from(knock()),
    becomes: untouched('NO_SUCH_ENDPOINT'),
  },
  {
    name: 'the rule is gone: its answers are nobody’s',
    before: [...talking, { change: { without: ['five'] } }],
    frame: from(udp(first, clientUdp)),
    becomes: untouched(),
  },
  {
    name: 'a member is down: its TCP flow goes on',
    before: [...opened, { change: down }],
    frame: from(knock()),
    becomes: forwarded({ to: first }),
  },
  {
    name: 'a member is down: its TCP flow goes on, back',
    before: [...opened, { change: down }],
    frame: from(tcp(first, client)),
    becomes: forwarded({ from: door }),
  },
  newFlow('a member is down: its UDP flow goes to another', ask(), tableOf(down), [
    ...talking,
    { change: down },
  ]),
  newFlow('a member is down: a new flow goes to another', knock({ flags: 'S' }), tableOf(down), [
    { change: down },
  ]),
  {
    name: 'a member is drained: its TCP flow goes on',
    before: [...opened, { change: drained }],
    frame: from(knock()),
    becomes: forwarded({ to: first }),
  },
  {
    name: 'a member is drained: its UDP flow goes on',
    before: [...talking, { change: drained }],
    frame: asked,
    becomes: forwarded({ to: first }),
  },
  newFlow('a member is drained: a new flow goes to another', knock({ flags: 'S' }), tableOf(drained), [
    { change: drained },
  ]),
  newFlow('a SYN after both FINs is a new flow', knock({ flags: 'S' }), grownTable, [
    ...opened,
    from(knock({ flags: 'FA' })),
    from(tcp(first, client, { flags: 'FA' })),
    { change: grown },
  ]),
  {
    name: 'an open flow that was silent for an hour',
    before: [...opened, { waitSeconds: 3600 }, { change: grown }],
    frame: from(knock()),
    becomes: forwarded({ to: first }),
  },
  {
    name: 'UDP: answered once, silent for 20 s',
    before: [asked, from(udp(first, clientUdp)), { waitSeconds: 20 }, { change: grown }],
    frame: asked,
    becomes: forwarded({ to: first }),
  },
  newFlow('UDP: answered once, silent for 40 s: a new flow', ask(), grownTable, [
    asked,
    from(udp(first, clientUdp)),
    { waitSeconds: 40 },
    { change: grown },
  ]),
  {
    name: 'UDP: a conversation, silent for 100 s',
    before: [...talking, { waitSeconds: 100 }, { change: grown }],
    frame: asked,
    becomes: forwarded({ to: first }),
  },
  newFlow('UDP: a conversation, silent for 140 s: a new flow', ask(), grownTable, [
    ...talking,
    { waitSeconds: 140 },
    { change: grown },
  ]),
  {
    name: 'direct to a member’s port',
    before: [from(tcp([host, 40000], first, { flags: 'S' }))],
    frame: from(tcp(first, [host, 40000], { flags: 'SA' })),
    becomes: untouched(),
  },
  {
    name: 'a member opens a connection from its port',
    before: [
      from(tcp(first, [host, 40000], { flags: 'S' })),
      from(tcp([host, 40000], first, { flags: 'SA' })),
    ],
    frame: from(tcp(first, [host, 40000])),
    becomes: untouched(),
  },
];

function newFlow(
  name: string,
  packet: Packet,
  table: ForwardingTable = usual,
  before: Row['before'] = [],
): Row {
  return { name, before, frame: from(packet), becomes: forwarded({ to: choiceFor(packet, table) }) };
}

/** The answer of the member that was chosen. */
function wayBack(name: string, packet: Packet): Row {
  const { ip, body } = packet;
  if (body.kind !== 'tcp' && body.kind !== 'udp') throw new TypeError(`${body.kind} is not balanced`);
  const machine = choiceFor(packet, usual);
  const source: End = [ip.source, body.sourcePort];
  const answer = body.kind === 'tcp' ? tcp(machine, source, { flags: 'SA' }) : udp(machine, source);
  return {
    name,
    before: [from(packet)],
    frame: from(answer),
    becomes: forwarded({ from: [ip.destination, body.destinationPort] }),
  };
}

function choiceFor({ ip, body }: Packet, table: ForwardingTable): End {
  if (body.kind !== 'tcp' && body.kind !== 'udp') throw new TypeError(`${body.kind} is not balanced`);
  return chosen(table, body.kind, [ip.source, body.sourcePort], [ip.destination, body.destinationPort]);
}

function withFirst(over: Partial<Member>): readonly Member[] {
  return web.map((each, index) => (index === 0 ? { ...each, ...over } : each));
}

function portWhere(holds: (port: number) => boolean): number {
  for (let port = 20_000; port < 60_000; port += 1) if (holds(port)) return port;
  throw new Error('no port will do');
}
