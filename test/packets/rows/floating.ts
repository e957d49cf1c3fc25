// Frontends whose destination stays: by the member's MAC address, or within a packet to the member.
import { encodeIp } from '../frame/encode.ts';
import {
  bytes,
  type End,
  type Ethernet,
  error,
  type Fields,
  type Packet,
  tcp,
  udp,
} from '../frame/packet.ts';
import { rewrite } from '../frame/rewrite.ts';
import { tunnelSources } from '../world/maps.ts';
import { departure, physicalOf } from '../world/places.ts';
import {
  chosen,
  floating as door4,
  floating6 as door6,
  floatingAny,
  places,
  tableOf,
  web,
} from '../world/rules.ts';
import { type Becomes, from, mark, type Row, type Sent, untouched } from './row.ts';

const usual = tableOf();
const clients = { 4: '198.51.100.10', 6: '2001:db8:1::a' } as const;
const doors = { 4: door4, 6: door6 } as const;
const within = 100;

/** To the member's MAC address; nothing else changes but the TTL, and perhaps the port. */
function delivered([machine, port]: End): Becomes {
  return ({ device, packet }) => {
    const { device: out, ethernet } = departure(machine);
    const same = physicalOf(out) === physicalOf(device);
    const sent = rewrite(packet, { to: [packet.ip.destination, port], hops: 1 });
    return { verdict: same ? 'transmit' : 'redirect', packet: { ...sent, ethernet } };
  };
}

/** The packet as the outer one carries it; the outer identification is anything. */
function wrapped({ packet }: Sent, [machine, port]: End, { tags }: Ethernet, actual: Uint8Array): Packet {
  const inner = rewrite(packet, { to: [packet.ip.destination, port], hops: 1 });
  const payload = [...encodeIp(inner.ip, inner.body)];
  const { ip } = packet;
  const at = 14 + 4 * tags.length;
  if (ip.version === 6) {
    return {
      ethernet: packet.ethernet,
      ip: {
        ...ip,
        source: tunnelSources[6],
        destination: machine,
        hopLimit: 64,
        flowLabel: 0,
        extensions: [],
      },
      body: { kind: 'other', protocol: 41, payload },
    };
  }
  const { slice: _, checksumError: __, ...plain } = ip;
  return {
    ethernet: packet.ethernet,
    ip: {
      ...plain,
      source: tunnelSources[4],
      destination: machine,
      ttl: 64,
      identification: ((actual[at + 4] ?? 0) << 8) | (actual[at + 5] ?? 0),
      dontFragment: false,
      options: [],
    },
    body: { kind: 'other', protocol: 4, payload },
  };
}

function encapsulated(to: End): Row['becomes'] {
  return (sent, actual) => {
    const { device: out, ethernet } = departure(to[0]);
    const same = physicalOf(out) === physicalOf(sent.device);
    const packet = { ...wrapped(sent, to, ethernet, actual), ethernet };
    return { verdict: same ? 'transmit' : 'redirect', packet };
  };
}

/** Within another packet, and left to the kernel to route. */
function encapsulatedToRoute(to: End, why: string): Row['becomes'] {
  return (sent, actual) => {
    const packet = wrapped(sent, to, sent.packet.ethernet, actual);
    const ethernet = { ...sent.packet.ethernet, source: mark };
    return { verdict: 'pass', packet: { ...packet, ethernet }, reason: `ROUTED_${why}` };
  };
}

type Family = 4 | 6;

function knock(family: Family, port: number, fields: Fields = {}, source = 40000): Packet {
  return tcp([clients[family], source], [doors[family], port], { flags: 'S', ...fields });
}

function ask(family: Family, port: number, fields: Fields = {}, source = 40000): Packet {
  return udp([clients[family], source], [doors[family], port], fields);
}

function target(family: Family, transport: 'tcp' | 'udp', port: number, source = 40000): End {
  return chosen(usual, transport, [clients[family], source], [doors[family], port]);
}

