// Gives the ports of one pool rule to the machines of its pool: who has a port keeps it, the rest get the lowest free.
import type { Port } from '../resources/address.ts';
import type { Origin } from '../resources/change.ts';
import type { Member, PoolRule } from '../resources/model.ts';
import type { Violation } from '../resources/refusal.ts';
import type { PortAssignment, RulePorts } from './assignment.ts';
import { pinField, pinOf } from './pins.ts';
import { firstPortOf, type PortRange, rangeOf, slotAt } from './range.ts';

/** What one pool rule's ports are to be worked out from. */
export interface Case {
  readonly loadBalancer: string;
  readonly rule: PoolRule;
  /** The rule itself differs from what it was, so that it is what offends when ports run out. */
  readonly ruleChanged: boolean;
  readonly members: readonly Member[];
  /** Absent for a rule that starts anew. */
  readonly previous: RulePorts | undefined;
  readonly allowRemap: boolean;
  readonly now: number;
  readonly origin: Origin;
}

export interface Allocation {
  /** The previous object when nothing differs; of no use when there are violations. */
  readonly ports: RulePorts;
  /** Given out now, to newcomers and to members that had to move. */
  readonly placed: readonly PortAssignment[];
  /** Assignments of members that are gone. */
  readonly released: readonly PortAssignment[];
  readonly violations: readonly Violation[];
}

/** Pins go first, then former ports of members that return, then the lowest free ports in the order of the pool. */
export function allocate(input: Case): Allocation {
  const board = lookAtMembers(input);
  placePins(input, board);
  placeReturning(input, board);
  placeRest(input, board);
  return { ...settle(input, board), violations: board.violations };
}

/** The state of one allocation while it goes on. */
interface Board {
  readonly range: PortRange;
  /** 1 for each slot that is given out. */
  readonly taken: Uint8Array;
  /** By the member's place in the pool; a hole has no port yet. */
  readonly given: (PortAssignment | undefined)[];
  /** Places in the pool of members that have no port yet, in order. */
  open: readonly number[];
  /** Members that had a port before, whether or not they keep it. */
  survivors: number;
  readonly placed: PortAssignment[];
  readonly violations: Violation[];
}

function lookAtMembers(input: Case): Board {
  const range = rangeOf(input.rule);
  const open: number[] = [];
  const board: Board = {
    range,
    taken: new Uint8Array(range.capacity),
    given: new Array(input.members.length),
    open,
    survivors: 0,
    placed: [],
    violations: [],
  };
  const assignmentOf = inStep(input.previous);
  for (let index = 0; index < input.members.length; index += 1) {
    const member = input.members[index];
    if (member === undefined) continue;
    const had = assignmentOf(member.id);
    if (had === undefined) {
      open.push(index);
      continue;
    }
    board.survivors += 1;
    if (keepsPort(member, had, input, board)) {
      board.taken[slotAt(range, had.port)] = 1;
      board.given[index] = had;
    } else open.push(index);
  }
  return board;
}

/** Finds assignments; asked in their own order, as it mostly is, it walks beside the asker rather than look each one up. */
function inStep(previous: RulePorts | undefined): (member: string) => PortAssignment | undefined {
  if (previous === undefined) return () => undefined;
  const walk = previous.assigned.values();
  let next = walk.next().value;
  return (member) => {
    // One that is gone is stepped over.
    if (next !== undefined && next.member !== member && !previous.assigned.has(member)) return undefined;
    if (next !== undefined && next.member !== member) next = walk.next().value;
    if (next?.member !== member) return previous.assigned.get(member);
    const found = next;
    next = walk.next().value;
    return found;
  };
}

