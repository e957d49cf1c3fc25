import { Map as PersistentMap } from 'immutable';
import { describe, expect, test } from 'vitest';
import type { LoadBalancerPorts } from '../ports/assignment.ts';
import type { LoadBalancer } from '../resources/model.ts';
import { type Change, type FlowSelector, isEmpty } from './change.ts';
import { compile, emptyTable } from './compile.ts';
import { diff, wholeTable } from './diff.ts';
import type { Endpoint, Entry, ForwardingTable, OutboundEntry } from './table.ts';
import {
  assign,
  balancingRule,
  ip,
  loadBalancer,
  member,
  members,
  pool,
  poolRule,
  singleRule,
} from './testing/declare.ts';

function tableOf(before: ForwardingTable, ...declared: readonly LoadBalancer[]): ForwardingTable {
  const ports = PersistentMap<string, LoadBalancerPorts>(declared.map((each) => [each.name, assign(each)]));
  return compile(before, new Map(declared.map((each) => [each.name, each])), ports);
}

function change(before: readonly LoadBalancer[], after: readonly LoadBalancer[]): Change {
  const first = tableOf(emptyTable(), ...before);
  return diff(first, tableOf(first, ...after));
}

function line({ endpoint, target }: Entry): string {
  const to =
    target.kind === 'nat' ? `${target.address}:${target.port}` : `ring ${target.ring}:${target.port}`;
  return `${nameOf(endpoint)} -> ${to}`;
}

function nameOf({ address, transport, port }: Endpoint): string {
  return `${address} ${transport} ${port}`;
}

/** The change as lines of text. */
function summary(of: Change): readonly string[] {
  return [
    ...of.added.map((entry) => `add ${line(entry)}`),
    ...of.removed.map((entry) => `remove ${line(entry)}`),
    ...of.replaced.map(({ before, after }) => `replace ${line(before)} by ${line(after)}`),
    ...of.rings.map(({ before, after }) => `ring ${before?.number ?? '-'} -> ${after?.number ?? '-'}`),
    ...of.backendsAdded.map((address) => `backend + ${address}`),
    ...of.backendsRemoved.map((address) => `backend - ${address}`),
    ...of.localAddressesAdded.map((address) => `local + ${address}`),
    ...of.localAddressesRemoved.map((address) => `local - ${address}`),
    ...of.limits.map(({ before, after }) => `limit ${before?.number ?? '-'} -> ${after?.number ?? '-'}`),
    ...(of.outbound ?? []).map(
      ({ before, after }) => `outbound ${outboundText(before)} -> ${outboundText(after)}`,
    ),
    ...of.ending.map(endText),
  ];
}

function outboundText(entry: OutboundEntry | undefined): string {
  if (entry === undefined) return '-';
  return `${entry.machine}/${entry.transport} ${entry.address}:${entry.first}-${entry.last}`;
}

function endText(end: FlowSelector): string {
  switch (end.kind) {
    case 'ring-member':
      return `end ring ${end.ring} of ${end.backend}${end.udpOnly ? ' udp' : ''}`;
    case 'outbound':
      return `end ${end.entry.machine}/${end.entry.transport} on ${end.first}-${end.last}`;
    case 'nat':
      return `end ${nameOf(end.endpoint)} of ${end.backend}`;
    case 'endpoint':
      return `end ${nameOf(end.endpoint)}`;
    case 'clients': {
      const endpoints = Array.from(end.entries.values(), ({ endpoint }) => nameOf(endpoint));
      return `end ${endpoints.join(', ')} but of ${end.allowed.join(', ')}`;
    }
  }
}

const one = singleRule('one', { target: { kind: 'address', address: ip('10.0.0.1') } });
const two = singleRule('two', { target: { kind: 'address', address: ip('10.0.0.2') } });

