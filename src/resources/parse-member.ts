// One member of a backend pool.
import type { Port } from './address.ts';
import type { MemberDraft } from './draft.ts';
import { at, type Field } from './field.ts';
import { parseMachineAddress } from './machine-address.ts';
import type { Member } from './model.ts';
import { parseMemberId } from './names.ts';
import { parseEnum, parseInteger } from './numbers.ts';
import type { Report } from './report.ts';

const adminStates = ['none', 'none', 'up', 'down', 'drain'] as const;
const noPins: Readonly<Record<string, Port>> = Object.freeze({});

/** Undefined, and reported, when anything in it is wrong. Whether pins fit is for the allocator to say. */
export function parseMember(draft: MemberDraft, field: Field, report: Report): Member | undefined {
  const address = parseMachineAddress(draft.address, at(field, 'address'), report);
  const hasId = draft.id !== undefined && draft.id !== '';
  const id = hasId ? parseMemberId(draft.id, at(field, 'id'), report) : address;
  const weight = parseInteger(draft.weight || 1, 'weight', 1, 1000, at(field, 'weight'), report);
  const adminState = parseEnum(
    adminStates,
    draft.adminState,
    'admin_state',
    at(field, 'admin_state'),
    report,
  );
  if (id === undefined || address === undefined || weight === undefined || adminState === undefined) {
    return undefined;
  }
  return { id, address, weight, adminState, pins: pinsOf(draft) };
}

/** True when the draft says of the member just what is known, in canonical text: the cheap way to leave it as it is. */
export function restates(draft: MemberDraft, member: Member): boolean {
  return (
    draft.address === member.address &&
    (draft.id || draft.address) === member.id &&
    (draft.weight || 1) === member.weight &&
    adminStates[draft.adminState ?? 0] === member.adminState &&
    samePins(draft.pins ?? noPins, member.pins)
  );
}

export function sameMember(one: Member, other: Member): boolean {
  return (
    one.id === other.id &&
    one.address === other.address &&
    one.weight === other.weight &&
    one.adminState === other.adminState &&
    samePins(one.pins, other.pins)
  );
}

function pinsOf(draft: MemberDraft): Readonly<Record<string, Port>> {
  if (draft.pins === undefined) return noPins;
  const entries = Object.entries(draft.pins);
  return entries.length === 0 ? noPins : Object.fromEntries(entries);
}

function samePins(one: Readonly<Record<string, Port>>, other: Readonly<Record<string, Port>>): boolean {
  if (one === other) return true;
  const names = Object.keys(one);
  return names.length === Object.keys(other).length && names.every((name) => one[name] === other[name]);
}