/** False for a member that must move; reported when it may not. */
function keepsPort(member: Member, had: PortAssignment, input: Case, board: Board): boolean {
  const fits = slotAt(board.range, had.port) >= 0;
  const pin = pinOf(member, input.rule.name);
  const wantsOther = pin !== undefined && pin !== had.port;
  if (input.allowRemap) return fits && !wantsOther;
  if (!fits) reportInUse(had, input, board);
  else if (wantsOther && slotAt(board.range, pin) >= 0) {
    const fault = `port ${pin}: member ${member.id} already has port ${had.port}`;
    reportPin('PIN_TAKEN', `${fault}; pin that one, or set allow_remap`, member, pin, input, board);
  } else if (wantsOther) reportPinOutside(member, pin, input, board);
  return fits;
}

function placePins(input: Case, board: Board): void {
  const open: number[] = [];
  for (const index of board.open) {
    const member = input.members[index];
    const pin = member === undefined ? undefined : pinOf(member, input.rule.name);
    if (member === undefined || pin === undefined) {
      open.push(index);
      continue;
    }
    const slot = slotAt(board.range, pin);
    if (slot < 0) reportPinOutside(member, pin, input, board);
    else if (board.taken[slot] === 1) {
      const holder = board.given.find((given) => given?.port === pin)?.member;
      const fault = `port ${pin} is ${holder === undefined ? 'taken' : `member ${holder}'s`}`;
      reportPin('PIN_TAKEN', `${fault}: pin a free port, or none`, member, pin, input, board);
    } else give(index, member, slot, input, board);
  }
  board.open = open;
}

function placeReturning(input: Case, board: Board): void {
  const former = input.previous?.former;
  if (former === undefined || former.size === 0 || board.open.length === 0) return;
  const portOf = new Map<string, Port>();
  for (const [port, member] of former) portOf.set(member, port);
  board.open = board.open.filter((index) => {
    const member = input.members[index];
    const port = member === undefined ? undefined : portOf.get(member.id);
    const slot = port === undefined ? -1 : slotAt(board.range, port);
    if (member === undefined || slot < 0 || board.taken[slot] === 1) return true;
    give(index, member, slot, input, board);
    return false;
  });
}

function placeRest(input: Case, board: Board): void {
  const misfits: Member[] = [];
  let slot = 0;
  for (const index of board.open) {
    const member = input.members[index];
    if (member === undefined) continue;
    while (slot < board.range.capacity && board.taken[slot] === 1) slot += 1;
    if (slot < board.range.capacity) give(index, member, slot, input, board);
    else if (input.allowRemap || !input.previous?.assigned.has(member.id)) misfits.push(member);
  }
  if (misfits.length > 0) reportExhausted(misfits, input, board);
}

function give(index: number, member: Member, slot: number, input: Case, board: Board): void {
  const assignment = { member: member.id, port: firstPortOf(board.range, slot), since: input.now };
  board.taken[slot] = 1;
  board.given[index] = assignment;
  board.placed.push(assignment);
}

function settle(input: Case, board: Board): Omit<Allocation, 'violations'> {
  const { previous, rule } = input;
  const nobodyLeft = previous !== undefined && board.survivors === previous.assigned.size;
  const assigned =
    nobodyLeft && board.placed.length === 0 && sameOrder(previous, board)
      ? previous.assigned
      : mapOf(board.given);
  const released = nobodyLeft || previous === undefined ? [] : missingFrom(assigned, previous);
  const former = formerAfter(previous, assigned, released, board);
  const isSame = previous?.assigned === assigned && previous.former === former;
  return {
    ports: isSame ? previous : { backendPool: rule.backendPool, assigned, former },
    placed: board.placed,
    released,
  };
}

function sameOrder(previous: RulePorts, board: Board): boolean {
  let index = 0;
  for (const assignment of previous.assigned.values()) {
    if (assignment !== board.given[index]) return false;
    index += 1;
  }
  return true;
}

function mapOf(given: readonly (PortAssignment | undefined)[]): ReadonlyMap<string, PortAssignment> {
  const assigned = new Map<string, PortAssignment>();
  for (const assignment of given) if (assignment !== undefined) assigned.set(assignment.member, assignment);
  return assigned;
}

