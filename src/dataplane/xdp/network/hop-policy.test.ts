import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { IpAddress } from '../../../resources/address.ts';
import { shortened } from './hop-list.ts';
import { hopPolicy } from './hop-policy.ts';
import type { Network, Route, Rule } from './model.ts';
import { contains, type HopRoute, maskOf, prefixOf } from './prefix.ts';
import { nothing, route } from './testing/networks.ts';

const usual: readonly Rule[] = [
  { family: 4, priority: 0, table: 255, unconditional: true },
  { family: 4, priority: 32766, table: 254, unconditional: true },
  { family: 4, priority: 32767, table: 253, unconditional: true },
  { family: 6, priority: 0, table: 255, unconditional: true },
  { family: 6, priority: 32766, table: 254, unconditional: true },
];

function network(routes: readonly Route[], rules = usual): Network {
  return { ...nothing, rules, routes };
}

function texts(routes: readonly HopRoute[]): readonly string[] {
  return routes.map((one) => {
    const bits = one.bits
      .toString(16)
      .padStart(32, '0')
      .replace(/^0{20}ffff/, '4:');
    return `${bits}/${one.length} ${one.kind === 'ask' ? 'ask' : one.gateway}`;
  });
}

const local = [
  route('127.0.0.0/8', { table: 255, type: 'local', link: 1 }),
  route('127.0.0.1/32', { table: 255, type: 'local', link: 1 }),
  route('10.0.0.1/32', { table: 255, type: 'local' }),
  route('10.0.0.255/32', { table: 255, type: 'other' }),
];

describe('the policy for next hops', () => {
  it('lists the gateway of the default route, and before it what is not behind it', () => {
    const policy = hopPolicy(
      network([route('0.0.0.0/0', { via: '10.0.0.2' }), route('10.0.0.0/24'), ...local]),
    );
    expect(policy.remember).toBe(true);
    expect(texts(policy.routes)).toEqual([
      '4:7f000000/104 ask',
      '4:0a000000/120 ask',
      '4:00000000/96 10.0.0.2',
    ]);
  });

  it('needs no list without gateways', () => {
    expect(hopPolicy(network([route('10.0.0.0/24'), ...local]))).toEqual({ remember: true, routes: [] });
  });

  it('never lets IPv4 fall into the default route of IPv6', () => {
    const { routes } = hopPolicy(network([route('::/0', { via: 'fe80::1' }), route('fd00::/64'), ...local]));
    expect(texts(routes)).toEqual([
      '4:00000000/96 ask',
      `fd00${'0'.repeat(28)}/64 ask`,
      `${'0'.repeat(32)}/0 fe80::1`,
    ]);
  });

  it('keeps a local address before the shorter route that would take it', () => {
    const { routes } = hopPolicy(
      network([
        route('203.0.113.9/32', { table: 255, type: 'local' }),
        route('203.0.113.0/24', { via: '10.0.0.3' }),
        route('10.0.0.0/24'),
      ]),
    );
    expect(texts(routes)).toEqual(['4:cb007109/128 ask', '4:cb007100/120 10.0.0.3']);
  });

  it('takes the lowest metric, asks where two are equal, and passes dead routes over', () => {
    const of = (routes: readonly Route[]) => texts(hopPolicy(network(routes)).routes);
    const one = route('0.0.0.0/0', { via: '10.0.0.2', metric: 100 });
    const two = route('0.0.0.0/0', { via: '10.0.0.3', metric: 200 });
    expect(of([two, one])).toEqual(['4:00000000/96 10.0.0.2']);
    expect(of([one, { ...two, metric: 100 }])).toEqual([]);
    expect(of([{ ...one, dead: true }, two])).toEqual(['4:00000000/96 10.0.0.3']);
    expect(of([{ ...one, doubtful: true }, two])).toEqual([]);
    expect(of([{ ...one, unusual: true }])).toEqual([]);
  });

  it.each([
    [
      'a rule of its own',
      network([], [...usual, { family: 4, priority: 100, table: 7, unconditional: true }]),
    ],
    [
      'a rule that selects',
      network(
        [],
        usual.map((rule) => ({ ...rule, unconditional: rule.family === 6 })),
      ),
    ],
    [
      'a missing rule',
      network(
        [],
        usual.filter((rule) => rule.table !== 255 || rule.family === 6),
      ),
    ],
    ['several next hops', network([route('0.0.0.0/0', { multipath: true })])],
    ['type of service', network([route('0.0.0.0/0', { selective: true })])],
    ['too many routes', { ...network([]), routesCut: true }],
  ])('remembers nothing with %s', (_, given) => {
    const policy = hopPolicy(given);
    expect(policy).toMatchObject({ remember: false, routes: [] });
    expect(policy.reason).toBeTruthy();
  });

  it('does not mind routes of tables that nothing leads to, nor a kernel without rules', () => {
    const elsewhere = route('0.0.0.0/0', { table: 7, multipath: true });
    expect(hopPolicy(network([elsewhere]))).toMatchObject({ remember: true });
    expect(hopPolicy(network([], []))).toMatchObject({ remember: true });
  });
});

