// What a frame says, field by field. Lengths and checksums are not in here: `encode` works them out from nothing.

/** `02:00:00:00:00:01`. */
export type Mac = string;

/** A VLAN tag; the protocol is 0x8100 (802.1Q) or 0x88a8 (802.1ad). */
export interface Tag {
  readonly protocol: number;
  readonly id: number;
  /** 0 to 7. */
  readonly priority?: number;
}

export interface Ethernet {
  readonly source: Mac;
  readonly destination: Mac;
  /** Outer first. */
  readonly tags: readonly Tag[];
}

/** A part of a packet that was cut into fragments: bytes of what follows the IP header. `from` is a multiple of 8. */
export interface Slice {
  readonly from: number;
  readonly to: number;
  /** Absent: true unless the slice reaches the end. */
  readonly more?: boolean;
}

export interface Ipv4 {
  readonly version: 4;
  readonly source: string;
  readonly destination: string;
  readonly ttl: number;
  readonly identification: number;
  readonly dontFragment: boolean;
  readonly tos: number;
  /** A multiple of 4 bytes, at most 40. */
  readonly options: readonly number[];
  readonly slice?: Slice;
  /** Added (in ones' complement) to the right header checksum. */
  readonly checksumError?: number;
}

export interface Extension {
  /** 0 hop-by-hop, 43 routing, 60 destination options; any other number on demand. */
  readonly type: number;
  /** All of it but the first two bytes; 6 bytes more than a multiple of 8. */
  readonly body: readonly number[];
}

export interface Ipv6 {
  readonly version: 6;
  readonly source: string;
  readonly destination: string;
  readonly hopLimit: number;
  readonly trafficClass: number;
  readonly flowLabel: number;
  readonly extensions: readonly Extension[];
  /** With a fragment header behind the extensions. `from` 0 without `more` is an atomic fragment. */
  readonly slice?: Slice;
  readonly identification: number;
}

export interface Tcp {
  readonly kind: 'tcp';
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** Letters of FIN, SYN, RST, PSH, ACK, URG. */
  readonly flags: string;
  readonly sequence: number;
  readonly acknowledgement: number;
  readonly options: readonly number[];
  readonly payload: readonly number[];
  /** Added (in ones' complement) to the right checksum. */
  readonly checksumError?: number;
}

export interface Udp {
  readonly kind: 'udp';
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly payload: readonly number[];
  /** The sender left it out: 0 on the wire. */
  readonly noChecksum?: boolean;
  readonly checksumError?: number;
}

export interface Icmp {
  readonly kind: 'icmp';
  readonly type: number;
  readonly code: number;
  /** The four bytes after the checksum: an MTU, a pointer, identifier and sequence. */
  readonly rest: number;
  /** What an error quotes, with the number of its bytes (from the IP header on). */
  readonly quote?: { readonly ip: Ip; readonly body: Body; readonly bytes: number };
  readonly payload: readonly number[];
  readonly checksumError?: number;
}

export interface Other {
  readonly kind: 'other';
  readonly protocol: number;
  readonly payload: readonly number[];
}

export type Ip = Ipv4 | Ipv6;
export type Body = Tcp | Udp | Icmp | Other;

export interface Packet {
  readonly ethernet: Ethernet;
  readonly ip: Ip;
  readonly body: Body;
  /** Bytes behind the end of the IP packet, such as the padding of a short frame. */
  readonly trailer?: readonly number[];
}

/** Fields that a test sets besides addresses and ports; all others are plain. */
export interface Fields {
  readonly ttl?: number;
  readonly identification?: number;
  readonly dontFragment?: boolean;
  readonly tos?: number;
  readonly ipOptions?: readonly number[];
  readonly extensions?: readonly Extension[];
  readonly flowLabel?: number;
  readonly slice?: Slice;
  readonly flags?: string;
  readonly payload?: readonly number[];
  readonly tcpOptions?: readonly number[];
  readonly noChecksum?: boolean;
  readonly checksumError?: number;
  readonly headerError?: number;
  readonly trailer?: readonly number[];
}

/** Where an end of a flow is. */
export type End = readonly [address: string, port: number];

const wire: Ethernet = { source: '02:00:00:00:00:00', destination: '02:00:00:00:00:00', tags: [] };

