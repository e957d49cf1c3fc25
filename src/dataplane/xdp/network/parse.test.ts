import { describe, expect, it } from 'vitest';
import { attribute, nativeU16, nativeU32, nest, text, u16 } from '../../netlink/netlink.ts';
import { parseFamily, parseFeatures } from './features.ts';
import { parseInterfaceAddress, parseLink } from './link.ts';
import { neighbourRequest, parseNeighbour } from './neighbour.ts';
import { parseRoute, parseRule, parseWay, wayQuery } from './route.ts';

const AF_INET = 2;
const AF_INET6 = 10;
const four = (...bytes: readonly number[]): Buffer => Buffer.from(bytes);

function linkBody(type: number, index: number, flags: number, ...attributes: readonly Buffer[]): Buffer {
  const header = [Buffer.of(0, 0), nativeU16(type), nativeU32(index), nativeU32(flags), nativeU32(0)];
  return Buffer.concat([...header, ...attributes]);
}

/** Bytes of the header as the kernel has them: family, length, source length, tos, table, protocol, scope, type. */
function routeBody(header: readonly number[], flags: number, ...attributes: readonly Buffer[]): Buffer {
  return Buffer.concat([Buffer.from(header), nativeU32(flags), ...attributes]);
}

describe('interfaces', () => {
  const mac = attribute(1, Buffer.from('020000000001', 'hex'));

  it('reads a VLAN device with its id, protocol and parent', () => {
    const info = nest(
      18,
      attribute(1, text('vlan')),
      nest(2, attribute(1, nativeU16(100)), attribute(5, u16(0x88a8))),
    );
    const common = [attribute(3, text('eth0.100')), mac, attribute(4, nativeU32(1496)), info];
    expect(parseLink(linkBody(1, 7, 1, ...common, attribute(5, nativeU32(3))))).toEqual({
      index: 7,
      name: 'eth0.100',
      mac: '02:00:00:00:00:01',
      mtu: 1496,
      ethernet: true,
      loopback: false,
      kind: 'vlan',
      up: true,
      operationalState: 0,
      parent: 3,
      vlan: { id: 100, protocol: 0x88a8 },
      xdp: 'none',
    });
    const elsewhere = [attribute(5, nativeU32(3)), attribute(37, nativeU32(0))];
    expect(parseLink(linkBody(1, 7, 1, ...common, ...elsewhere))).not.toHaveProperty('parent');
  });

  it('reads the master, the state, and how XDP runs', () => {
    const xdp = nest(43, attribute(2, Buffer.of(2)), attribute(4, nativeU32(55)));
    const rest = [attribute(3, text('eth1')), attribute(10, nativeU32(9)), attribute(16, Buffer.of(2)), xdp];
    expect(parseLink(linkBody(1, 4, 0, ...rest))).toMatchObject({
      up: false,
      master: 9,
      operationalState: 2,
      xdp: 'generic',
      xdpProgram: 55,
    });
  });

  it('knows what has no MAC address, and refuses what is cut short', () => {
    expect(parseLink(linkBody(65534, 5, 1, attribute(3, text('wg0'))))).toMatchObject({ ethernet: false });
    expect(parseLink(linkBody(772, 1, 1, attribute(3, text('lo'))))).toMatchObject({ loopback: true });
    expect(parseLink(Buffer.alloc(15))).toBeUndefined();
    expect(parseLink(linkBody(1, 5, 1))).toBeUndefined();
  });

  it('reads the own address of a point-to-point interface, not its peer', () => {
    const body = Buffer.concat([Buffer.of(AF_INET, 32, 0, 0), nativeU32(3)]);
    const both = [attribute(1, four(10, 0, 0, 9)), attribute(2, four(10, 0, 0, 1))];
    expect(parseInterfaceAddress(Buffer.concat([body, ...both]))).toEqual({
      link: 3,
      address: '10.0.0.1',
      length: 32,
    });
    expect(parseInterfaceAddress(body)).toBeUndefined();
  });
});