/** Walks both in their order, which deletions leave as it was, and looks up only where they part. */
function missingFrom(
  assigned: ReadonlyMap<string, PortAssignment>,
  previous: RulePorts,
): readonly PortAssignment[] {
  const missing: PortAssignment[] = [];
  const walk = assigned.values();
  let next = walk.next().value;
  for (const had of previous.assigned.values()) {
    if (next?.member === had.member) next = walk.next().value;
    else if (!assigned.has(had.member)) missing.push(had);
  }
  return missing;
}

/** Ports that are free now and the range still holds, with who had them last, unless that member has a port again. */
function formerAfter(
  previous: RulePorts | undefined,
  assigned: ReadonlyMap<string, PortAssignment>,
  released: readonly PortAssignment[],
  board: Board,
): ReadonlyMap<Port, string> {
  if (previous === undefined) return nobody;
  const isKept = (port: Port, member: string) => {
    const slot = slotAt(board.range, port);
    return slot >= 0 && board.taken[slot] === 0 && !assigned.has(member);
  };
  const former = new Map<Port, string>();
  for (const [port, member] of previous.former) if (isKept(port, member)) former.set(port, member);
  const lost = former.size < previous.former.size;
  const before = former.size;
  for (const { port, member } of released) if (isKept(port, member)) former.set(port, member);
  return lost || former.size > before ? former : previous.former;
}

const nobody: ReadonlyMap<Port, string> = new Map();

function reportInUse(had: PortAssignment, input: Case, board: Board): void {
  const { rule, origin } = input;
  const { start, end } = board.range;
  const last = had.port + rule.portsPerMember - 1;
  const field =
    had.port < start
      ? `${origin.natRule(rule.name)}.pool.frontend_port_range_start`
      : last > end
        ? origin.natRuleSize(rule.name)
        : `${origin.natRule(rule.name)}.pool.ports_per_member`;
  const fault = `member ${had.member} has port ${had.port}, which ${start} to ${end} no longer holds`;
  board.violations.push({
    field,
    reason: 'PORT_RANGE_IN_USE',
    description: `${fault}: keep it in the range, delete the member first, or set allow_remap`,
    metadata: { load_balancer: input.loadBalancer, rule: rule.name, member: had.member, port: `${had.port}` },
  });
}

function reportPinOutside(member: Member, pin: Port, input: Case, board: Board): void {
  const { start, capacity, portsPerMember } = board.range;
  const last = firstPortOf(board.range, capacity - 1);
  const steps = portsPerMember === 1 ? '' : ` in steps of ${portsPerMember}`;
  const description = `port ${pin}: must be ${start} to ${last}${steps}, as rule ${input.rule.name} gives them`;
  reportPin('PIN_INVALID', description, member, pin, input, board);
}

function reportPin(
  reason: 'PIN_INVALID' | 'PIN_TAKEN',
  description: string,
  member: Member,
  pin: Port,
  input: Case,
  board: Board,
): void {
  const { rule, origin } = input;
  const field = pinField(origin.member(rule.backendPool, member.id), rule.name);
  const metadata = { rule: rule.name, member: member.id, port: `${pin}` };
  board.violations.push({ field, reason, description, metadata });
}

function reportExhausted(misfits: readonly Member[], input: Case, board: Board): void {
  const { rule, origin, members } = input;
  const { start, end, capacity, portsPerMember } = board.range;
  const needed = members.length;
  const enough = start + needed * portsPerMember - 1;
  const fields = input.ruleChanged
    ? [origin.natRule(rule.name)]
    : misfits.map((member) => origin.member(rule.backendPool, member.id));
  const room = `ports ${start} to ${end} of rule ${input.loadBalancer}/${rule.name} have room for ${capacity} machines`;
  for (const field of fields) {
    board.violations.push({
      field,
      reason: 'PORT_RANGE_EXHAUSTED',
      description: `${room}, and pool ${rule.backendPool} needs ${needed}: enlarge the range to end at ${enough} or above`,
      metadata: {
        load_balancer: input.loadBalancer,
        rule: rule.name,
        needed: `${needed}`,
        available: `${capacity}`,
      },
    });
  }
}
