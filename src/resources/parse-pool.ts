// One backend pool, which may come in several parts; members that are as they were stay the same objects.
import type { BackendPoolDraft } from './draft.ts';
import { at, type Field } from './field.ts';
import { limits, withinLimit } from './limits.ts';
import type { BackendPool, Member } from './model.ts';
import { quoted } from './names.ts';
import { parseMember, restates, sameMember } from './parse-member.ts';
import type { Report } from './report.ts';

export interface PoolPart {
  readonly draft: BackendPoolDraft;
  readonly field: Field;
}

/** Members that are wrong are reported and left out. */
export function parsePool(
  name: string,
  parts: readonly PoolPart[],
  previous: BackendPool | undefined,
  report: Report,
): BackendPool {
  const count = parts.reduce((sum, part) => sum + (part.draft.members?.length ?? 0), 0);
  const field = at(parts.at(-1)?.field ?? { name: '' }, 'members');
  if (!withinLimit(count, limits.members, 'members in a pool', field, report)) return { name, members: [] };
  const known = knownMembers(previous);
  const members: Member[] = [];
  const ids = new Set<string>();
  const addresses = new Set<string>();
  for (const part of parts) {
    for (const [index, draft] of (part.draft.members ?? []).entries()) {
      const candidate = known(draft.id || draft.address || '', members.length);
      const isKnown = candidate !== undefined && restates(draft, candidate);
      const member = isKnown ? candidate : parseMember(draft, at(part.field, 'members', index), report);
      if (member === undefined) continue;
      const { id, address } = member;
      if (ids.size === ids.add(id).size && (draft.id || !addresses.has(address))) {
        report(
          at(at(part.field, 'members', index), 'id'),
          'NAME_DUPLICATE',
          `member ${quoted(id)} stands twice in pool ${name}: give each an id of its own`,
        );
      }
      if (addresses.size === addresses.add(address).size) {
        report(
          at(at(part.field, 'members', index), 'address'),
          'ADDRESS_DUPLICATE',
          `address ${address} stands twice in pool ${name}: give each member an address of its own`,
        );
      }
      const before = isKnown ? candidate : known(id, members.length);
      members.push(before !== undefined && before !== member && sameMember(before, member) ? before : member);
    }
  }
  return {
    name,
    members: previous !== undefined && sameOrder(previous.members, members) ? previous.members : members,
  };
}

/** Finds a member of the pool as it was; `position` is where it most likely stands. */
function knownMembers(
  previous: BackendPool | undefined,
): (id: string, position: number) => Member | undefined {
  if (previous === undefined) return () => undefined;
  let byId: Map<string, Member> | undefined;
  return (id, position) => {
    const likely = previous.members[position];
    if (likely?.id === id) return likely;
    byId ??= new Map(previous.members.map((member) => [member.id, member]));
    return byId.get(id);
  };
}

function sameOrder(one: readonly Member[], other: readonly Member[]): boolean {
  return one.length === other.length && one.every((member, index) => member === other[index]);
}