const families = [4, 6] as const;
const machineOf = {
  silent: { 4: '10.1.0.77', 6: 'fd01::4d' },
  narrow: { 4: '10.7.0.1', 6: 'fd07::1' },
  vlan: { 4: '10.5.0.1', 6: 'fd05::1' },
  apart: { 4: '10.11.0.1', 6: 'fd0b::1' },
  behindHop: { 4: '10.20.0.1', 6: 'fd20::1' },
  sameWire: { 4: '198.51.100.50', 6: '2001:db8:1::32' },
} as const;

const spread: readonly Row[] = families.flatMap((family) =>
  ([80, 81, 82] as const).flatMap((port) =>
    [40000, 40001, 40002].flatMap((source): Row[] => [
      {
        name: `IPv${family}: TCP to ${port} from port ${source}`,
        frame: from(knock(family, port, {}, source)),
        becomes: delivered(target(family, 'tcp', port, source)),
      },
      {
        name: `IPv${family}: UDP to ${port} from port ${source}`,
        frame: from(ask(family, port, {}, source)),
        becomes: delivered(target(family, 'udp', port, source)),
      },
      {
        name: `IPv${family}: TCP to ${port} from port ${source}, encapsulated`,
        frame: from(knock(family, port + within, {}, source)),
        becomes: encapsulated(target(family, 'tcp', port + within, source)),
      },
      {
        name: `IPv${family}: UDP to ${port} from port ${source}, encapsulated`,
        frame: from(ask(family, port + within, { tos: 0xb8 }, source)),
        becomes: encapsulated(target(family, 'udp', port + within, source)),
      },
    ]),
  ),
);

const known: readonly Row[] = families.flatMap((family): Row[] => [
  {
    name: `IPv${family}: a segment of a known flow`,
    before: [from(knock(family, 80))],
    frame: from(knock(family, 80, { flags: 'A' })),
    becomes: delivered(target(family, 'tcp', 80)),
  },
  {
    name: `IPv${family}: in its midst, and nobody knows it`,
    frame: from(knock(family, 80, { flags: 'A' })),
    becomes: untouched('UNKNOWN_FLOW'),
  },
  {
    name: `IPv${family}: in its midst, encapsulated: nobody else can`,
    frame: from(knock(family, 180, { flags: 'A' })),
    becomes: encapsulated(target(family, 'tcp', 180)),
  },
  {
    name: `IPv${family}: what a member says itself, from the port that a flow leads to, is none of its answers`,
    before: [from(knock(family, 80))],
    frame: from(tcp([target(family, 'tcp', 80)[0], 80], [clients[family], 40000], { flags: 'SA' })),
    becomes: untouched(),
  },
  {
    name: `IPv${family}: an error about what a member said to the client goes to that member`,
    before: [from(ask(family, 80))],
    frame: from(
      error(
        family === 4 ? '198.51.100.254' : '2001:db8:1::fe',
        doors[family],
        udp([doors[family], 80], [clients[family], 40000], { payload: bytes(64) }),
        family === 4 ? { type: 3, code: 4, rest: 1400 } : { type: 2, rest: 1400 },
      ),
    ),
    becomes: delivered([target(family, 'udp', 80)[0], 0]),
  },
]);

const grown = { web: [...web.slice(1)] };
const moves: readonly Row[] = [
  {
    name: 'a flow of a member that is gone is another’s',
    before: [from(knock(4, 180)), { change: grown }],
    frame: from(knock(4, 180, { flags: 'A' })),
    becomes: encapsulated(chosen(tableOf(grown), 'tcp', [clients[4], 40000], [doors[4], 180])),
  },
  {
    name: 'every port',
    frame: from(udp([clients[4], 40000], [floatingAny, 4242])),
    becomes: delivered(chosen(usual, 'udp', [clients[4], 40000], [floatingAny, 4242])),
  },
  {
    name: 'without a UDP checksum, to another port',
    frame: from(ask(4, 81, { noChecksum: true })),
    becomes: delivered(target(4, 'udp', 81)),
  },
  {
    name: 'IP options',
    frame: from(ask(4, 80, { ipOptions: [1, 1, 1, 0] })),
    becomes: untouched(),
  },
  {
    name: 'IP options, encapsulated',
    frame: from(ask(4, 180, { ipOptions: [1, 1, 1, 0] })),
    becomes: encapsulated(target(4, 'udp', 180)),
  },
  {
    name: 'the last hop',
    frame: from(ask(4, 80, { ttl: 1 })),
    becomes: untouched('HOP_LIMIT'),
  },
  {
    name: 'a fragment',
    frame: from(ask(4, 80, { payload: bytes(64), slice: { from: 0, to: 32 } })),
    becomes: untouched('FRAGMENT'),
  },
  {
    name: 'from a machine',
    frame: from(udp(['10.1.0.1', 999], [doors[4], 80])),
    becomes: untouched('HAIRPIN'),
  },
  {
    name: 'from a machine, encapsulated',
    frame: from(udp(['10.1.0.1', 999], [doors[4], 180])),
    becomes: encapsulated(chosen(usual, 'udp', ['10.1.0.1', 999], [doors[4], 180])),
  },
];

