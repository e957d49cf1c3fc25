// What the gateway of the packet tests is told, as an operator would declare it.
import { Map as PersistentMap } from 'immutable';
import { compile, emptyTable } from '../../../src/forwarding/compile.ts';
import { lookup } from '../../../src/forwarding/lookup.ts';
import type { ForwardingTable } from '../../../src/forwarding/table.ts';
import {
  assign,
  balancingRule,
  frontend,
  ip,
  loadBalancer,
  member,
  pool,
  singleRule,
} from '../../../src/forwarding/testing/declare.ts';
import type {
  InboundNatRule,
  LoadBalancer,
  LoadBalancingRule,
  Member,
} from '../../../src/resources/model.ts';
import type { End } from '../frame/packet.ts';

/** One mapping for both transports. */
function nat(
  name: string,
  frontend: string,
  frontendPort: number,
  to: string,
  backendPort: number,
): InboundNatRule {
  const target = { kind: 'address', address: ip(to) } as const;
  return singleRule(name, { frontend, protocol: 'all', frontendPort, backendPort, target });
}

function balance(name: string, over: Partial<LoadBalancingRule>): LoadBalancingRule {
  return balancingRule(name, { protocol: 'all', ...over });
}

export const front = '203.0.113.1';
export const front6 = '2001:db8:f::1';
/** Every port, but 600, leads to one machine. */
export const any = '203.0.113.2';
export const any6 = '2001:db8:f::2';
/** 701 and 702 lead to the same port of one machine. */
export const twin = '203.0.113.3';
export const twin6 = '2001:db8:f::3';
/** 80: five-tuple, 81: client, 82: client and protocol; 83: nobody there; 84: two-member pool with a mapping to one of them. */
export const balanced = '203.0.113.4';
export const balanced6 = '2001:db8:f::4';
/** Every port to the pool. */
export const balancedAny = '203.0.113.6';
/** 501 and 80 are masqueraded. */
export const masked = '203.0.113.5';
export const masked6 = '2001:db8:f::5';

/** 501 and 80 have idle timeouts of their own that nftables sees to; 81 has one that XDP keeps. */
export const idle = '203.0.113.7';
export const idle6 = '2001:db8:f::7';

/** The destination stays: 80 to 85 to the pool, 90 to 95 to one machine each, in a special place; + 100: encapsulated. */
export const floating = '203.0.113.8';
export const floating6 = '2001:db8:f::8';
/** Every port to the pool. */
export const floatingAny = '203.0.113.9';

/** All of them. */
export const frontends = {
  front,
  front6,
  any,
  any6,
  twin,
  twin6,
  balanced,
  balanced6,
  balancedAny,
  masked,
  masked6,
  idle,
  idle6,
  floating,
  floating6,
  floatingAny,
} as const;

/** Where the frontend ports of `front` lead that are about a special place. */
export const doors = {
  machine: 501,
  samePort: 516,
  vlan: 503,
  doubleVlan: 504,
  narrow: 505,
  unfit: 506,
  silent: 507,
  unreachable: 508,
  blackhole: 509,
  behindHop: 510,
  sameWire: 511,
  sameWireVlan: 512,
  gateway: 513,
  prohibited: 514,
  silentHop: 515,
  sameWireSilent: 517,
  memberToo: 520,
  wide: 521,
  apart: 522,
  apartSilent: 523,
} as const;

