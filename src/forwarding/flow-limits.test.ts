import { describe, expect, it } from 'vitest';
import { emptyPorts } from '../ports/assign.ts';
import type { ClientRange } from '../resources/client-range.ts';
import type { FlowLimits, LoadBalancer } from '../resources/model.ts';
import { compile, emptyTable } from './compile.ts';
import { diff } from './diff.ts';
import type { ForwardingTable } from './table.ts';
import { assign, balancingRule, ip, loadBalancer, members, pool, singleRule } from './testing/declare.ts';

const ranges = (...texts: readonly string[]): readonly ClientRange[] => texts as readonly ClientRange[];
const everybody = ranges();

function compiled(previous: ForwardingTable, declared: LoadBalancer): ForwardingTable {
  const ports = emptyPorts.set(declared.name, assign(declared));
  return compile(previous, new Map([[declared.name, declared]]), ports);
}

interface Wish {
  readonly nat?: FlowLimits;
  readonly lb?: FlowLimits;
  readonly name?: string;
}

function declared({ nat, lb, name = 'web' }: Wish): LoadBalancer {
  return loadBalancer(name, {
    backendPools: [pool('pool', ...members(2))],
    inboundNatRules: [
      singleRule('one', {
        target: { kind: 'address', address: ip('10.0.0.1') },
        protocol: 'all',
        ...(nat && { limits: nat }),
      }),
    ],
    loadBalancingRules: [balancingRule('http', lb && { limits: lb })],
  });
}

const web = { allowedClients: ranges('10.0.0.0/8') } satisfies FlowLimits;
const limitsOf = (table: ForwardingTable) => [...(table.loadBalancers.get('web')?.limits ?? [])];
const targetsOf = (table: ForwardingTable) =>
  [...(table.loadBalancers.get('web')?.rules.values() ?? [])].flatMap(({ entries }) =>
    Array.from(entries.values(), ({ target }) => target.limit),
  );

describe('compile', () => {
  it('gives each rule with limits one number for all its endpoints, and others none', () => {
    const table = compiled(emptyTable(), declared({ nat: web }));
    expect(limitsOf(table)).toEqual([['nat/one', { number: 1, family: 4, allowed: ['10.0.0.0/8'] }]]);
    expect(targetsOf(table)).toEqual([1, 1, undefined]);
  });

  it('keeps numbers, and the objects of what is as it was; a number that was given up is free for the change after', () => {
    const first = compiled(emptyTable(), declared({ nat: web, lb: { ...web, concurrentFlows: 5 } }));
    const second = compiled(
      first,
      declared({ nat: { ...web }, lb: { allowedClients: everybody, concurrentFlows: 6 } }),
    );
    expect(second.loadBalancers.get('web')?.limits.get('nat/one')).toBe(
      first.loadBalancers.get('web')?.limits.get('nat/one'),
    );
    expect(second.loadBalancers.get('web')?.rules).toBe(first.loadBalancers.get('web')?.rules);
    expect(second.limitNumbers.toObject()).toEqual({ 'web/nat/one': 1, 'web/lb/http': 2 });
    const third = compiled(second, declared({ lb: web }));
    expect(third.limitNumbers.toObject()).toEqual({ 'web/lb/http': 2 });
    const fourth = compiled(third, declared({ nat: web, lb: web }));
    expect(fourth.limitNumbers.toObject()).toEqual({ 'web/nat/one': 1, 'web/lb/http': 2 });
    const gone = compile(fourth, new Map([['web', undefined]]), emptyPorts);
    expect(gone.limitNumbers.size).toBe(0);
  });

  it('begins with the numbers that were kept over a restart', () => {
    const table = compiled(emptyTable([], [['web/nat/one', 7]]), declared({ nat: web, lb: web }));
    expect(table.limitNumbers.toObject()).toEqual({ 'web/nat/one': 7, 'web/lb/http': 1 });
  });

  it('leaves out ranges that lie within others', () => {
    const allowedClients = ranges('10.1.0.0/16', '10.0.0.0/8', '10.0.0.0/8', '192.0.2.0/24');
    const [limit] = limitsOf(compiled(emptyTable(), declared({ lb: { allowedClients } })));
    expect(limit?.[1].allowed).toEqual(['10.0.0.0/8', '192.0.2.0/24']);
  });
});

describe('diff', () => {
  const change = (before: Wish, now: Wish) => {
    const first = compiled(emptyTable(), declared(before));
    const { limits, ending, replaced, added, removed } = diff(first, compiled(first, declared(now)));
    return { limits, ending, entries: [added.length, replaced.length, removed.length] };
  };

  it('is one limit where only that changes, whatever the number of endpoints', () => {
    const { limits, ending, entries } = change(
      { nat: { ...web, concurrentFlows: 5 } },
      { nat: { ...web, concurrentFlows: 6 } },
    );
    expect(limits).toHaveLength(1);
    expect([limits[0]?.before?.concurrentFlows, limits[0]?.after?.concurrentFlows]).toEqual([5, 6]);
    expect(ending).toEqual([]);
    expect(entries).toEqual([0, 0, 0]);
  });

  it('ends the flows of clients that are no longer allowed, and of nobody else', () => {
    const others = { allowedClients: ranges('10.1.0.0/16') };
    const { limits, ending } = change({ nat: web, lb: web }, { nat: others, lb: web });
    expect(limits).toHaveLength(1);
    expect(ending).toMatchObject([{ kind: 'clients', allowed: ['10.1.0.0/16'] }]);
    const [end] = ending;
    const entries = end?.kind === 'clients' ? [...end.entries.keys()] : [];
    expect(entries.sort()).toEqual(['203.0.113.1/tcp/2222', '203.0.113.1/udp/2222']);
    expect(change({}, { lb: web }).ending).toMatchObject([{ kind: 'clients' }]);
    expect(change({ lb: web }, {}).ending).toEqual([]);
    expect(change({ lb: web }, { lb: { allowedClients: everybody, concurrentFlows: 1 } }).ending).toEqual([]);
  });

  it('ends them also where the rule has another name by then, or stands in another load balancer', () => {
    const renamed = (table: ForwardingTable, from: LoadBalancer, to: LoadBalancer) => {
      const ports = emptyPorts.set(from.name, assign(from)).set(to.name, assign(to));
      const gone = from.name === to.name ? [] : ([[from.name, undefined]] as const);
      return diff(table, compile(table, new Map([...gone, [to.name, to]]), ports)).ending;
    };
    const first = declared({ lb: web });
    const before = compiled(emptyTable(), first);
    const narrower = { allowedClients: ranges('10.1.0.0/16') };
    const other = { ...first, loadBalancingRules: [balancingRule('other', { limits: narrower })] };
    const clients = [{ kind: 'clients', allowed: ['10.1.0.0/16'] }];
    expect(renamed(before, first, other)).toMatchObject(clients);
    expect(renamed(before, first, { ...other, name: 'other' })).toEqual(
      expect.arrayContaining(clients.map((each) => expect.objectContaining(each))),
    );
  });

  it('ends nothing of a rule that is new, and removes the limits of one that goes', () => {
    const table = compiled(emptyTable(), declared({ nat: web }));
    expect(diff(emptyTable(), table).ending).toEqual([]);
    const gone = diff(table, compile(table, new Map([['web', undefined]]), emptyPorts));
    expect(gone.limits).toMatchObject([{ before: { number: 1 } }]);
    expect(gone.limits[0]?.after).toBeUndefined();
  });
});
