import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Ring } from '../../forwarding/table.ts';
import type { Atom, Element, Operation } from './element.ts';
import { changeOperations, entryElements, ringElements, ringOperations, tableElements } from './encode.ts';
import { address, balanced, endpoint, nat, outbound, ring, table, unchanged } from './testing/tables.ts';

const text = ({ set, key, value }: Element): string =>
  `${set} ${key.join('.')}${value === undefined ? '' : `=${'jump' in value ? value.jump : value.map(atomText).join('.')}`}`;

function atomText(atom: Atom): string {
  return typeof atom === 'object' ? `${atom.first}-${atom.last}` : String(atom);
}

/** Carries out operations as the kernel would: adding what is there with another value, or deleting what is not, fails. */
function carryOut(state: Map<string, string>, operations: Iterable<Operation>): void {
  for (const { verb, element } of operations) {
    const key = `${element.set} ${element.key.join('.')}`;
    if (verb === 'delete') {
      if (!state.delete(key)) throw new Error(`ENOENT: ${key}`);
    } else {
      if (state.has(key)) throw new Error(`EEXIST: ${key}`);
      state.set(key, text(element));
    }
  }
}

function stateOf(elements: Iterable<Element>): Map<string, string> {
  const state = new Map<string, string>();
  carryOut(
    state,
    [...elements].map((element) => ({ verb: 'add', element })),
  );
  return state;
}

describe('entryElements', () => {
  it('carries out NAT, with masquerading, on one port and on every port', () => {
    expect(entryElements(nat(endpoint('203.0.113.1', 'udp', 500), '10.0.0.1', 80, true)).map(text)).toEqual([
      'nat_live4 203.0.113.1.17.500.10.0.0.1.80',
      'nat4 203.0.113.1.17.500=10.0.0.1.80',
      'masq4 203.0.113.1.17.500',
    ]);
    expect(entryElements(nat(endpoint('2001:db8::1', 'tcp', 0), 'fd00::1', 0)).map(text)).toEqual([
      'nat_any_live6 2001:db8::1.6.fd00::1',
      'nat_any6 2001:db8::1.6=fd00::1',
    ]);
  });

  it('carries out balancing by class, affinity and ring', () => {
    const at = endpoint('203.0.113.1', 'tcp', 80);
    expect(entryElements(balanced(at, 71, 8080, 'client-ip')).map(text)).toEqual([
      'front_live4 64.203.0.113.1.6.80.8080=71',
      'port4 203.0.113.1.6.80=8080',
      `front4 203.0.113.1.6.80=${0x55000047}`,
      'idle4 203.0.113.1.6.80=idle_tcp_240',
    ]);
    const every = endpoint('203.0.113.1', 'tcp', 0);
    expect(entryElements(balanced(every, 71, 0, 'client-ip-protocol', true)).map(text)).toEqual([
      'front_any_live4 64.203.0.113.1.6=71',
      `front_any4 203.0.113.1.6=${0x5a000047}`,
      'masq_any4 203.0.113.1.6',
      'idle_any4 203.0.113.1.6=idle_tcp_240',
    ]);
  });

  it('keeps the port where the target has none', () => {
    expect(entryElements(nat(endpoint('203.0.113.1', 'tcp', 500), '10.0.0.1', 0)).map(text)).toContain(
      'nat4 203.0.113.1.6.500=10.0.0.1.500',
    );
  });

  it('refuses to lead every port to one', () => {
    expect(() => entryElements(nat(endpoint('203.0.113.1', 'tcp', 0), '10.0.0.1', 80))).toThrow(RangeError);
  });
});

describe('ringOperations', () => {
  const rings: fc.Arbitrary<Ring> = fc
    .record({
      members: fc.uniqueArray(fc.integer({ min: 1, max: 6 }), { minLength: 1 }),
      down: fc.array(fc.integer({ min: 1, max: 6 })),
      keep: fc.boolean(),
      size: fc.constantFrom(1021 as const, 16381 as const),
      v6: fc.boolean(),
    })
    .map(({ members, down, keep, size, v6 }) => {
      const name = (number: number): string => (v6 ? `fd00::${number}` : `10.0.0.${number}`);
      const states = Object.fromEntries(
        down.map((number) => [name(number), { eligible: false, keepsUdp: keep }]),
      );
      return ring(7, members.map(name), size, states);
    });

  it('leads from any ring to any other, and touches nothing that stays', () => {
    fc.assert(
      fc.property(rings, rings, (before, after) => {
        const state = stateOf(ringElements(before));
        const wanted = stateOf(ringElements(after));
        const staying = new Set(state.values()).intersection(new Set(wanted.values()));
        const operations = [...ringOperations({ before, after })];
        carryOut(state, operations);
        expect([...state.values()].toSorted()).toEqual([...wanted.values()].toSorted());
        const touched = operations.filter(({ element }) => staying.has(text(element)));
        if (before.size === after.size) expect(touched).toEqual([]);
      }),
      { numRuns: 12 },
    );
  });

  it('does nothing for a ring that only has other weights', () => {
    const before = ring(7, ['10.0.0.1', '10.0.0.2']);
    expect([
      ...ringOperations({
        before,
        after: ring(7, ['10.0.0.1', '10.0.0.2'], 1021, { '10.0.0.1': { weight: 5 } }),
      }),
    ]).toEqual([]);
  });
});

describe('changeOperations', () => {
  it('leads from one table to the next, where keys go and come in one change', () => {
    const a = nat(endpoint('203.0.113.1', 'tcp', 1), '10.0.0.1', 80);
    const b = nat(endpoint('203.0.113.1', 'tcp', 2), '10.0.0.1', 80);
    const moved = nat(a.endpoint, '10.0.0.2', 80, true);
    const state = stateOf(tableElements(table([a, b])));
    carryOut(
      state,
      changeOperations({
        ...unchanged,
        removed: [b],
        added: [nat(b.endpoint, '10.0.0.2', 81)],
        replaced: [{ before: a, after: moved }],
        backendsRemoved: [address('10.0.0.1')],
        backendsAdded: [address('10.0.0.2')],
      }),
    );
    const wanted = stateOf(tableElements(table([moved, nat(b.endpoint, '10.0.0.2', 81)])));
    expect(new Map([...state].toSorted())).toEqual(new Map([...wanted].toSorted()));
  });
});

describe('outbound entries', () => {
  const entry = outbound('10.1.0.1', 'udp', '203.0.113.1', 40_000, 40_007);

  it('are four elements, of which the mark tells the first port', () => {
    const [made] = [stateOf(tableElements(table([], [], [entry])))];
    expect([...made.values()]).toEqual([
      'outbound_live4 10.1.0.1.17.203.0.113.1.1543543872',
      'outbound_source4 10.1.0.1.17=203.0.113.1.40000-40007',
      'outbound_mark4 10.1.0.1.17=1543543872',
      'outbound_machines4 10.1.0.1.17',
    ]);
    expect(0x5c000000 + 40_000).toBe(1543543872);
  });

  it('change from one table to another', () => {
    const other = outbound('10.1.0.2', 'udp', '203.0.113.1', 40_008, 40_015);
    const moved = { ...entry, first: 50_000, last: 50_007 };
    const state = stateOf(tableElements(table([], [], [entry])));
    carryOut(
      state,
      changeOperations({ ...unchanged, outbound: [{ before: entry, after: moved }, { after: other }] }),
    );
    expect(new Set(state.values())).toEqual(
      new Set(stateOf(tableElements(table([], [], [moved, other]))).values()),
    );
  });
});
