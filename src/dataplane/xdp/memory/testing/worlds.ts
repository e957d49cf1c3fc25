// Small random forwarding tables and the changes between them, with much that collides: few ports, few machines, two rings.
import fc from 'fast-check';
import { Map as PersistentMap } from 'immutable';
import { compile, emptyTable } from '../../../../forwarding/compile.ts';
import type { FiveTuple } from '../../../../forwarding/hash.ts';
import type { ForwardingTable } from '../../../../forwarding/table.ts';
import {
  assign,
  balancingRule,
  frontend,
  ip,
  member,
  poolRule,
  singleRule,
} from '../../../../forwarding/testing/declare.ts';
import type { LoadBalancerPorts } from '../../../../ports/assignment.ts';
import type { RuleProtocol } from '../../../../resources/address.ts';
import type {
  FlowOptions,
  InboundNatRule,
  LoadBalancer,
  LoadBalancingRule,
  Member,
} from '../../../../resources/model.ts';

const protocol: fc.Arbitrary<RuleProtocol> = fc.constantFrom('tcp', 'udp', 'all');
const flow: fc.Arbitrary<FlowOptions> = fc
  .record({
    sourceNat: fc.constantFrom('none', 'none', 'none', 'masquerade' as const),
    idleTimeout: fc.constantFrom(0, 0, 0, 60),
  })
  .map(({ sourceNat, idleTimeout }) => ({ sourceNat, ...(idleTimeout > 0 && { idleTimeout }) }));

/** Rules with limits are left to nftables. */
const limited = fc.constantFrom({}, {}, {}, { limits: { allowedClients: [], concurrentFlows: 5 } });

const anyMember: fc.Arbitrary<Member> = fc
  .record({
    host: fc.nat(8),
    weight: fc.constantFrom(1, 100),
    adminState: fc.constantFrom('none', 'none', 'none', 'down', 'drain' as const),
    moved: fc.nat(2),
  })
  .map(({ host, weight, adminState, moved }) =>
    member(`vm-${host}`, `10.0.0.${(host + moved) % 9}`, { weight, adminState }),
  );

const anyMembers = fc.uniqueArray(anyMember, { selector: ({ id }) => id, maxLength: 9 });

const anyNatRule: fc.Arbitrary<InboundNatRule> = fc.oneof(
  fc
    .record({ name: fc.constantFrom('ssh', 'rdp'), protocol, flow, shift: fc.nat(3), limited })
    .map(({ name, shift, limited, ...rest }) =>
      poolRule(name, {
        ...rest,
        ...limited,
        rangeStart: (name === 'ssh' ? 100 : 200) + shift,
        rangeEnd: name === 'ssh' ? 150 : 250,
      }),
    ),
  fc.record({ protocol, flow, host: fc.nat(3), every: fc.boolean() }).map(({ protocol, flow, host, every }) =>
    singleRule(every ? 'every' : 'single', {
      protocol,
      flow,
      frontendPort: every ? 0 : 2222,
      backendPort: every ? 0 : 22,
      target: { kind: 'address', address: ip(`10.0.0.${host}`) },
    }),
  ),
);

const anyBalancingRule: fc.Arbitrary<LoadBalancingRule> = fc
  .record({
    name: fc.constantFrom('http', 'dns', 'rest'),
    protocol,
    flow,
    sessionPersistence: fc.constantFrom('none', 'client-ip', 'client-ip-protocol' as const),
    limited,
    backendPort: fc.constantFrom(80, 22),
  })
  .map(({ name, protocol, backendPort, limited, ...others }) => {
    const rest = { ...others, ...limited };
    return name === 'rest'
      ? balancingRule(name, { ...rest, protocol: 'all', frontendPort: 0, backendPort: 0 })
      : balancingRule(name, { ...rest, protocol, backendPort, frontendPort: name === 'http' ? 80 : 53 });
  });

const names = ['left', 'right'] as const;

const anyLoadBalancer: fc.Arbitrary<LoadBalancer> = fc
  .record({
    name: fc.constantFrom(...names),
    last: fc.constantFrom(1, 2),
    members: anyMembers,
    inboundNatRules: fc.uniqueArray(anyNatRule, { selector: ({ name }) => name, maxLength: 4 }),
    loadBalancingRules: fc.uniqueArray(anyBalancingRule, { selector: ({ name }) => name }),
  })
  .map(({ name, last, members, inboundNatRules, loadBalancingRules }) => ({
    name,
    frontends: [frontend('fe', `203.0.113.${last + (name === 'left' ? 0 : 10)}`)],
    backendPools: [{ name: 'pool', members }],
    probes: [],
    outboundRules: [],
    // Of an address, only one rule can claim every port.
    inboundNatRules: loadBalancingRules.some((rule) => rule.name === 'rest')
      ? inboundNatRules.filter((rule) => rule.name !== 'every')
      : inboundNatRules,
    loadBalancingRules,
  }));

export const anyPacket: fc.Arbitrary<FiveTuple> = fc.record({
  sourceAddress: fc.nat(255).map((last) => ip(`198.51.100.${last}`)),
  sourcePort: fc.nat(65535),
  destinationAddress: fc.constantFrom(...['1', '2', '11', '12'].map((last) => ip(`203.0.113.${last}`))),
  destinationPort: fc.oneof(
    fc.constantFrom(80, 53, 2222, 9),
    fc.integer({ min: 100, max: 112 }),
    fc.integer({ min: 200, max: 212 }),
  ),
  transport: fc.constantFrom('tcp', 'udp' as const),
});

const anyStep = fc.record({
  put: fc.uniqueArray(anyLoadBalancer, { selector: ({ name }) => name, maxLength: 2 }),
  drop: fc.subarray([...names]),
});

/** Tables that follow each other. */
export const anyHistory: fc.Arbitrary<readonly ForwardingTable[]> = fc
  .array(anyStep, { minLength: 1, maxLength: 8 })
  .map((steps) => {
    let table = emptyTable();
    let ports = PersistentMap<string, LoadBalancerPorts>();
    return steps.map(({ put, drop }) => {
      const changed = new Map<string, LoadBalancer | undefined>(drop.map((name) => [name, undefined]));
      for (const each of put) changed.set(each.name, each);
      for (const [name, declared] of changed) {
        ports =
          declared === undefined ? ports.delete(name) : ports.set(name, assign(declared, ports.get(name)));
      }
      table = compile(table, changed, ports);
      return table;
    });
  });
