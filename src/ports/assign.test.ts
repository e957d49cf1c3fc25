// The allocator's rules, one by one.
import { describe, expect, test } from 'vitest';
import { applyChangeSet, emptyConfiguration } from '../resources/configuration.ts';
import type { ChangeSetDraft, LoadBalancerDraft, PoolTargetsDraft } from '../resources/draft.ts';
import type { Configuration } from '../resources/model.ts';
import { Refusal } from '../resources/refusal.ts';
import { type AssignOptions, assignPorts, emptyPorts, noPorts } from './assign.ts';
import type { Ports } from './assignment.ts';
import { mappingsOf } from './mappings.ts';
import { usageOf } from './usage.ts';

interface State {
  readonly configuration: Configuration;
  readonly ports: Ports;
}
const nothing: State = { configuration: emptyConfiguration, ports: emptyPorts };

function apply(state: State, draft: ChangeSetDraft, options: Partial<AssignOptions> = {}) {
  const change = applyChangeSet(state.configuration, draft);
  const { ports, changes } = assignPorts(change, state.ports, { allowRemap: false, now: 1, ...options });
  return { configuration: change.after, ports, changes };
}

function web(
  ids: readonly string[],
  pool: PoolTargetsDraft = {},
  change: Partial<LoadBalancerDraft> = {},
): ChangeSetDraft {
  const members = ids.map((id) => ({ id, address: `10.0.0.${id.charCodeAt(0)}` }));
  const range = { backendPool: 'vms', frontendPortRangeStart: 500, ...pool };
  const size = pool.maximumMachines === undefined ? { frontendPortRangeEnd: 509 } : {};
  return {
    putLoadBalancers: [
      {
        name: 'web',
        frontends: [{ name: 'front', address: '203.0.113.1' }],
        backendPools: [{ name: 'vms', members }],
        inboundNatRules: [
          { name: 'ssh', frontend: 'front', protocol: 1, backendPort: 22, pool: { ...size, ...range } },
        ],
        ...change,
      },
    ],
  };
}

function lines({ configuration, ports }: State): readonly string[] {
  const loadBalancer = configuration.get('web');
  if (loadBalancer === undefined) return [];
  return [...mappingsOf(loadBalancer, ports.get('web') ?? noPorts)].map(
    (at) => `${at.rule} ${at.frontendPort} ${at.member} ${at.backendAddress}:${at.backendPort}`,
  );
}

