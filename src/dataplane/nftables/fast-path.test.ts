import { describe, expect, it } from 'vitest';
import type { Change } from '../../forwarding/change.ts';
import type { RingMember } from '../../forwarding/table.ts';
import { cutsFlows } from './encode.ts';
import { fastDevices } from './fast-path.ts';
import { endpoint, nat, ring, unchanged } from './testing/tables.ts';

it('the fast path is on what packets are routed from', () => {
  const link = (name: string, more = {}) => ({ name, ethernet: true, enslaved: false, kind: '', ...more });
  const links = [
    link('lo', { ethernet: false }),
    link('eth1'),
    link('eth0'),
    link('eth0.10', { kind: 'vlan' }),
    link('br0', { kind: 'bridge' }),
    link('tap7', { kind: 'tun', enslaved: true }),
    link('bond0', { kind: 'bond' }),
    link('eth2', { enslaved: true }),
    link('tunl0', { kind: 'ipip', ethernet: false }),
    link('dummy0', { kind: 'dummy' }),
  ];
  expect(fastDevices(links)).toEqual(['bond0', 'br0', 'eth0', 'eth0.10', 'eth1']);
});

describe('a change makes the fast path pause', () => {
  const entry = nat(endpoint('203.0.113.1', 'tcp', 501), '10.0.0.1', 80);
  const after = nat(entry.endpoint, '10.0.0.2', 80);
  const both = ring(7, ['10.0.0.1', '10.0.0.2']);
  const first = (state: Partial<RingMember>) =>
    ring(7, ['10.0.0.1', '10.0.0.2'], 1021, { '10.0.0.1': state });
  const down = first({ eligible: false });
  const cases: readonly (readonly [string, Partial<Change>, boolean])[] = [
    ['when a mapping goes', { removed: [entry] }, true],
    ['when a mapping leads elsewhere', { replaced: [{ before: entry, after }] }, true],
    ['when a member goes', { rings: [{ before: both, after: ring(7, ['10.0.0.2']) }] }, true],
    ['when a member’s UDP ends', { rings: [{ before: both, after: down }] }, true],
    ['when a ring goes', { rings: [{ before: both }] }, true],
    ['not when a mapping comes', { added: [entry] }, false],
    ['not when a ring comes', { rings: [{ after: both }] }, false],
    ['not when a member comes', { rings: [{ before: ring(7, ['10.0.0.1']), after: both }] }, false],
    ['not when a member comes back', { rings: [{ before: down, after: both }] }, false],
    ['not when a ring grows', { rings: [{ before: both, after: { ...both, size: 16381 } }] }, false],
  ];
  it.each(cases)('%s', (_, change, expected) => {
    expect(cutsFlows({ ...unchanged, ...change })).toBe(expected);
  });
});
