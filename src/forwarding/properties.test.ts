import fc from 'fast-check';
import { Map as PersistentMap } from 'immutable';
import { expect, test } from 'vitest';
import { FakeDataPlane } from '../dataplane/fake.ts';
import type { LoadBalancerPorts } from '../ports/assignment.ts';
import type { IpAddress, RuleProtocol } from '../resources/address.ts';
import type { InboundNatRule, LoadBalancer, LoadBalancingRule, Member } from '../resources/model.ts';
import { isEmpty } from './change.ts';
import { compile, emptyTable } from './compile.ts';
import { diff } from './diff.ts';
import type { FiveTuple } from './hash.ts';
import { type HealthOf, type PoolHealth, unknownHealth } from './health.ts';
import { lookup } from './lookup.ts';
import type { ForwardingTable } from './table.ts';
import { assign, balancingRule, frontend, ip, member, poolRule, singleRule } from './testing/declare.ts';

// Small worlds, so that things collide: two load balancers, three addresses each, two pools, few ports.

const adminState = fc.constantFrom('none', 'up', 'down', 'drain' as const);
const protocol: fc.Arbitrary<RuleProtocol> = fc.constantFrom('tcp', 'udp', 'all');
const flow = fc.record({ sourceNat: fc.constantFrom('none', 'masquerade' as const) });
const poolName = fc.constantFrom('pool', 'other');
const whenUnhealthy = fc.constantFrom('forward', 'refuse' as const);

const anyMember: fc.Arbitrary<Member> = fc
  .record({ host: fc.nat(11), weight: fc.constantFrom(1, 100, 1000), adminState, moved: fc.boolean() })
  .map(({ host, weight, adminState, moved }) =>
    member(`vm-${host}`, `10.0.${Number(moved)}.${host}`, { weight, adminState }),
  );

const anyMembers = fc.uniqueArray(anyMember, { selector: ({ id }) => id, maxLength: 12 });

const anyNatRule: fc.Arbitrary<InboundNatRule> = fc.oneof(
  fc
    .record({
      name: fc.constantFrom('ssh', 'rdp'),
      protocol,
      backendPool: poolName,
      flow,
      shift: fc.nat(3),
      whenUnhealthy,
    })
    .map(({ name, shift, ...rest }) =>
      poolRule(name, {
        ...rest,
        rangeStart: (name === 'ssh' ? 100 : 200) + shift,
        rangeEnd: name === 'ssh' ? 150 : 250,
        portsPerMember: name === 'ssh' ? 2 : 1,
      }),
    ),
  fc
    .record({
      protocol,
      flow,
      host: fc.nat(3),
      kind: fc.constantFrom('none', 'address', 'member'),
      whenUnhealthy,
    })
    .map(({ host, kind, ...rest }) =>
      singleRule('single', {
        ...rest,
        frontendPort: 2222,
        target:
          kind === 'address'
            ? { kind, address: ip(`10.0.2.${host}`) }
            : kind === 'member'
              ? { kind, backendPool: 'pool', id: `vm-${host}` }
              : { kind: 'none' },
      }),
    ),
);

const anyBalancingRule: fc.Arbitrary<LoadBalancingRule> = fc
  .record({
    name: fc.constantFrom('http', 'dns', 'rest'),
    protocol,
    backendPool: poolName,
    flow,
    sessionPersistence: fc.constantFrom('none', 'client-ip', 'client-ip-protocol' as const),
    backendPort: fc.constantFrom(80, 8080),
    probe: fc.constantFrom('', '', 'tcp', 'http'),
    noHealthyBackends: fc.constantFrom('down', 'up' as const),
  })
  .map(({ name, protocol, backendPort, ...rest }) =>
    name === 'rest'
      ? balancingRule(name, { ...rest, protocol: 'all', frontendPort: 0, backendPort: 0 })
      : balancingRule(name, { ...rest, protocol, backendPort, frontendPort: name === 'http' ? 80 : 53 }),
  );

const anyLoadBalancer: fc.Arbitrary<LoadBalancer> = fc
  .record({
    name: fc.constantFrom('left', 'right'),
    last: fc.constantFrom(1, 2),
    ownership: fc.constantFrom('local', 'external' as const),
    pool: anyMembers,
    other: anyMembers,
    inboundNatRules: fc.uniqueArray(anyNatRule, { selector: ({ name }) => name }),
    loadBalancingRules: fc.uniqueArray(anyBalancingRule, { selector: ({ name }) => name }),
  })
  .map(({ name, last, ownership, pool, other, inboundNatRules, loadBalancingRules }) => ({
    name,
    frontends: [frontend('fe', `203.0.113.${last + (name === 'left' ? 0 : 10)}`, ownership)],
    backendPools: [
      { name: 'pool', members: pool },
      { name: 'other', members: other },
    ],
    probes: [],
    outboundRules: [],
    inboundNatRules: inboundNatRules.filter(
      (rule) =>
        rule.kind === 'pool' ||
        rule.target.kind !== 'member' ||
        pool.some(({ id }) => rule.target.kind === 'member' && id === rule.target.id),
    ),
    loadBalancingRules,
  }));

const addresses = ['0', '1'].flatMap((net) =>
  Array.from({ length: 12 }, (_, host) => ip(`10.0.${net}.${host}`)),
);