const fronts: readonly InboundNatRule[] = [
  nat('machine', 'fe', doors.machine, '10.1.0.1', 8080),
  nat('same-port', 'fe', doors.samePort, '10.1.0.3', doors.samePort),
  nat('vlan', 'fe', doors.vlan, '10.5.0.1', 8080),
  nat('double-vlan', 'fe', doors.doubleVlan, '10.6.0.1', 8080),
  nat('narrow', 'fe', doors.narrow, '10.7.0.1', 8080),
  nat('unfit', 'fe', doors.unfit, '10.8.0.1', 8080),
  nat('silent', 'fe', doors.silent, '10.1.0.77', 8080),
  nat('unreachable', 'fe', doors.unreachable, '10.30.0.1', 8080),
  nat('blackhole', 'fe', doors.blackhole, '10.31.0.1', 8080),
  nat('prohibited', 'fe', doors.prohibited, '10.32.0.1', 8080),
  nat('behind-hop', 'fe', doors.behindHop, '10.20.0.1', 8080),
  nat('same-wire', 'fe', doors.sameWire, '198.51.100.50', 8080),
  nat('same-wire-silent', 'fe', doors.sameWireSilent, '198.51.100.77', 8080),
  nat('same-wire-vlan', 'fe', doors.sameWireVlan, '198.51.109.50', 8080),
  nat('gateway', 'fe', doors.gateway, '10.1.0.254', 8080),
  nat('silent-hop', 'fe', doors.silentHop, '10.21.0.1', 8080),
  nat('member-too', 'fe', doors.memberToo, '10.1.1.1', 22),
  nat('wide', 'fe', doors.wide, '10.13.0.1', 8080),
  nat('apart', 'fe', doors.apart, '10.11.0.1', 8080),
  nat('apart-silent', 'fe', doors.apartSilent, '10.11.0.77', 8080),
  nat('apart-6', 'fe6', doors.apart, 'fd0b::1', 8080),
  nat('machine-6', 'fe6', doors.machine, 'fd01::1', 8080),
  nat('same-port-6', 'fe6', doors.samePort, 'fd01::3', doors.samePort),
  nat('vlan-6', 'fe6', doors.vlan, 'fd05::1', 8080),
  nat('narrow-6', 'fe6', doors.narrow, 'fd07::1', 8080),
  nat('silent-6', 'fe6', doors.silent, 'fd01::4d', 8080),
  nat('unreachable-6', 'fe6', doors.unreachable, 'fd30::1', 8080),
  nat('behind-hop-6', 'fe6', doors.behindHop, 'fd20::1', 8080),
  nat('same-wire-6', 'fe6', doors.sameWire, '2001:db8:1::32', 8080),
  nat('any', 'any', 0, '10.1.0.4', 0),
  nat('any-but', 'any', 600, '10.1.0.5', 8080),
  nat('any-6', 'any6', 0, 'fd01::4', 0),
  nat('any-but-6', 'any6', 600, 'fd01::5', 8080),
  nat('twin-1', 'twin', 701, '10.1.0.6', 8080),
  nat('twin-2', 'twin', 702, '10.1.0.6', 8080),
  nat('twin-6-1', 'twin6', 701, 'fd01::6', 8080),
  nat('twin-6-2', 'twin6', 702, 'fd01::6', 8080),
  // The same port of a member that the ring leads to as well.
  nat('both', 'fe', 584, '10.1.1.4', 8080),
];

export const web: readonly Member[] = [
  member('web-1', '10.1.1.1'),
  member('web-2', '10.1.1.2'),
  member('web-3', '10.1.1.3', { weight: 200 }),
];
const web6: readonly Member[] = [
  member('web-1', 'fd01::101'),
  member('web-2', 'fd01::102'),
  member('web-3', 'fd01::103'),
];

/** Ports of `floating` by where their one machine is; + 100: encapsulated. */
export const places = {
  silent: 90,
  narrow: 91,
  vlan: 92,
  unfit: 93,
  apart: 94,
  behindHop: 95,
  sameWire: 96,
} as const;

const placed: Readonly<Record<keyof typeof places, readonly string[]>> = {
  silent: ['10.1.0.77', 'fd01::4d'],
  narrow: ['10.7.0.1', 'fd07::1'],
  vlan: ['10.5.0.1', 'fd05::1'],
  unfit: ['10.8.0.1'],
  apart: ['10.11.0.1', 'fd0b::1'],
  behindHop: ['10.20.0.1', 'fd20::1'],
  sameWire: ['198.51.100.50', '2001:db8:1::32'],
};

const placedPools = Object.entries(placed).flatMap(([name, addresses]) =>
  addresses.map((address, index) => pool(`${name}-${index}`, member(`at-${name}`, address))),
);

function floatingRules(): readonly LoadBalancingRule[] {
  return (['neighbour', 'ipip'] as const).flatMap((how, offset) => {
    const flow = { sourceNat: 'none', floating: how } as const;
    const rule = (frontend: string, port: number, backendPool: string, over: Partial<LoadBalancingRule>) =>
      balance(`${frontend}-${how}-${port}`, {
        frontend,
        frontendPort: port + 100 * offset,
        backendPort: port + 100 * offset,
        backendPool,
        flow,
        ...over,
      });
    return [
      ...(['float', 'float6'] as const).flatMap((frontend, index) => [
        rule(frontend, 80, index === 0 ? 'web' : 'web6', {}),
        rule(frontend, 81, index === 0 ? 'web' : 'web6', { backendPort: 8081 }),
        rule(frontend, 82, index === 0 ? 'web' : 'web6', { sessionPersistence: 'client-ip' }),
        ...Object.entries(places)
          .filter(([name]) => placed[name as keyof typeof placed][index] !== undefined)
          .map(([name, port]) => rule(frontend, port, `${name}-${index}`, {})),
      ]),
    ];
  });
}

/** What a row can have otherwise. */
export interface Variation {
  readonly web?: readonly Member[];
  /** Without the rules of these names. */
  readonly without?: readonly string[];
  readonly with?: readonly InboundNatRule[];
}

