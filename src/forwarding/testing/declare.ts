// Short ways to declare load balancers in tests, and a stand-in for the allocator that gives each member the lowest free port.
import type { LoadBalancerPorts, PortAssignment, RulePorts } from '../../ports/assignment.ts';
import { singleTargetPorts } from '../../ports/single-target.ts';
import { type IpAddress, parseAddress } from '../../resources/address.ts';
import type {
  BackendPool,
  Frontend,
  LoadBalancer,
  LoadBalancingRule,
  Member,
  PoolRule,
  SingleTargetRule,
} from '../../resources/model.ts';

export function ip(text: string): IpAddress {
  const address = parseAddress(text);
  if (address === undefined) throw new TypeError(`not an address: ${text}`);
  return address;
}

export function frontend(
  name: string,
  address: string,
  addressOwnership: Frontend['addressOwnership'] = 'local',
): Frontend {
  return { name, address: ip(address), addressOwnership };
}

export function member(id: string, address: string, over: Partial<Member> = {}): Member {
  return { id, address: ip(address), weight: 100, adminState: 'none', pins: {}, ...over };
}

/** Members `vm-0`, `vm-1` and so on, from 10.0.0.0 on. */
export function members(count: number, over: Partial<Member> = {}): readonly Member[] {
  return Array.from({ length: count }, (_, index) =>
    member(`vm-${index}`, `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`, over),
  );
}

export function pool(name: string, ...list: readonly Member[]): BackendPool {
  return { name, members: list };
}

export function poolRule(name: string, over: Partial<PoolRule> = {}): PoolRule {
  return {
    kind: 'pool',
    name,
    frontend: 'fe',
    protocol: 'tcp',
    backendPool: 'pool',
    rangeStart: 500,
    rangeEnd: 1499,
    portsPerMember: 1,
    backendPort: 22,
    flow: { sourceNat: 'none' },
    whenUnhealthy: 'forward',
    ...over,
  };
}

export function singleRule(name: string, over: Partial<SingleTargetRule> = {}): SingleTargetRule {
  return {
    kind: 'single',
    name,
    frontend: 'fe',
    protocol: 'tcp',
    frontendPort: 2222,
    backendPort: 22,
    target: { kind: 'none' },
    flow: { sourceNat: 'none' },
    whenUnhealthy: 'forward',
    ...over,
  };
}

export function balancingRule(name: string, over: Partial<LoadBalancingRule> = {}): LoadBalancingRule {
  return {
    name,
    frontend: 'fe',
    protocol: 'tcp',
    frontendPort: 80,
    backendPort: 8080,
    backendPool: 'pool',
    probe: '',
    sessionPersistence: 'none',
    noHealthyBackends: 'down',
    flow: { sourceNat: 'none' },
    ...over,
  };
}

export function loadBalancer(name: string, over: Partial<LoadBalancer> = {}): LoadBalancer {
  return {
    name,
    frontends: [frontend('fe', '203.0.113.1')],
    backendPools: [],
    probes: [],
    outboundRules: [],
    inboundNatRules: [],
    loadBalancingRules: [],
    ...over,
  };
}

/** Ports for all pool rules; members that had one keep it while it is inside the range. */
export function assign(declared: LoadBalancer, before: LoadBalancerPorts = new Map()): LoadBalancerPorts {
  const ports = new Map<string, RulePorts>();
  for (const rule of declared.inboundNatRules) {
    const earlier = before.get(rule.name);
    if (rule.kind === 'single') {
      const single = singleTargetPorts(rule, earlier, 0);
      if (single !== undefined) ports.set(rule.name, single);
      continue;
    }
    const list = declared.backendPools.find(({ name }) => name === rule.backendPool)?.members ?? [];
    const assigned = new Map<string, PortAssignment>();
    for (const { id } of list) {
      const known = earlier?.backendPool === rule.backendPool ? earlier.assigned.get(id) : undefined;
      if (known && known.port >= rule.rangeStart && known.port + rule.portsPerMember - 1 <= rule.rangeEnd) {
        assigned.set(id, known);
      }
    }
    const portsFrom = (first: number) =>
      Array.from({ length: rule.portsPerMember }, (_, index) => first + index);
    const taken = new Set([...assigned.values()].flatMap(({ port }) => portsFrom(port)));
    let port = rule.rangeStart;
    for (const { id } of list) {
      if (assigned.has(id)) continue;
      while (portsFrom(port).some((each) => taken.has(each))) port += 1;
      if (port + rule.portsPerMember - 1 > rule.rangeEnd) throw new RangeError(`${rule.name} is full`);
      assigned.set(id, { member: id, port, since: 0 });
      port += rule.portsPerMember;
    }
    ports.set(rule.name, { backendPool: rule.backendPool, assigned, former: new Map() });
  }
  return ports;
}