function refusal(run: () => unknown): Refusal {
  try {
    run();
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
  throw new Error('was not refused');
}

test('gives the lowest free ports in the order of the request', () => {
  expect(lines(apply(nothing, web(['c', 'a', 'b'])))).toEqual([
    'ssh 500 c 10.0.0.99:22',
    'ssh 501 a 10.0.0.97:22',
    'ssh 502 b 10.0.0.98:22',
  ]);
});

test('keeps a port through a new address, and says where it leads now', () => {
  const first = apply(nothing, web(['a', 'b']));
  const second = apply(
    first,
    {
      putMembers: [
        { loadBalancer: 'web', backendPool: 'vms', members: [{ id: 'a', address: '10.0.0.200' }] },
      ],
    },
    { now: 9 },
  );
  expect(lines(second)).toEqual(['ssh 500 a 10.0.0.200:22', 'ssh 501 b 10.0.0.98:22']);
  expect(second.changes.remapped.map(({ after }) => [after.backendAddress, after.since])).toEqual([
    ['10.0.0.200', 1],
  ]);
  expect(second.changes.assigned).toEqual([]);
  expect(second.ports.get('web')?.get('ssh')).toBe(first.ports.get('web')?.get('ssh'));
});

test('gives a member that returns its former port, until another has it', () => {
  const gone = apply(apply(nothing, web(['a', 'b', 'c'])), web(['c']));
  expect(lines(apply(gone, web(['c', 'b'])))).toEqual(['ssh 501 b 10.0.0.98:22', 'ssh 502 c 10.0.0.99:22']);
  const taken = apply(gone, web(['c', 'x', 'y']));
  expect(lines(apply(taken, web(['c', 'x', 'y', 'b'])))[3]).toBe('ssh 503 b 10.0.0.98:22');
});

test('gives each machine as many ports as the rule says, aligned', () => {
  const state = apply(nothing, web(['a', 'b'], { maximumMachines: 3, portsPerMember: 2 }));
  expect(lines(state)).toEqual([
    'ssh 500 a 10.0.0.97:22',
    'ssh 501 a 10.0.0.97:23',
    'ssh 502 b 10.0.0.98:22',
    'ssh 503 b 10.0.0.98:23',
  ]);
  const loadBalancer = state.configuration.get('web');
  if (loadBalancer === undefined) throw new Error('no load balancer');
  expect([...usageOf(loadBalancer, state.ports.get('web') ?? noPorts)]).toEqual([
    {
      loadBalancer: 'web',
      rule: 'ssh',
      backendPool: 'vms',
      rangeStart: 500,
      rangeEnd: 505,
      portsPerMember: 2,
      capacity: 3,
      used: 2,
      free: 1,
      nextPort: 504,
    },
  ]);
});

test('enlarges in place without moving a thing', () => {
  const first = apply(nothing, web(['a', 'b'], { maximumMachines: 2 }));
  const second = apply(first, web(['a', 'b', 'c'], { maximumMachines: 3 }));
  expect(second.changes.assigned.map(({ member }) => member)).toEqual(['c']);
  expect([second.changes.remapped, second.changes.released]).toEqual([[], []]);
});

describe('a range that is too small', () => {
  test('refuses all, with the figures', () => {
    const { violations } = refusal(() => apply(nothing, web(['a', 'b', 'c'], { maximumMachines: 2 })));
    expect(violations).toMatchObject([
      { reason: 'PORT_RANGE_EXHAUSTED', metadata: { needed: '3', available: '2' } },
    ]);
  });

  test('lists every machine that it no longer holds, and moves those alone where it may', () => {
    const first = apply(nothing, web(['a', 'b', 'c'], { maximumMachines: 5 }));
    const moved = web(['a', 'b', 'c'], { frontendPortRangeStart: 502, maximumMachines: 4 });
    const { violations } = refusal(() => apply(first, moved));
    expect(violations.map(({ metadata }) => metadata?.member)).toEqual(['a', 'b']);
    const second = apply(first, moved, { allowRemap: true, now: 7 });
    expect(lines(second).map((line) => line.slice(0, 9))).toEqual(['ssh 502 c', 'ssh 503 a', 'ssh 504 b']);
    expect(
      second.changes.remapped.map(({ before, after }) => [before.frontendPort, after.frontendPort]),
    ).toEqual([
      [500, 503],
      [501, 504],
    ]);
  });
});

test('hears pins first, whatever the order', () => {
  const draft = web(['a']);
  const members = [
    { id: 'a', address: '10.0.0.1' },
    { id: 'b', address: '10.0.0.2', pins: { ssh: 500 } },
  ];
  const [loadBalancer] = draft.putLoadBalancers ?? [];
  const state = apply(nothing, {
    putLoadBalancers: [{ ...loadBalancer, backendPools: [{ name: 'vms', members }] }],
  });
  expect(lines(state)).toEqual(['ssh 500 b 10.0.0.2:22', 'ssh 501 a 10.0.0.1:22']);
});

test('keeps the time of a single target until target or port change', () => {
  const single = (frontendPort: number, address: string) =>
    web(
      [],
      {},
      {
        inboundNatRules: [
          { name: 'one', frontend: 'front', protocol: 3, backendPort: 22, single: { frontendPort, address } },
        ],
      },
    );
  const first = apply(nothing, single(22, '10.0.0.5'));
  expect(first.changes.assigned).toMatchObject([{ rule: 'one', protocol: 'all', member: '', since: 1 }]);
  const same = apply(first, single(22, '10.0.0.5'), { now: 2 });
  expect(same.ports).toBe(first.ports);
  const port = apply(same, single(23, '10.0.0.5'), { now: 3 });
  expect(port.changes.remapped).toMatchObject([
    { before: { frontendPort: 22 }, after: { frontendPort: 23, since: 3 } },
  ]);
  const target = apply(port, single(23, '10.0.0.6'), { now: 4 });
  expect(target.changes).toMatchObject({ assigned: [{ since: 4 }], released: [{ since: 3 }], remapped: [] });
});

test('frees all when the rule or the load balancer goes', () => {
  const first = apply(nothing, web(['a', 'b']));
  expect(apply(first, web(['a', 'b'], {}, { inboundNatRules: [] })).changes.released).toHaveLength(2);
  const last = apply(first, { deleteLoadBalancers: ['web'] });
  expect(last.changes.released).toHaveLength(2);
  expect(last.ports.size).toBe(0);
});