export function declaration(variation: Variation = {}): LoadBalancer {
  const masquerade = { sourceNat: 'masquerade' } as const;
  const shortly = { sourceNat: 'none', idleTimeout: 10 } as const;
  return loadBalancer('packets', {
    frontends: [
      frontend('fe', front),
      frontend('fe6', front6),
      frontend('any', any),
      frontend('any6', any6),
      frontend('twin', twin),
      frontend('twin6', twin6),
      frontend('lb', balanced),
      frontend('lb6', balanced6),
      frontend('lbany', balancedAny),
      frontend('masked', masked),
      frontend('masked6', masked6),
      frontend('idle', idle),
      frontend('idle6', idle6),
      frontend('float', floating),
      frontend('float6', floating6),
      frontend('floatany', floatingAny),
    ],
    backendPools: [
      pool('web', ...(variation.web ?? web)),
      pool('web6', ...web6),
      pool('nobody', member('gone', '10.1.1.5', { adminState: 'drain' })),
      pool('pair', member('pair-4', '10.1.1.4')),
      pool('hidden', member('hidden-7', '10.1.0.7')),
      ...placedPools,
    ],
    inboundNatRules: [
      ...fronts.filter(({ name }) => variation.without?.includes(name) !== true),
      { ...nat('masked', 'masked', 501, '10.1.0.2', 9090), flow: masquerade },
      { ...nat('masked-6', 'masked6', 501, 'fd01::2', 9090), flow: masquerade },
      // To a port that a mapping without flows leads to as well.
      { ...nat('idle', 'idle', 501, '10.1.0.1', 8080), flow: shortly },
      { ...nat('idle-6', 'idle6', 501, 'fd01::1', 8080), flow: shortly },
      ...(variation.with ?? []),
    ],
    loadBalancingRules: [
      balance('five', { frontend: 'lb', frontendPort: 80, backendPool: 'web' }),
      balance('client', {
        frontend: 'lb',
        frontendPort: 81,
        backendPool: 'web',
        sessionPersistence: 'client-ip',
      }),
      balance('protocol', {
        frontend: 'lb',
        frontendPort: 82,
        backendPool: 'web',
        sessionPersistence: 'client-ip-protocol',
      }),
      balance('nobody', { frontend: 'lb', frontendPort: 83, backendPool: 'nobody' }),
      balance('pair', { frontend: 'lb', frontendPort: 84, backendPool: 'pair' }),
      balance('every', { frontend: 'lbany', frontendPort: 0, backendPort: 0, backendPool: 'web' }),
      balance('hidden', { frontend: 'masked', frontendPort: 80, backendPool: 'hidden', flow: masquerade }),
      balance('idle', { frontend: 'idle', protocol: 'tcp', backendPool: 'web', flow: shortly }),
      balance('kept', {
        frontend: 'idle',
        protocol: 'tcp',
        frontendPort: 81,
        backendPool: 'web',
        flow: { sourceNat: 'none', idleTimeout: 60 },
      }),
      ...floatingRules(),
      balance('floating-every', {
        frontend: 'floatany',
        frontendPort: 0,
        backendPort: 0,
        backendPool: 'web',
        flow: { sourceNat: 'none', floating: 'neighbour' },
      }),
      balance('five-6', { frontend: 'lb6', frontendPort: 80, backendPool: 'web6' }),
      balance('client-6', {
        frontend: 'lb6',
        frontendPort: 81,
        backendPool: 'web6',
        sessionPersistence: 'client-ip',
      }),
      balance('protocol-6', {
        frontend: 'lb6',
        frontendPort: 82,
        backendPool: 'web6',
        sessionPersistence: 'client-ip-protocol',
      }),
    ].filter(({ name }) => variation.without?.includes(name) !== true),
  });
}

/** The table after a declaration; the earlier one keeps what did not change. */
export function tableOf(variation: Variation = {}, before: ForwardingTable = emptyTable()): ForwardingTable {
  const declared = declaration(variation);
  const ports = PersistentMap([[declared.name, assign(declared)]]);
  return compile(before, new Map([[declared.name, declared]]), ports);
}

/** Where a new flow goes, by `src/forwarding`. */
export function chosen(table: ForwardingTable, transport: 'tcp' | 'udp', source: End, destination: End): End {
  const found = lookup(table, {
    transport,
    sourceAddress: ip(source[0]),
    sourcePort: source[1],
    destinationAddress: ip(destination[0]),
    destinationPort: destination[1],
  });
  if (found === undefined) throw new RangeError(`nothing is forwarded from ${destination.join(' port ')}`);
  return [found.address, found.port];
}