const elsewhere: readonly Row[] = families.flatMap((family): Row[] => {
  const small = bytes(100);
  const at = (place: keyof typeof machineOf): End => [machineOf[place][family], 0];
  return [
    {
      name: `IPv${family}: a neighbour that is not known: nftables has it asked for`,
      frame: from(ask(family, places.silent)),
      becomes: untouched('ROUTED_NEIGHBOUR'),
    },
    {
      name: `IPv${family}: a neighbour that is not known, encapsulated: the kernel has it asked for`,
      frame: from(ask(family, places.silent + within)),
      becomes: encapsulatedToRoute(at('silent'), 'NEIGHBOUR'),
    },
    {
      name: `IPv${family}: onto a VLAN`,
      frame: from(ask(family, places.vlan)),
      becomes: delivered(at('vlan')),
    },
    {
      name: `IPv${family}: onto a VLAN, encapsulated`,
      frame: from(ask(family, places.vlan + within)),
      becomes: encapsulated(at('vlan')),
    },
    {
      name: `IPv${family}: out again by the wire that it came by`,
      frame: from(ask(family, places.sameWire)),
      becomes: delivered(at('sameWire')),
    },
    {
      name: `IPv${family}: behind a router, encapsulated`,
      frame: from(ask(family, places.behindHop + within)),
      becomes: encapsulated(at('behindHop')),
    },
    {
      name: `IPv${family}: where the program does not run`,
      frame: from(ask(family, places.apart)),
      becomes: untouched('ELSEWHERE'),
    },
    {
      name: `IPv${family}: where the program does not run, encapsulated`,
      frame: from(ask(family, places.apart + within)),
      becomes: encapsulatedToRoute(at('apart'), 'DEVICE'),
    },
    {
      name: `IPv${family}: just small enough with its outer header`,
      frame: from(ask(family, places.narrow + within, { payload: bytes(1280 - (family === 4 ? 48 : 88)) })),
      becomes: encapsulated(at('narrow')),
    },
    {
      name: `IPv${family}: too big by its outer header`,
      frame: from(ask(family, places.narrow + within, { payload: bytes(1281 - (family === 4 ? 48 : 88)) })),
      becomes: family === 4 ? encapsulatedToRoute(at('narrow'), 'TOO_BIG') : untouched('TOO_BIG'),
    },
    {
      name: `IPv${family}: too big as it is`,
      frame: from(ask(family, places.narrow, { payload: bytes(1300), dontFragment: true })),
      becomes: untouched('TOO_BIG'),
    },
    {
      name: `IPv${family}: small enough as it is`,
      frame: from(ask(family, places.narrow, { payload: small })),
      becomes: delivered(at('narrow')),
    },
  ];
});

export const floating: readonly Row[] = [
  ...spread,
  ...known,
  ...moves,
  ...elsewhere,
  {
    name: 'where nothing can be redirected to',
    frame: from(ask(4, places.unfit)),
    becomes: untouched('ROUTED_DEVICE'),
  },
  {
    name: 'where nothing can be redirected to, encapsulated',
    frame: from(ask(4, places.unfit + within)),
    becomes: encapsulatedToRoute(['10.8.0.1', 0], 'DEVICE'),
  },
];
