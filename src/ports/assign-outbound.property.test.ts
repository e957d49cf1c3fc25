// Whatever comes and goes: no two have one port, no inbound rule's port is given out, and who stays keeps what he has.
import fc from 'fast-check';
import { test } from 'vitest';
import { transportsOf } from '../resources/address.ts';
import { inboundPorts } from '../resources/claims.ts';
import { applyChangeSet, emptyConfiguration } from '../resources/configuration.ts';
import type { LoadBalancerDraft } from '../resources/draft.ts';
import type { Configuration } from '../resources/model.ts';
import { Refusal } from '../resources/refusal.ts';
import { assignOutbound } from './assign-outbound.ts';
import { noOutbound, type Outbound, sizeOf } from './outbound.ts';
import { sourcesOf } from './outbound-owners.ts';

const anyMembers = fc.uniqueArray(fc.integer({ min: 0, max: 9 }), { maxLength: 8 });
const anyPort = fc.constantFrom(80, 40_000, 50_000, 60_001, 65_000, 65_534);

const anyLoadBalancer = fc
  .record({
    name: fc.constantFrom('left', 'right'),
    first: anyMembers,
    second: anyMembers,
    inbound: fc.uniqueArray(anyPort, { maxLength: 2 }),
    whole: fc.integer({ min: 0, max: 20 }),
    rules: fc.array(
      fc.record({
        pool: fc.constantFrom('first', 'second'),
        frontends: fc.constantFrom(['a'], ['b'], ['a', 'b'], ['b', 'a']),
        protocol: fc.constantFrom(1, 2, 3),
        ports: fc.constantFrom(0, 8, 1_000, 8_000, 24_000, 64_000),
      }),
      { maxLength: 2 },
    ),
  })
  .map(({ name, first, second, inbound, whole, rules }): LoadBalancerDraft => {
    const left = name === 'left';
    const member = (at: number, pool: number) => ({
      id: `vm${at}`,
      address: `10.${left ? 0 : 1}.${pool}.${at}`,
    });
    return {
      name,
      frontends: [
        { name: 'a', address: '203.0.113.1' },
        { name: 'b', address: '203.0.113.2' },
      ],
      backendPools: [
        { name: 'first', members: first.map((at) => member(at, 0)) },
        { name: 'second', members: second.map((at) => member(at, 1)) },
      ],
      inboundNatRules: [
        ...inbound.map((port, index) => ({
          name: `in${index}`,
          frontend: left ? 'a' : 'b',
          protocol: 1,
          backendPort: 22,
          single: { frontendPort: port },
        })),
        ...(whole === 0 ? [{ name: 'all', frontend: left ? 'a' : 'b', protocol: 3, single: {} }] : []),
      ],
      outboundRules: rules.map(({ pool, frontends, protocol, ports }, index) => ({
        name: `out${index}`,
        frontends,
        protocol,
        backendPool: pool,
        portsPerMember: ports,
      })),
    };
  });

const anyHistory = fc.array(fc.record({ put: anyLoadBalancer, allowRemap: fc.boolean() }), {
  minLength: 1,
  maxLength: 8,
});

function expectSound(configuration: Configuration, outbound: Outbound): void {
  /** 1 for each port that somebody has. */
  const taken = new Map<string, Uint8Array>();
  const portsOf = (address: string, transport: string): Uint8Array => {
    const key = `${address}/${transport}`;
    const ports = taken.get(key) ?? new Uint8Array(65_536);
    taken.set(key, ports);
    return ports;
  };
  for (const loadBalancer of configuration.values()) {
    for (const { address, transport, from, to } of inboundPorts(loadBalancer)) {
      portsOf(address, transport).fill(1, from, from === 0 ? 65_536 : to + 1);
    }
  }
  const owners = new Set<string>();
  for (const loadBalancer of configuration.values()) {
    const addressOf = new Map(loadBalancer.frontends.map(({ name, address }) => [name, address]));
    for (const key of sourcesOf(loadBalancer).keys()) owners.add(key);
    for (const rule of loadBalancer.outboundRules) {
      const members = loadBalancer.backendPools.find(({ name }) => name === rule.backendPool)?.members ?? [];
      const blocks = outbound.ports.get(loadBalancer.name)?.get(rule.name)?.blocks ?? new Map();
      if ([...blocks.keys()].join() !== members.map(({ id }) => id).join())
        throw new Error('not all members');
      for (const { address, first, last } of blocks.values()) {
        const size = sizeOf({ first, last });
        if (size % 8 !== 0 || first % 8 !== 0 || first < 1_536 || last > 65_535) throw new Error('no block');
        if (rule.portsPerMember !== 0 && size !== rule.portsPerMember) throw new Error('another size');
        if (!rule.frontends.some((name) => addressOf.get(name) === address))
          throw new Error('another address');
        for (const transport of transportsOf(rule.protocol)) {
          const ports = portsOf(address, transport);
          if (ports.subarray(first, last + 1).includes(1)) throw new Error(`${rule.name}: ports of another`);
          ports.fill(1, first, last + 1);
        }
      }
    }
  }
  if (owners.size !== outbound.owners.size || ![...owners].every((key) => outbound.owners.has(key))) {
    throw new Error('other owners');
  }
}

