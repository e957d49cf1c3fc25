// Members of a pool that are as they were stay the same objects, wherever in the order they stand now.
import type { LoadBalancer, Member } from './model.ts';
import { sameMember } from './parse-member.ts';
import { shareByName } from './sharing.ts';

/** Finds a member of the pool as it was; `position` is where it most likely stands. */
export function knownMembers(
  previous: readonly Member[] | undefined,
): (id: string, position: number) => Member | undefined {
  if (previous === undefined) return () => undefined;
  let byId: Map<string, Member> | undefined;
  return (id, position) => {
    const likely = previous[position];
    if (likely?.id === id) return likely;
    byId ??= new Map(previous.map((member) => [member.id, member]));
    return byId.get(id);
  };
}

/** `next` with every member that equals the previous one of its id replaced by that; or `previous` itself. */
export function shareMembers(
  previous: readonly Member[] | undefined,
  next: readonly Member[],
): readonly Member[] {
  if (previous === undefined) return next;
  const known = knownMembers(previous);
  const shared = next.map((member, position) => {
    const before = known(member.id, position);
    return before !== undefined && sameMember(before, member) ? before : member;
  });
  const isSame =
    shared.length === previous.length && shared.every((member, index) => member === previous[index]);
  return isSame ? previous : shared;
}

/** A load balancer whose pools were edited after it was put: edits may have led back to what was there before. */
export function sharePools(previous: LoadBalancer, next: LoadBalancer): LoadBalancer {
  const before = new Map(previous.backendPools.map((pool) => [pool.name, pool]));
  const pools = next.backendPools.map((pool) => ({
    ...pool,
    members: shareMembers(before.get(pool.name)?.members, pool.members),
  }));
  const backendPools = shareByName(previous.backendPools, pools);
  const isSame =
    backendPools === previous.backendPools &&
    next.frontends === previous.frontends &&
    next.probes === previous.probes &&
    next.inboundNatRules === previous.inboundNatRules &&
    next.loadBalancingRules === previous.loadBalancingRules &&
    next.outboundRules === previous.outboundRules;
  return isSame ? previous : { ...next, backendPools };
}
