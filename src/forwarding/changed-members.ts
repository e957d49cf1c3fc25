// Which machines of a pool differ between two versions: the work is a comparison of identities, member by member.
import type { BackendPool, LoadBalancer, Member } from '../resources/model.ts';

export function poolNamed({ backendPools }: LoadBalancer, name: string): BackendPool | undefined {
  return backendPools.find((pool) => pool.name === name);
}

/** Ids of members that came, went or are another object; their order does not count. */
export function changedMembers(before: readonly Member[], after: readonly Member[]): ReadonlySet<string> {
  if (before === after) return new Set();
  const shorter = Math.min(before.length, after.length);
  let start = 0;
  while (start < shorter && before[start] === after[start]) start += 1;
  let end = 0;
  while (end < shorter - start && before[before.length - 1 - end] === after[after.length - 1 - end]) end += 1;
  const earlier = new Map(before.slice(start, before.length - end).map((member) => [member.id, member]));
  const changed = new Set<string>();
  for (const member of after.slice(start, after.length - end)) {
    if (earlier.get(member.id) !== member) changed.add(member.id);
    earlier.delete(member.id);
  }
  for (const id of earlier.keys()) changed.add(id);
  return changed;
}