/** Members of rules that are the same in what matters for their blocks. */
function expectStable(before: [Configuration, Outbound], after: [Configuration, Outbound]): void {
  for (const [name, rules] of before[1].ports) {
    const [was, is] = [before[0].get(name), after[0].get(name)];
    for (const [rule, { blocks }] of rules) {
      const old = was?.outboundRules.find((each) => each.name === rule);
      const now = is?.outboundRules.find((each) => each.name === rule);
      if (old === undefined || now === undefined || old.backendPool !== now.backendPool) continue;
      const addresses = now.frontends.map(
        (each) => is?.frontends.find(({ name: of }) => of === each)?.address,
      );
      const pool = is?.backendPools.find((each) => each.name === now.backendPool)?.members ?? [];
      for (const block of blocks.values()) {
        if (!pool.some(({ id }) => id === block.member) || !addresses.includes(block.address)) continue;
        const kept = after[1].ports.get(name)?.get(rule)?.blocks.get(block.member);
        // Without leave nobody loses a port; one may get more of them.
        if (kept?.address !== block.address || kept.first !== block.first || kept.last < block.last) {
          throw new Error(`${name}/${rule}/${block.member} has moved`);
        }
      }
    }
  }
}

test('blocks are disjoint, of the right size, free of inbound ports, and stay', () => {
  fc.assert(
    fc.property(anyHistory, (history) => {
      let [configuration, outbound] = [emptyConfiguration, noOutbound];
      for (const { put, allowRemap } of history) {
        try {
          const change = applyChangeSet(configuration, { putLoadBalancers: [put] });
          const given = assignOutbound(change, outbound, { allowRemap, now: 1 });
          expectSound(change.after, given.outbound);
          if (!allowRemap) expectStable([configuration, outbound], [change.after, given.outbound]);
          [configuration, outbound] = [change.after, given.outbound];
        } catch (error) {
          if (!(error instanceof Refusal)) throw error;
        }
      }
    }),
    { numRuns: 150 },
  );
});

test('where members may be moved, what would fit into empty addresses is never refused for a single rule', () => {
  const sizes = fc.constantFrom(8, 1_000, 8_000, 16_000, 32_000);
  const steps = fc.array(fc.tuple(fc.integer({ min: 0, max: 9 }), sizes), { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(steps, (list) => {
      let [configuration, outbound] = [emptyConfiguration, noOutbound];
      for (const [count, ports] of list) {
        const members = Array.from({ length: count }, (_, at) => ({
          id: `vm${at}`,
          address: `10.0.0.${at}`,
        }));
        const put: LoadBalancerDraft = {
          name: 'shop',
          frontends: [{ name: 'a', address: '203.0.113.1' }],
          backendPools: [{ name: 'vms', members }],
          outboundRules: [
            { name: 'out', frontends: ['a'], protocol: 1, backendPool: 'vms', portsPerMember: ports },
          ],
        };
        const change = applyChangeSet(configuration, { putLoadBalancers: [put] });
        const fits = count * ports <= 64_000;
        try {
          outbound = assignOutbound(change, outbound, { allowRemap: true, now: 1 }).outbound;
          configuration = change.after;
          if (!fits) throw new Error('more than there are');
        } catch (error) {
          if (!(error instanceof Refusal) || fits) throw error;
        }
      }
    }),
    { numRuns: 100 },
  );
});
