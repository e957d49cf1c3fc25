// What rules say about idle flows and drain periods, as it comes into the table and into changes.
import { describe, expect, it } from 'vitest';
import type { FlowOptions, LoadBalancer } from '../resources/model.ts';
import { compile, emptyTable } from './compile.ts';
import { diff } from './diff.ts';
import type { Drain } from './draining.ts';
import { nothingProbed } from './health.ts';
import { idleOf } from './idle.ts';
import type { ForwardingTable } from './table.ts';
import { assign, balancingRule, loadBalancer, member, pool, poolRule } from './testing/declare.ts';

const silent: FlowOptions = { sourceNat: 'none' };

function next(before: ForwardingTable, after: LoadBalancer, drains = new Map<string, Drain>()) {
  const ports = assign(after);
  return compile(
    before,
    new Map([[after.name, after]]),
    { get: () => ports } as never,
    nothingProbed,
    (_, name) => (name === 'pool' && drains.size > 0 ? drains : undefined),
  );
}

const machines = [member('a', '10.0.0.1'), member('b', '10.0.0.2', { adminState: 'drain' })];

describe('an idle timeout', () => {
  it('is the usual one with a reset alone, and resets are of TCP only', () => {
    expect(idleOf(silent, 'tcp')).toBeUndefined();
    expect(idleOf({ ...silent, tcpReset: true }, 'tcp')).toEqual({ seconds: 240, reset: true });
    expect(idleOf({ ...silent, tcpReset: true }, 'udp')).toBeUndefined();
    const both = { ...silent, tcpReset: true, idleTimeout: 60 } as const;
    expect(idleOf(both, 'tcp')).toEqual({ seconds: 60, reset: true });
    expect(idleOf(both, 'udp')).toEqual({ seconds: 60, reset: false });
  });

  it('that comes, goes or changes replaces entries and ends nothing; the same leaves the table as it is', () => {
    const declared = (flow: FlowOptions) =>
      loadBalancer('web', {
        backendPools: [pool('pool', ...machines)],
        inboundNatRules: [poolRule('ssh', { flow })],
        loadBalancingRules: [balancingRule('http', { flow, protocol: 'all' })],
      });
    const before = next(emptyTable(), declared(silent));
    const after = next(before, declared({ ...silent, idleTimeout: 60 }));
    const change = diff(before, after);
    expect(change.replaced).toHaveLength(4);
    expect(change.replaced.map(({ after: { target } }) => target.idle?.seconds)).toEqual([60, 60, 60, 60]);
    expect([change.added, change.removed, change.rings, change.ending]).toEqual([[], [], [], []]);
    const again = next(after, declared({ ...silent, idleTimeout: 60 }));
    expect(again.loadBalancers.get('web')?.rules.get('lb/http')).toBe(
      after.loadBalancers.get('web')?.rules.get('lb/http'),
    );
    expect(diff(again, next(again, declared(silent))).replaced).toHaveLength(4);
  });
});

describe('a drain period', () => {
  const declared = (...periods: readonly (number | undefined)[]) =>
    loadBalancer('web', {
      backendPools: [pool('pool', ...machines)],
      loadBalancingRules: periods.map((drainPeriod, index) =>
        balancingRule(`r${index}`, {
          frontendPort: 80 + index,
          ...(drainPeriod !== undefined && { drainPeriod }),
        }),
      ),
    });

  it('parts rings where rules differ in it, and only there', () => {
    const table = next(emptyTable(), declared(1_000, 1_000, 2_000, undefined));
    expect([...(table.loadBalancers.get('web')?.rings.keys() ?? [])]).toEqual([
      'pool/~1000',
      'pool/~2000',
      'pool',
    ]);
  });

  it('that a rule gets or loses moves no flow', () => {
    const before = next(emptyTable(), declared(undefined));
    const with1 = next(before, declared(1_000));
    const with2 = next(with1, declared(2_000));
    for (const change of [
      diff(before, with1),
      diff(with1, with2),
      diff(with2, next(with2, declared(undefined))),
    ])
      expect(change.ending).toEqual([]);
  });

  it('that has passed ends the flows of that member through those rules, with an RST, and no others', () => {
    const drains = new Map([['b', { since: 0, ended: [] as readonly number[] }]]);
    const before = next(emptyTable(), declared(1_000, 2_000), drains);
    const after = next(before, declared(1_000, 2_000), new Map([['b', { since: 0, ended: [1_000] }]]));
    const change = diff(before, after);
    const rings = before.loadBalancers.get('web')?.rings;
    expect(change.rings).toHaveLength(1);
    expect(change.ending).toEqual([
      {
        kind: 'ring-member',
        ring: rings?.get('pool/~1000')?.number,
        endpoints: [{ address: '203.0.113.1', transport: 'tcp', port: 80 }],
        backend: '10.0.0.2',
        udpOnly: false,
        reset: true,
      },
    ]);
    expect(after.loadBalancers.get('web')?.rings.get('pool/~2000')).toBe(rings?.get('pool/~2000'));
  });

  it('of one of several rules makes a ring whose flows are told by the same group, although the pool has several', () => {
    const older = emptyTable([
      ['web/pool', 192],
      ['web/pool/~1000', 320],
    ]);
    const before = next(older, declared(undefined, 1_000, 1_000));
    const after = next(before, declared(undefined, 1_000, 2_000));
    expect(after.ringNumbers.get('web/pool/~2000')).toBe(321);
    const ofOther = next(before, declared(undefined, 2_000, 1_000));
    expect(diff(before, ofOther).ending).toEqual([]);
    const fromFirst = next(
      next(older, declared(undefined, undefined, 1_000)),
      declared(undefined, 2_000, 1_000),
    );
    expect(fromFirst.ringNumbers.get('web/pool/~2000')).toBe(193);
  });

  it('of one of several rules of a pool moves no flow, and ends those that would have ended with it', () => {
    const ended = new Map([['b', { since: 0, ended: [1_000] }]]);
    const one = { address: '203.0.113.1', transport: 'tcp', port: 80 };
    const both = next(emptyTable(), declared(undefined, undefined), ended);
    const apart = next(both, declared(1_000, undefined), ended);
    expect(diff(both, apart).replaced).toHaveLength(1);
    expect(diff(both, apart).ending).toEqual([
      {
        kind: 'ring-member',
        ring: apart.loadBalancers.get('web')?.rings.get('pool/~1000')?.number,
        from: both.loadBalancers.get('web')?.rings.get('pool')?.number,
        endpoints: [one],
        backend: '10.0.0.2',
        udpOnly: false,
        reset: true,
      },
    ]);
    const again = next(apart, declared(undefined, undefined), ended);
    expect(diff(apart, again).replaced).toHaveLength(1);
    expect(diff(apart, again).ending).toEqual([]);
    const fresh = next(emptyTable(), declared(1_000, undefined));
    expect(diff(next(emptyTable(), declared(undefined, undefined)), fresh).ending).toEqual([]);
  });
});
