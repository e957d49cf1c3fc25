// Which ports each member of an outbound rule has, and how many of them are in use.
import { type OutboundBlock, sizeOf } from '../ports/outbound.ts';
import { type IpAddress, type RuleProtocol, sourceKey, transportsOf } from '../resources/address.ts';
import type { LoadBalancer, OutboundRule } from '../resources/model.ts';
import type { OutboundFilter } from './contract.ts';
import { levelOf, type OutboundLevel, type OutboundUse, together, unused } from './outbound-use.ts';
import { byName } from './snapshot.ts';
import type { State } from './state.ts';

export interface OutboundMember extends OutboundUse {
  readonly loadBalancer: string;
  readonly rule: string;
  readonly backendPool: string;
  readonly member: string;
  readonly backendAddress: IpAddress;
  readonly protocol: RuleProtocol;
  readonly block: OutboundBlock;
  readonly level: OutboundLevel;
}

/** What tells members apart, also in their levels. */
export function memberKey({ loadBalancer, rule, member }: OutboundMember): string {
  return `${loadBalancer}/${rule}/${member}`;
}

/** By load balancer, then in the order of rules and pools; made as they are read. */
export function* outboundMembers(
  state: State,
  use: ReadonlyMap<string, OutboundUse>,
  levels: ReadonlyMap<string, OutboundLevel>,
  filter: OutboundFilter = {},
): Generator<OutboundMember> {
  if (state.outbound.ports.size === 0) return;
  for (const loadBalancer of byName(state.configuration)) {
    if ((filter.loadBalancer ?? loadBalancer.name) !== loadBalancer.name) continue;
    for (const rule of loadBalancer.outboundRules) {
      if ((filter.rule ?? rule.name) !== rule.name) continue;
      for (const one of membersOf(state, loadBalancer, rule, use)) {
        if (!matches(one, filter)) continue;
        const level = levelOf(one.used, sizeOf(one.block), levels.get(memberKey(one)) ?? 'normal');
        yield { ...one, level };
      }
    }
  }
}

function* membersOf(
  { outbound }: State,
  { name, backendPools }: LoadBalancer,
  { name: rule, backendPool, protocol }: OutboundRule,
  use: ReadonlyMap<string, OutboundUse>,
): Generator<OutboundMember> {
  const blocks = outbound.ports.get(name)?.get(rule)?.blocks;
  const pool = backendPools.find((each) => each.name === backendPool);
  for (const { id, address } of pool?.members ?? []) {
    const block = blocks?.get(id);
    if (block === undefined) continue;
    const uses = transportsOf(protocol).map((transport) => use.get(sourceKey(address, transport)) ?? unused);
    const place = { loadBalancer: name, rule, backendPool, member: id, backendAddress: address };
    yield { ...place, protocol, block, level: 'normal', ...together(uses) };
  }
}

function matches({ member, backendAddress, block }: OutboundMember, filter: OutboundFilter): boolean {
  return (
    (filter.member === undefined || member === filter.member) &&
    (filter.memberAddress === undefined || backendAddress === filter.memberAddress) &&
    (filter.frontendAddress === undefined || block.address === filter.frontendAddress)
  );
}
