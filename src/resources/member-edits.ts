// Members that a change puts into pools or deletes from them, without sending the rest of the load balancer.
import type { ChangeSetDraft } from './draft.ts';
import { at, type Field, request } from './field.ts';
import { limits, withinLimit } from './limits.ts';
import type { BackendPool, LoadBalancer, Member } from './model.ts';
import { quoted } from './names.ts';
import { parseMember, sameMember } from './parse-member.ts';
import type { Report } from './report.ts';

/** All that a change says about the members of one pool. */
export interface PoolEdit {
  readonly loadBalancer: string;
  readonly backendPool: string;
  /** The first mention in the request. */
  readonly field: Field;
  /** By member id. */
  readonly puts: ReadonlyMap<string, PutMember>;
  /** By member id. */
  readonly deletes: ReadonlyMap<string, Field>;
}

export interface PutMember {
  readonly member: Member;
  readonly field: Field;
}

/** By load balancer, then by pool. */
export type PoolEdits = ReadonlyMap<string, ReadonlyMap<string, PoolEdit>>;

interface OpenEdit extends PoolEdit {
  readonly puts: Map<string, PutMember>;
  readonly deletes: Map<string, Field>;
}

/** Reads `put_members` and `delete_members`; reports what is wrong by itself, and ids that stand twice. */
export function parseEdits(draft: ChangeSetDraft, report: Report): PoolEdits {
  const edits = new Map<string, Map<string, OpenEdit>>();
  for (const [index, put] of (draft.putMembers ?? []).entries()) {
    const field = at(request, 'put_members', index);
    const edit = openEdit(edits, put.loadBalancer, put.backendPool, field, report);
    parsePuts(put.members ?? [], edit, field, report);
  }
  for (const [index, removal] of (draft.deleteMembers ?? []).entries()) {
    const field = at(request, 'delete_members', index);
    const edit = openEdit(edits, removal.loadBalancer, removal.backendPool, field, report);
    parseDeletes(removal.ids ?? [], edit, field, report);
  }
  return edits;
}

function parsePuts(
  drafts: NonNullable<NonNullable<ChangeSetDraft['putMembers']>[number]['members']>,
  edit: OpenEdit | undefined,
  field: Field,
  report: Report,
): void {
  const membersField = at(field, 'members');
  if (drafts.length === 0) report(membersField, 'FIELD_REQUIRED', 'at least one member is required');
  if (!withinLimit(drafts.length, limits.members, 'members in a pool', membersField, report)) return;
  for (const [index, draft] of drafts.entries()) {
    const memberField = at(field, 'members', index);
    const member = parseMember(draft, memberField, report);
    if (member === undefined || edit === undefined) continue;
    if (edit.puts.has(member.id)) reportTwice(member.id, edit, at(memberField, 'id'), report);
    else edit.puts.set(member.id, { member, field: memberField });
  }
}

function parseDeletes(
  ids: readonly string[],
  edit: OpenEdit | undefined,
  field: Field,
  report: Report,
): void {
  if (ids.length === 0) report(at(field, 'ids'), 'FIELD_REQUIRED', 'at least one member id is required');
  for (const [index, id] of ids.entries()) {
    const idField = at(field, 'ids', index);
    if (id === '') report(idField, 'FIELD_REQUIRED', 'a member id is required');
    else if (edit === undefined) continue;
    else if (edit.deletes.has(id) || edit.puts.has(id)) reportTwice(id, edit, idField, report);
    else edit.deletes.set(id, idField);
  }
}

function reportTwice(id: string, edit: PoolEdit, field: Field, report: Report): void {
  const where = `of pool ${edit.loadBalancer}/${edit.backendPool}`;
  report(
    field,
    'NAME_DUPLICATE',
    `member ${quoted(id)} ${where} stands twice in the change: say one thing of it`,
  );
}