describe('routes', () => {
  const to = attribute(1, four(10, 1, 0, 0));
  const by = attribute(4, nativeU32(3));
  const header = [AF_INET, 16, 0, 0, 254, 3, 0, 1];

  it('reads a gateway, and the table beyond 255', () => {
    const rest = [
      to,
      by,
      attribute(5, four(10, 0, 0, 2)),
      attribute(6, nativeU32(50)),
      attribute(15, nativeU32(1000)),
    ];
    expect(parseRoute(routeBody(header, 0, ...rest))).toEqual({
      family: 4,
      table: 1000,
      type: 'unicast',
      destination: '10.1.0.0',
      length: 16,
      metric: 50,
      link: 3,
      gateway: '10.0.0.2',
      multipath: false,
      selective: false,
      unusual: false,
      dead: false,
      doubtful: false,
    });
  });

  it('marks what is not one plain next hop', () => {
    const read = (from: readonly number[], flags: number, ...rest: readonly Buffer[]) =>
      parseRoute(routeBody(from, flags, ...rest));
    expect(read(header, 0, to, attribute(9, Buffer.alloc(8)))).toMatchObject({ multipath: true });
    expect(read(header, 0, to, attribute(30, nativeU32(1)))).toMatchObject({ multipath: true });
    expect(read(header, 0, to, by, attribute(30, nativeU32(1)))).toMatchObject({ multipath: false });
    expect(read([AF_INET, 16, 0, 8, 254, 3, 0, 1], 0, to, by)).toMatchObject({ selective: true });
    expect(read([AF_INET6, 0, 64, 0, 254, 3, 0, 1], 0, by)).toMatchObject({
      selective: true,
      destination: '::',
    });
    expect(read(header, 0, to, by, nest(22))).toMatchObject({ unusual: true });
    expect(read(header, 0, to, by, attribute(18, Buffer.alloc(18)))).toMatchObject({ unusual: true });
    expect(read(header, 1, to, by)).toMatchObject({ dead: true });
    expect(read(header, 16, to, by)).toMatchObject({ doubtful: true });
    expect(read([AF_INET, 16, 0, 0, 254, 3, 0, 7], 0, to)).toMatchObject({ type: 'other' });
  });

  it('passes over what was learnt for one destination, and other families, but reads it as an answer', () => {
    expect(parseRoute(routeBody(header, 0x200, to, by))).toBeUndefined();
    expect(parseWay(routeBody(header, 0x200, to, by))).toMatchObject({ link: 3 });
    expect(parseRoute(routeBody([28, 0, 0, 0, 0, 0, 0, 1], 0))).toBeUndefined();
    expect(parseRoute(Buffer.alloc(11))).toBeUndefined();
    expect(Buffer.concat(wayQuery('10.0.0.9' as never)).toString('hex')).toBe(
      '022000000000000000000000080001000a000009',
    );
  });
});

describe('rules', () => {
  const plain = [AF_INET, 0, 0, 0, 254, 0, 0, 1];
  const common = [
    attribute(15, nativeU32(254)),
    attribute(14, nativeU32(0xffffffff)),
    attribute(6, nativeU32(32766)),
    attribute(21, Buffer.of(2)),
  ];

  it('knows the unconditional ones', () => {
    expect(parseRule(routeBody(plain, 0, ...common))).toEqual({
      family: 4,
      priority: 32766,
      table: 254,
      unconditional: true,
    });
  });

  it.each([
    ['a source', [AF_INET, 0, 24, 0, 254, 0, 0, 1], 0, [attribute(2, four(10, 0, 0, 0))]],
    ['an interface', plain, 0, [attribute(3, text('eth0'))]],
    ['a mark', plain, 0, [attribute(10, nativeU32(1))]],
    ['a virtual routing domain', plain, 0, [attribute(19, Buffer.of(1))]],
    ['inversion', plain, 2, []],
    ['another action', [AF_INET, 0, 0, 0, 0, 0, 0, 6], 0, []],
    ['suppressed prefixes', plain, 0, [attribute(14, nativeU32(0))]],
  ])('knows that %s selects', (_, header, flags, more) => {
    expect(parseRule(routeBody(header, flags, ...common, ...more))).toMatchObject({ unconditional: false });
  });
});

describe('neighbours', () => {
  it.each([
    [0x02, 'reachable'],
    [0x04, 'stale'],
    [0x20, 'failed'],
    [0x80, 'fixed'],
    [0x40, 'fixed'],
    [0, 'none'],
  ])('reads state %i', (bits, state) => {
    const header = [Buffer.of(AF_INET, 0, 0, 0), nativeU32(3), nativeU16(bits), Buffer.of(0, 1)];
    const body = Buffer.concat([...header, attribute(1, four(10, 0, 0, 2))]);
    expect(parseNeighbour(body)).toEqual({ link: 3, address: '10.0.0.2', state });
  });

  it('passes over the entries of bridges', () => {
    expect(parseNeighbour(Buffer.concat([Buffer.of(7), Buffer.alloc(11)]))).toBeUndefined();
  });

  it('asks for a neighbour as if it were used', () => {
    expect(Buffer.concat(neighbourRequest(3, '10.0.0.2' as never, true)).toString('hex')).toBe(
      '020000000300000000000100080001000a000002',
    );
  });
});

describe('features', () => {
  it('finds the numbers of the family and its group', () => {
    const group = (name: string, id: number) =>
      nest(1, attribute(1, text(name)), attribute(2, nativeU32(id)));
    const groups = nest(7, group('page-pool', 4), group('mgmt', 5));
    const body = Buffer.concat([Buffer.alloc(4), attribute(1, nativeU16(30)), groups]);
    expect(parseFamily(body)).toEqual({ id: 30, group: 5 });
  });

  it('reads who takes redirected frames', () => {
    const bits = Buffer.alloc(8);
    bits[0] = 7;
    const body = Buffer.concat([Buffer.alloc(4), attribute(1, nativeU32(2)), attribute(3, bits)]);
    const family = { id: 30, group: 5 };
    const message = { type: 30, sequence: 1, interrupted: false, body };
    expect(parseFeatures(message, family)).toEqual([2, { sends: true, sendsLarge: false }]);
    expect(parseFeatures({ ...message, type: 3 }, family)).toBeUndefined();
  });
});
