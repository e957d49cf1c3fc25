// Spells out the mappings of inbound NAT rules from the declaration and the ports that were given out.
import type { IpAddress } from '../resources/address.ts';
import type { InboundNatRule, LoadBalancer, Member, PoolRule, SingleTargetRule } from '../resources/model.ts';
import type { LoadBalancerPorts, PortAssignment, RulePorts } from './assignment.ts';
import type { Mapping } from './mapping.ts';

/** The mappings of a load balancer in the order of its rules, then of the ports; made as they are read. */
export function* mappingsOf(loadBalancer: LoadBalancer, ports: LoadBalancerPorts): Iterable<Mapping> {
  const place = placeOf(loadBalancer);
  for (const rule of loadBalancer.inboundNatRules) {
    const given = ports.get(rule.name);
    if (given !== undefined) yield* mappingsOfRule(place, rule, given);
  }
}

/** A load balancer with what its mappings are looked up in. */
export interface Place {
  readonly name: string;
  frontendAddress(rule: InboundNatRule): IpAddress | undefined;
  member(backendPool: string, id: string): Member | undefined;
  /** In the order of the pool; none for an unknown pool. */
  members(backendPool: string): readonly Member[];
}

export function placeOf(loadBalancer: LoadBalancer): Place {
  const frontends = new Map(loadBalancer.frontends.map(({ name, address }) => [name, address]));
  const pools = new Map(loadBalancer.backendPools.map((pool) => [pool.name, pool]));
  const finders = new Map<string, (id: string) => Member | undefined>();
  return {
    name: loadBalancer.name,
    frontendAddress: (rule) => frontends.get(rule.frontend),
    members: (backendPool) => pools.get(backendPool)?.members ?? [],
    member: (backendPool, id) => {
      const find = finders.get(backendPool) ?? finderIn(pools.get(backendPool)?.members ?? []);
      finders.set(backendPool, find);
      return find(id);
    },
  };
}

/** An index of a pool costs as much as a few dozen searches, so it is not made for a change of one member. */
function finderIn(members: readonly Member[]): (id: string) => Member | undefined {
  let searches = 0;
  let index: ReadonlyMap<string, Member> | undefined;
  return (id) => {
    searches += 1;
    if (searches <= 8) return members.find((member) => member.id === id);
    index ??= new Map(members.map((member) => [member.id, member]));
    return index.get(id);
  };
}

export function* mappingsOfRule(place: Place, rule: InboundNatRule, given: RulePorts): Iterable<Mapping> {
  switch (rule.kind) {
    case 'single':
      yield* singleMapping(place, rule, given);
      return;
    case 'pool': {
      const pairs: { readonly member: Member; readonly assignment: PortAssignment }[] = [];
      for (const member of place.members(rule.backendPool)) {
        const assignment = given.assigned.get(member.id);
        if (assignment !== undefined) pairs.push({ member, assignment });
      }
      pairs.sort((one, other) => one.assignment.port - other.assignment.port);
      for (const { member, assignment } of pairs) yield* memberMappings(place, rule, member, assignment);
    }
  }
}

/** One mapping for each port that the rule gives a machine. */
export function* memberMappings(
  place: Place,
  rule: PoolRule,
  member: Member,
  assignment: PortAssignment,
): Iterable<Mapping> {
  const frontendAddress = place.frontendAddress(rule);
  if (frontendAddress === undefined) return;
  for (let offset = 0; offset < rule.portsPerMember; offset += 1) {
    yield {
      loadBalancer: place.name,
      rule: rule.name,
      frontendAddress,
      protocol: rule.protocol,
      frontendPort: assignment.port + offset,
      backendPool: rule.backendPool,
      member: member.id,
      backendAddress: member.address,
      backendPort: rule.backendPort + offset,
      masquerade: rule.flow.sourceNat === 'masquerade',
      since: assignment.since,
    };
  }
}

function* singleMapping(place: Place, rule: SingleTargetRule, given: RulePorts): Iterable<Mapping> {
  const { target } = rule;
  const frontendAddress = place.frontendAddress(rule);
  if (frontendAddress === undefined || target.kind === 'none') return;
  const key = target.kind === 'member' ? target.id : target.address;
  const since = given.assigned.get(key)?.since;
  const address =
    target.kind === 'member' ? place.member(target.backendPool, target.id)?.address : target.address;
  if (since === undefined || address === undefined) return;
  yield {
    loadBalancer: place.name,
    rule: rule.name,
    frontendAddress,
    protocol: rule.protocol,
    frontendPort: rule.frontendPort,
    backendPool: target.kind === 'member' ? target.backendPool : '',
    member: target.kind === 'member' ? target.id : '',
    backendAddress: address,
    backendPort: rule.backendPort,
    masquerade: rule.flow.sourceNat === 'masquerade',
    since,
  };
}