function openEdit(
  edits: Map<string, Map<string, OpenEdit>>,
  loadBalancer: string | undefined,
  backendPool: string | undefined,
  field: Field,
  report: Report,
): OpenEdit | undefined {
  if (!loadBalancer) {
    report(at(field, 'load_balancer'), 'FIELD_REQUIRED', 'the name of a load balancer is required');
  }
  if (!backendPool) {
    report(at(field, 'backend_pool'), 'FIELD_REQUIRED', 'the name of a backend pool is required');
  }
  if (!loadBalancer || !backendPool) return undefined;
  const byPool = edits.get(loadBalancer) ?? new Map<string, OpenEdit>();
  edits.set(loadBalancer, byPool);
  const edit = byPool.get(backendPool) ?? {
    loadBalancer,
    backendPool,
    field,
    puts: new Map(),
    deletes: new Map(),
  };
  byPool.set(backendPool, edit);
  return edit;
}

/** The load balancer with its pools edited; the same object when that changes nothing. Unknown pools are reported. */
export function applyEdits(
  loadBalancer: LoadBalancer,
  declaredPools: ReadonlySet<string> | undefined,
  edits: ReadonlyMap<string, PoolEdit>,
  report: Report,
): LoadBalancer {
  let backendPools = loadBalancer.backendPools;
  for (const edit of edits.values()) {
    const index = backendPools.findIndex((pool) => pool.name === edit.backendPool);
    const pool = backendPools[index];
    if (pool === undefined) {
      if (declaredPools?.has(edit.backendPool)) continue;
      const fault = `load balancer ${edit.loadBalancer} has no backend pool ${quoted(edit.backendPool)}`;
      report(at(edit.field, 'backend_pool'), 'NOT_FOUND', `${fault}: put the pool first`);
      continue;
    }
    const edited = applyEdit(pool, edit, report);
    if (edited !== pool) backendPools = backendPools.with(index, edited);
  }
  return backendPools === loadBalancer.backendPools ? loadBalancer : { ...loadBalancer, backendPools };
}

function applyEdit(pool: BackendPool, edit: PoolEdit, report: Report): BackendPool {
  const { puts, deletes } = edit;
  const putByAddress = indexByAddress(edit, report);
  const members: Member[] = [];
  const found = new Set<string>();
  let isSame = true;
  for (const member of pool.members) {
    if (deletes.size > 0 && deletes.has(member.id)) {
      found.add(member.id);
      isSame = false;
      continue;
    }
    const put = puts.size > 0 ? puts.get(member.id) : undefined;
    if (put !== undefined) {
      found.add(member.id);
      const kept = sameMember(member, put.member) ? member : put.member;
      isSame &&= kept === member;
      members.push(kept);
      continue;
    }
    const rival = putByAddress.size > 0 ? putByAddress.get(member.address) : undefined;
    if (rival !== undefined) reportAddressTaken(rival, member.id, report);
    members.push(member);
  }
  for (const [id, put] of puts) {
    if (found.has(id)) continue;
    isSame = false;
    members.push(put.member);
  }
  for (const [id, field] of deletes) {
    if (found.has(id)) continue;
    const where = `pool ${edit.loadBalancer}/${edit.backendPool}`;
    report(field, 'NOT_FOUND', `${where} has no member ${quoted(id)}: nothing to delete`);
  }
  withinLimit(members.length, limits.members, 'members in a pool', at(edit.field, 'members'), report);
  return isSame ? pool : { ...pool, members };
}

function indexByAddress(edit: PoolEdit, report: Report): ReadonlyMap<string, PutMember> {
  const byAddress = new Map<string, PutMember>();
  for (const put of edit.puts.values()) {
    const rival = byAddress.get(put.member.address);
    if (rival !== undefined) reportAddressTaken(put, rival.member.id, report);
    else byAddress.set(put.member.address, put);
  }
  return byAddress;
}

function reportAddressTaken(put: PutMember, holder: string, report: Report): void {
  const fault = `address ${put.member.address} is also that of member ${quoted(holder)}`;
  report(at(put.field, 'address'), 'ADDRESS_DUPLICATE', `${fault}: give each member an address of its own`);
}