/** What a probe finds of a pool from now on. */
const verdicts = fc.record({
  loadBalancer: fc.constantFrom('left', 'right'),
  pool: poolName,
  probe: fc.constantFrom('tcp', 'http'),
  up: fc.subarray(addresses),
  down: fc.subarray(addresses),
});

/**
 * Each step puts load balancers (as they are, or with one pool of theirs changed), and drops some; and machines fare
 * otherwise.
 */
const step = fc.record({
  put: fc.uniqueArray(anyLoadBalancer, { selector: ({ name }) => name, maxLength: 2 }),
  drop: fc.subarray(['left', 'right']),
  grow: fc.option(fc.record({ name: fc.constantFrom('left', 'right'), members: anyMembers })),
  found: fc.array(verdicts, { maxLength: 3 }),
});

const packet: fc.Arbitrary<FiveTuple> = fc.record({
  sourceAddress: fc.nat(255).map((last) => ip(`198.51.100.${last}`)),
  sourcePort: fc.nat(65535),
  destinationAddress: fc.constantFrom<IpAddress>(
    ...['1', '2', '11', '12'].map((last) => ip(`203.0.113.${last}`)),
  ),
  destinationPort: fc.oneof(
    fc.constantFrom(80, 53, 2222, 9),
    fc.integer({ min: 100, max: 112 }),
    fc.integer({ min: 200, max: 212 }),
  ),
  transport: fc.constantFrom('tcp', 'udp' as const),
});

function changesOf(
  { put, drop, grow }: typeof step extends fc.Arbitrary<infer T> ? T : never,
  configuration: ReadonlyMap<string, LoadBalancer>,
): ReadonlyMap<string, LoadBalancer | undefined> {
  const changed = new Map<string, LoadBalancer | undefined>(drop.map((name) => [name, undefined]));
  for (const each of put) changed.set(each.name, each);
  const present = grow === null ? undefined : configuration.get(grow.name);
  if (grow !== null && present !== undefined) {
    const before = present.backendPools[1]?.members ?? [];
    const newcomers = grow.members.filter(({ id }) => !before.some((other) => other.id === id));
    const other = { name: 'other', members: [...before.slice(1), ...newcomers] };
    changed.set(grow.name, { ...present, backendPools: present.backendPools.with(1, other) });
  }
  return changed;
}

function withoutSources(table: ForwardingTable): unknown {
  const loadBalancers = table.loadBalancers
    .toArray()
    .map(([name, { rules, rings, localAddresses }]) => [
      name,
      Array.from(rules, ([rule, { entries }]) => [rule, new Map(entries)]),
      rings,
      localAddresses,
    ]);
  return [
    new Map(loadBalancers as [string, unknown][]),
    new Map(table.backends),
    new Map(table.localAddresses),
    new Map(table.ringNumbers),
  ];
}

test('any sequence of changes leads to what a fresh start leads to, in the table and in the plane', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 1, maxLength: 8 }),
      fc.array(packet, { minLength: 20, maxLength: 20 }),
      async (steps, packets) => {
        const plane = new FakeDataPlane();
        await plane.open();
        let table = emptyTable();
        let ports = PersistentMap<string, LoadBalancerPorts>();
        const configuration = new Map<string, LoadBalancer>();
        const health = new Map<string, PoolHealth>();
        const healthOf: HealthOf = (...names) => health.get(names.join('/')) ?? unknownHealth;
        await plane.load(table, { instance: '0', revision: 0 });
        for (const [index, each] of steps.entries()) {
          const changed = new Map(changesOf(each, configuration));
          for (const { loadBalancer, pool, probe, up, down } of each.found) {
            const well = new Set(up);
            health.set(`${loadBalancer}/${pool}/${probe}`, {
              up: well,
              down: new Set(down).difference(well),
            });
            const present = configuration.get(loadBalancer);
            if (present !== undefined && !changed.has(loadBalancer)) changed.set(loadBalancer, present);
          }
          for (const [name, declared] of changed) {
            if (declared === undefined) {
              configuration.delete(name);
              ports = ports.delete(name);
            } else {
              configuration.set(name, declared);
              ports = ports.set(name, assign(declared, ports.get(name)));
            }
          }
          const next = compile(table, changed, ports, healthOf);
          await plane.commit(diff(table, next), { instance: '0', revision: index + 1 });
          table = next;
          const fresh = compile(emptyTable(table.ringNumbers), configuration, ports, healthOf);
          expect(withoutSources(table)).toEqual(withoutSources(fresh));
          const other = new FakeDataPlane();
          await other.open();
          await other.load(fresh, { instance: '0', revision: index + 1 });
          expect(plane.kernel.entries).toEqual(other.kernel.entries);
          expect(plane.kernel.rings).toEqual(other.kernel.rings);
          expect(plane.kernel.backends).toEqual(other.kernel.backends);
          expect(plane.kernel.localAddresses).toEqual(other.kernel.localAddresses);
          for (const flow of packets) {
            const expected = lookup(fresh, flow);
            expect(lookup(table, flow)).toEqual(expected);
            expect(plane.lookup(flow)).toEqual(expected);
          }
          expect(isEmpty(diff(table, compile(table, configuration, ports, healthOf)))).toBe(true);
        }
      },
    ),
    { numRuns: 40 },
  );
}, 60_000);