/** A TCP segment; flags `A` unless told. `at` in world/places.ts puts it onto a wire. */
export function tcp(
  [source, sourcePort]: End,
  [destination, destinationPort]: End,
  fields: Fields = {},
): Packet {
  return {
    ethernet: wire,
    ip: ipOf(source, destination, fields),
    body: {
      kind: 'tcp',
      sourcePort,
      destinationPort,
      flags: fields.flags ?? 'A',
      sequence: 0x11223344,
      acknowledgement: 0x55667788,
      options: fields.tcpOptions ?? [],
      payload: fields.payload ?? text('segment'),
      ...(fields.checksumError === undefined ? {} : { checksumError: fields.checksumError }),
    },
    ...(fields.trailer === undefined ? {} : { trailer: fields.trailer }),
  };
}

export function udp(
  [source, sourcePort]: End,
  [destination, destinationPort]: End,
  fields: Fields = {},
): Packet {
  return {
    ethernet: wire,
    ip: ipOf(source, destination, fields),
    body: {
      kind: 'udp',
      sourcePort,
      destinationPort,
      payload: fields.payload ?? text('datagram of twenty-four!'),
      ...(fields.noChecksum === undefined ? {} : { noChecksum: fields.noChecksum }),
      ...(fields.checksumError === undefined ? {} : { checksumError: fields.checksumError }),
    },
    ...(fields.trailer === undefined ? {} : { trailer: fields.trailer }),
  };
}

/** Anything but TCP and UDP. */
export function plain(source: string, destination: string, body: Body, fields: Fields = {}): Packet {
  return { ethernet: wire, ip: ipOf(source, destination, fields), body };
}

/** What an error says besides its quote. */
export interface ErrorFields extends Fields {
  readonly type: number;
  readonly code?: number;
  readonly rest?: number;
  /** How many bytes are quoted; 28 for IPv4 (RFC 792), all for IPv6 (RFC 4443) unless told. */
  readonly bytes?: number;
}

/** An ICMP or ICMPv6 error about `quoted`. */
export function error(source: string, destination: string, quoted: Packet, fields: ErrorFields): Packet {
  const bytes = fields.bytes ?? (quoted.ip.version === 4 ? 28 : 1232);
  return plain(
    source,
    destination,
    {
      kind: 'icmp',
      type: fields.type,
      code: fields.code ?? 0,
      rest: fields.rest ?? 0,
      quote: { ip: quoted.ip, body: quoted.body, bytes },
      payload: [],
      ...(fields.checksumError === undefined ? {} : { checksumError: fields.checksumError }),
    },
    fields,
  );
}

export function echo(source: string, destination: string, reply = false): Packet {
  const types = source.includes(':') ? [128, 129] : [8, 0];
  const body = { kind: 'icmp', type: types[reply ? 1 : 0] ?? 0, code: 0, rest: 0x12340001 } as const;
  return plain(source, destination, { ...body, payload: text('are you there?') });
}

export function text(characters: string): readonly number[] {
  return [...Buffer.from(characters)];
}

/** `count` bytes that are not all the same. */
export function bytes(count: number): readonly number[] {
  return Array.from({ length: count }, (_, index) => (index * 7 + 3) & 0xff);
}

function ipOf(source: string, destination: string, fields: Fields): Ip {
  const slice = fields.slice === undefined ? {} : { slice: fields.slice };
  if (source.includes(':')) {
    return {
      version: 6,
      source,
      destination,
      hopLimit: fields.ttl ?? 64,
      trafficClass: fields.tos ?? 0,
      flowLabel: fields.flowLabel ?? 0x12345,
      extensions: fields.extensions ?? [],
      identification: fields.identification ?? 0x0badcafe,
      ...slice,
    };
  }
  return {
    version: 4,
    source,
    destination,
    ttl: fields.ttl ?? 64,
    identification: fields.identification ?? 0xbeef,
    dontFragment: fields.dontFragment ?? fields.slice === undefined,
    tos: fields.tos ?? 0,
    options: fields.ipOptions ?? [],
    ...slice,
    ...(fields.headerError === undefined ? {} : { checksumError: fields.headerError }),
  };
}