describe('a shortened list', () => {
  // Few bits, so that prefixes overlap often.
  const prefix = fc
    .tuple(fc.bigInt(0n, 255n), fc.integer({ min: 96, max: 128 }))
    .map(([value, length]) =>
      prefixOf(0xffff_0a00_0000n | ((value >> 4n) << 20n) | ((value & 15n) << 2n), length),
    );
  const line: fc.Arbitrary<HopRoute> = fc
    .tuple(prefix, fc.option(fc.constantFrom('10.0.0.1', '10.0.0.2')))
    .map(([one, gateway]) =>
      gateway === null
        ? { ...one, kind: 'ask' }
        : { ...one, kind: 'gateway', gateway: gateway as IpAddress, link: 2 },
    );
  const first = (list: readonly HopRoute[], address: bigint) =>
    list.find((one) => contains(one, { bits: address, length: 128 }));

  it('never names another gateway than the whole list, and stays short', () => {
    let named = 0;
    fc.assert(
      fc.property(fc.array(line, { maxLength: 60 }), fc.integer({ min: 3, max: 16 }), (routes, most) => {
        const list = shortened(routes, most) ?? [];
        expect(list.length).toBeLessThanOrEqual(most);
        for (const { bits, length } of routes) {
          for (const address of [bits, bits | (~maskOf(length) & 0xffffn), bits | 2n]) {
            const found = first(list, address);
            if (found === undefined || found.kind === 'ask') continue;
            named += 1;
            expect(first(routes, address)).toMatchObject({ kind: 'gateway', gateway: found.gateway });
          }
        }
      }),
      { numRuns: 2000 },
    );
    expect(named).toBeGreaterThan(1000);
  });

  it('widens what lies near together, and keeps the default gateway', () => {
    const many = Array.from(
      { length: 200 },
      (_, i): HopRoute => ({
        ...prefixOf(0xffff_cb00_7100n + BigInt(i) * 0x1003n, 128),
        kind: 'ask',
      }),
    );
    const list = shortened(
      [
        ...many,
        { ...prefixOf(0xffff_0000_0000n, 96), kind: 'gateway', gateway: '10.0.0.1' as IpAddress, link: 2 },
      ],
      16,
    );
    expect(list?.length).toBeGreaterThan(8);
    expect(list?.length).toBeLessThanOrEqual(16);
    for (const { bits } of many) expect(first(list ?? [], bits)?.kind).toBe('ask');
    expect(list?.at(-1)).toMatchObject({ kind: 'gateway', length: 96 });
  });

  it('makes do with thousands of addresses that lie together', () => {
    const many = Array.from(
      { length: 3000 },
      (_, i): HopRoute => ({ ...prefixOf(0xffff_cb00_7100n + BigInt(i), 128), kind: 'ask' }),
    );
    const gateway: HopRoute = {
      ...prefixOf(0xffff_0000_0000n, 96),
      kind: 'gateway',
      gateway: '10.0.0.1' as IpAddress,
      link: 2,
    };
    const list = shortened([...many, gateway], 16) ?? [];
    expect(list).toHaveLength(13);
    for (const { bits } of many) expect(first(list, bits)?.kind).toBe('ask');
  });

  it('keeps the default gateway of a host with thousands of routes', () => {
    const leading = (bits: bigint, length: number, last: number): HopRoute => ({
      ...prefixOf(bits, length),
      kind: 'gateway',
      gateway: `10.0.0.${last}` as IpAddress,
      link: 2,
    });
    const many = Array.from({ length: 5000 }, (_, i) =>
      leading(0xffff_0a64_0000n + BigInt(i * 4), 126, 1 + (i % 3)),
    );
    const list = shortened([...many, leading(0xffff_0000_0000n, 96, 9)], 16) ?? [];
    expect(list.at(-1)).toMatchObject({ gateway: '10.0.0.9' });
    for (const [i, { bits }] of many.entries()) {
      const found = first(list, bits);
      if (found?.kind === 'gateway') expect(found.gateway).toBe(`10.0.0.${1 + (i % 3)}`);
    }
  });

  it('gives up where nothing can be widened', () => {
    const apart = Array.from(
      { length: 40 },
      (_, i): HopRoute => ({
        ...prefixOf(0xffff_0000_0001n + (BigInt(i * 6) << 24n), 128),
        kind: 'ask',
      }),
    );
    const gateway: HopRoute = {
      ...prefixOf(0xffff_0000_0000n, 96),
      kind: 'gateway',
      gateway: '10.0.0.1' as IpAddress,
      link: 2,
    };
    expect(shortened([...apart, gateway], 16)).toBeUndefined();
    expect(
      shortened(
        Array.from({ length: 600 }, () => gateway),
        16,
      ),
    ).toBeUndefined();
  });
});
