// One backend pool, which may come in several parts; members that are as they were stay the same objects.
import type { BackendPoolDraft } from './draft.ts';
import { at, type Field } from './field.ts';
import { limits, withinLimit } from './limits.ts';
import type { BackendPool, Member } from './model.ts';
import { quoted } from './names.ts';
import { parseMember, restates } from './parse-member.ts';
import type { Report } from './report.ts';
import { knownMembers, shareMembers } from './share-members.ts';

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
  const known = knownMembers(previous?.members);
  const members: Member[] = [];
  const ids = new Set<string>();
  const addresses = new Set<string>();
  for (const part of parts) {
    for (const [index, draft] of (part.draft.members ?? []).entries()) {
      const candidate = known(draft.id || draft.address || '', members.length);
      const memberField = at(part.field, 'members', index);
      const isKnown = candidate !== undefined && restates(draft, candidate);
      const member = isKnown ? candidate : parseMember(draft, memberField, report);
      if (member === undefined) continue;
      const { id, address } = member;
      const addressTaken = !added(addresses, address);
      // A machine without an id that stands twice has its address twice: one fault, not two.
      if (!added(ids, id) && (draft.id || !addressTaken)) {
        const fault = `member ${quoted(id)} stands twice in pool ${name}: give each an id of its own`;
        report(at(memberField, 'id'), 'NAME_DUPLICATE', fault);
      }
      if (addressTaken) {
        const fault = `address ${address} stands twice in pool ${name}: give each member an address of its own`;
        report(at(memberField, 'address'), 'ADDRESS_DUPLICATE', fault);
      }
      members.push(member);
    }
  }
  return { name, members: shareMembers(previous?.members, members) };
}

/** False when it was there already. */
function added(set: Set<string>, value: string): boolean {
  const before = set.size;
  return set.add(value).size > before;
}