describe('diff', () => {
  test('of one table is empty', () => {
    const web = loadBalancer('web', {
      backendPools: [pool('pool', ...members(3))],
      inboundNatRules: [poolRule('ssh'), one],
      loadBalancingRules: [balancingRule('http')],
    });
    const table = tableOf(emptyTable(), web);
    expect(isEmpty(diff(table, table))).toBe(true);
    expect(isEmpty(diff(table, tableOf(table, web)))).toBe(true);
    expect(isEmpty(diff(table, tableOf(emptyTable(), web)))).toBe(false);
    expect(diff(table, tableOf(emptyTable(), web)).ending).toEqual([]);
  });

  test('from nothing is the whole table, and back', () => {
    const web = loadBalancer('web', {
      backendPools: [pool('pool', ...members(1))],
      inboundNatRules: [one],
      loadBalancingRules: [balancingRule('http')],
    });
    const table = tableOf(emptyTable(), web);
    expect(summary(wholeTable(table))).toEqual([
      'add 203.0.113.1 tcp 2222 -> 10.0.0.1:22',
      'add 203.0.113.1 tcp 80 -> ring 64:8080',
      'ring - -> 64',
      'backend + 10.0.0.1',
      'backend + 10.0.0.0',
      'local + 203.0.113.1',
    ]);
    expect(summary(diff(table, emptyTable()))).toEqual([
      'remove 203.0.113.1 tcp 2222 -> 10.0.0.1:22',
      'remove 203.0.113.1 tcp 80 -> ring 64:8080',
      'ring 64 -> -',
      'backend - 10.0.0.1',
      'backend - 10.0.0.0',
      'local - 203.0.113.1',
      'end 203.0.113.1 tcp 2222 of 10.0.0.1',
      'end 203.0.113.1 tcp 80',
    ]);
  });

  test('sees a machine come and go', () => {
    const web = (count: number) =>
      loadBalancer('web', {
        backendPools: [pool('pool', ...members(count))],
        inboundNatRules: [poolRule('ssh')],
      });
    expect(summary(change([web(2)], [web(3)]))).toEqual([
      'add 203.0.113.1 tcp 502 -> 10.0.0.2:22',
      'backend + 10.0.0.2',
    ]);
    expect(summary(change([web(3)], [web(2)]))).toEqual([
      'remove 203.0.113.1 tcp 502 -> 10.0.0.2:22',
      'backend - 10.0.0.2',
      'end 203.0.113.1 tcp 502 of 10.0.0.2',
    ]);
  });

  test('replaces what moves between rules and load balancers', () => {
    const left = loadBalancer('left', { inboundNatRules: [one] });
    const right = loadBalancer('right', { inboundNatRules: [] });
    const moves = [
      'replace 203.0.113.1 tcp 2222 -> 10.0.0.1:22 by 203.0.113.1 tcp 2222 -> 10.0.0.2:22',
      'backend + 10.0.0.2',
      'backend - 10.0.0.1',
      'end 203.0.113.1 tcp 2222 of 10.0.0.1',
    ];
    expect(summary(change([left], [{ ...left, inboundNatRules: [two] }]))).toEqual(moves);
    const other = { ...right, inboundNatRules: [two] };
    expect(summary(change([left, right], [{ ...left, inboundNatRules: [] }, other]))).toEqual(moves);
    const same = { ...right, inboundNatRules: [{ ...one, name: 'renamed' }] };
    expect(isEmpty(change([left, right], [{ ...left, inboundNatRules: [] }, same]))).toBe(true);
  });

  test('ends no flow where only new ones are treated otherwise', () => {
    const web = loadBalancer('web', {
      backendPools: [pool('pool', ...members(1))],
      inboundNatRules: [one],
      loadBalancingRules: [balancingRule('http')],
    });
    const flow = { sourceNat: 'masquerade' } as const;
    const after = change(
      [web],
      [
        {
          ...web,
          inboundNatRules: [{ ...one, flow }],
          loadBalancingRules: [balancingRule('http', { flow, sessionPersistence: 'client-ip' })],
        },
      ],
    );
    expect(after.replaced).toHaveLength(2);
    expect(after.ending).toEqual([]);
  });

  test('ends flows where an entry changes its kind, ring or port', () => {
    const web = loadBalancer('web', {
      backendPools: [pool('pool', ...members(1)), pool('other', ...members(1))],
      inboundNatRules: [one],
      loadBalancingRules: [balancingRule('http'), balancingRule('alt', { frontendPort: 81 })],
    });
    const after = change(
      [web],
      [
        {
          ...web,
          inboundNatRules: [singleRule('one', { ...two, frontendPort: 80 })],
          loadBalancingRules: [
            balancingRule('http', { frontendPort: 2222, backendPool: 'other' }),
            balancingRule('alt', { frontendPort: 81, backendPort: 8081, backendPool: 'other' }),
          ],
        },
      ],
    );
    expect(summary(after).toSorted()).toEqual([
      'backend + 10.0.0.2',
      'backend - 10.0.0.1',
      'end 203.0.113.1 tcp 2222 of 10.0.0.1',
      'end 203.0.113.1 tcp 80',
      'end 203.0.113.1 tcp 81',
      'replace 203.0.113.1 tcp 2222 -> 10.0.0.1:22 by 203.0.113.1 tcp 2222 -> ring 128:8080',
      'replace 203.0.113.1 tcp 80 -> ring 64:8080 by 203.0.113.1 tcp 80 -> 10.0.0.2:22',
      'replace 203.0.113.1 tcp 81 -> ring 64:8080 by 203.0.113.1 tcp 81 -> ring 128:8081',
      'ring - -> 128',
      'ring 64 -> -',
    ]);
  });

  test('ends the flows of members that a ring loses', () => {
    const web = (...list: readonly ReturnType<typeof member>[]) =>
      loadBalancer('web', {
        backendPools: [pool('pool', ...list)],
        loadBalancingRules: [balancingRule('http')],
      });
    const before = ['a', 'b', 'c', 'd', 'e'].map((id, index) => member(id, `10.0.0.${index}`));
    const after = [
      member('b', '10.0.1.1'),
      member('c', '10.0.0.2', { adminState: 'down' }),
      member('d', '10.0.0.3', { adminState: 'drain' }),
      member('e', '10.0.0.4', { weight: 7 }),
    ];
    expect(summary(change([web(...before)], [web(...after)]))).toEqual([
      'ring 64 -> 64',
      'backend + 10.0.1.1',
      'backend - 10.0.0.0',
      'backend - 10.0.0.1',
      'end ring 64 of 10.0.0.0',
      'end ring 64 of 10.0.0.1',
      'end ring 64 of 10.0.0.2 udp',
    ]);
  });

  test('ends all flows of a number that goes to another pool', () => {
    const web = (name: string) =>
      loadBalancer('web', {
        backendPools: [pool(name, ...members(2))],
        loadBalancingRules: [balancingRule('http', { backendPool: name })],
      });
    const after = diff(tableOf(emptyTable(), web('left')), tableOf(emptyTable(), web('right')));
    expect(summary(after)).toEqual(['ring 64 -> 64', 'end ring 64 of 10.0.0.0', 'end ring 64 of 10.0.0.1']);
  });
});
