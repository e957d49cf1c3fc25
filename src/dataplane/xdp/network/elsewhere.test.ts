import { describe, expect, it } from 'vitest';
import { type Elsewhere, elsewhereMax, elsewhereOf } from './elsewhere.ts';
import type { Route } from './model.ts';
import { type Prefix, prefixOf } from './prefix.ts';
import { link, nothing, route } from './testing/networks.ts';

const links = [
  link(1, 'lo', { loopback: true, ethernet: false }),
  link(2, 'eth0'),
  link(3, 'tun0', { ethernet: false, kind: 'ipip' }),
  link(4, 'br0', { kind: 'bridge' }),
  link(5, 'off0', { up: false }),
];
const served = new Set([2]);

function textOf({ bits, length }: Prefix): string {
  const hex = bits.toString(16).padStart(32, '0');
  const mapped = prefixOf(0xffff00000000n, 96).bits >> 32n;
  if (length < 96 || bits >> 32n !== mapped) return `${hex.replace(/0+$/, '')}/${length}`;
  return `${[24, 26, 28, 30].map((at) => Number.parseInt(hex.slice(at, at + 2), 16)).join('.')}/${length - 96}`;
}

function found(...routes: readonly Route[]): Omit<Elsewhere, 'prefixes'> & { readonly prefixes: string[] } {
  const { prefixes, ...rest } = elsewhereOf({ ...nothing, links, routes }, served);
  return { ...rest, prefixes: prefixes.map(textOf).toSorted() };
}

describe('what may lie behind interfaces where the program does not run', () => {
  it('is nothing where it runs on all, or no route leads there', () => {
    expect(elsewhereOf({ ...nothing, links: links.slice(0, 2) }, served)).toEqual({
      prefixes: [],
      all: false,
      names: [],
    });
    const routes = [
      route('0.0.0.0/0', { via: '198.51.100.1' }),
      route('10.9.0.1/32', { link: 3, table: 255, type: 'local' }),
      route('fe80::/64', { link: 3 }),
      route('ff00::/8', { link: 4, table: 255, type: 'other' }),
      route('10.8.0.0/16', { link: 5, dead: true }),
    ];
    expect(found(...routes)).toEqual({ prefixes: [], all: false, names: [] });
  });

  it('is what their routes say, whatever the table; what lies within another is left out', () => {
    expect(
      found(
        route('0.0.0.0/0', { via: '198.51.100.1' }),
        route('10.9.0.0/16', { link: 3 }),
        route('10.9.7.0/24', { link: 4 }),
        route('172.17.0.0/16', { link: 4, table: 100 }),
        route('fd09::/64', { link: 3 }),
      ),
    ).toEqual({ prefixes: ['10.9.0.0/16', '172.17.0.0/16', 'fd09/64'], all: false, names: ['tun0', 'br0'] });
  });

  it('does not take a default route of one family for the other', () => {
    expect(found(route('::/0', { link: 3 }), route('10.9.0.0/16', { link: 3 })).prefixes).toEqual([
      '/0',
      '10.9.0.0/16',
    ]);
  });

  it('is what only the FIB can tell: several next hops, encapsulation', () => {
    const { link: _, ...several } = route('10.7.0.0/16', { multipath: true });
    expect(found(several, route('10.6.0.0/16', { unusual: true })).prefixes).toEqual([
      '10.6.0.0/16',
      '10.7.0.0/16',
    ]);
  });

  it('is widened until it is short enough', () => {
    const many = Array.from({ length: 100 }, (_, i) => route(`10.9.${i}.0/24`, { link: 3 }));
    const far = ['172.16.0.0/24', '192.168.1.0/24', 'fd01::/64'].map((to) => route(to, { link: 3 }));
    const { prefixes } = found(...many, ...far);
    expect(prefixes).toHaveLength(elsewhereMax);
    expect(prefixes).toEqual(['10.9.0.0/17', '172.16.0.0/24', '192.168.1.0/24', 'fd01/64']);
  });

  it('is anything where there are too many routes to tell', () => {
    const many = Array.from({ length: 200 }, (_, i) => route(`10.9.${i}.0/24`, { link: 3 }));
    expect(found(...many)).toEqual({ prefixes: [], all: true, names: ['tun0'] });
    expect(elsewhereOf({ ...nothing, links, routesCut: true }, served).all).toBe(true);
  });
});
