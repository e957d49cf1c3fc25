// Reads of nf_tables over netlink: microseconds, whatever the number of elements, where any `nft list` may read them all.
// Layouts: include/uapi/linux/netfilter/nf_tables.h.
import type { Family } from '../../resources/address.ts';
import {
  type Attributes,
  attribute,
  attributes,
  eachAttribute,
  flags,
  type Message,
  messageType,
  nativeU32,
  nest,
  request,
  text,
} from '../netlink/netlink.ts';
import { NetlinkError, type NetlinkSocket, openNetlinkSocket } from '../netlink/socket.ts';
import { fastRuleCount, fastTableName } from './fast-table.ts';
import {
  floatingRuleCount,
  floatingSets,
  floatingTableName,
  isFloatingSet,
  tableOfFloatingSet,
} from './floating-table.ts';
import { isRangeSet, passingSets } from './limit-chains.ts';
import { isOnDemand, ruleCountOf } from './on-demand.ts';
import { shapeVersion } from './shape-version.ts';
import { ruleCount, setDefinitions, tableName } from './skeleton.ts';
import { type KernelStamp, readStamp } from './stamp.ts';

const subsystem = 10 << 8;
const message = {
  getTable: 1,
  getChain: 4,
  getRule: 7,
  getSet: 10,
  getSetElement: 13,
  getGeneration: 16,
  getFlowtable: 23,
} as const;
const NFPROTO_INET = 1;
const NFPROTO_IPV4 = 2;
const NFPROTO_IPV6 = 10;
const ENOENT = 2;
const families = [4, 6] as const;

/** What the kernel has of ours. */
export interface Shape {
  /**
   * `current`: every set and rule of this version stands, and what there is on demand is whole. `other`: there is a table, but
   * not like that.
   */
  readonly kind: 'absent' | 'current' | 'other';
  /** Absent where no load was ever completed, or another version made it. */
  readonly stamp?: KernelStamp;
  /** Elements by set name; empty on older kernels, which do not tell (NFTA_SET_COUNT). */
  readonly elements: ReadonlyMap<string, number>;
  /** Chains that were made on demand. */
  readonly chains: ReadonlySet<string>;
}

/** Packets and bytes of one element. */
export interface ElementCounter {
  readonly packets: number;
  readonly bytes: number;
}

/** The number of the ruleset's generation: each committed transaction, whoever's, adds 1. */
export function readGeneration(socket: NetlinkSocket): number {
  let generation = 0;
  ask(socket, message.getGeneration, flags.ack, [], ({ body }) => {
    generation = attributes(body).get(1)?.readUInt32BE() ?? 0;
  });
  return generation;
}

export function readShape(socket: NetlinkSocket): Shape {
  const table = attribute(1, text(tableName));
  const elements = new Map<string, number>();
  const chains = new Set<string>();
  let tableFlags = 0;
  try {
    ask(socket, message.getTable, flags.ack, [table], ({ body }) => {
      tableFlags = attributes(body).get(2)?.readUInt32BE() ?? 0;
    });
  } catch (error) {
    if (error instanceof NetlinkError && error.errno === ENOENT) return { kind: 'absent', elements, chains };
    throw error;
  }
  const sets = new Set<string>();
  ask(socket, message.getSet, flags.dump, [table], ({ body }) => {
    const found = attributes(body);
    const name = name0(found.get(2));
    sets.add(name);
    const count = found.get(20);
    if (count !== undefined && !name.startsWith('__') && !passingSets.has(name))
      elements.set(name, count.readUInt32BE());
  });
  ask(socket, message.getChain, flags.dump, [], ({ body }) => {
    const found = attributes(body);
    const chain = name0(found.get(3));
    if (name0(found.get(1)) === tableName && isOnDemand(chain)) chains.add(chain);
  });
  const rules = new Map<string, number>();
  let constant = 0;
  ask(socket, message.getRule, flags.dump, [table], ({ body }) => {
    const chain = name0(attributes(body).get(2));
    if (isOnDemand(chain)) rules.set(chain, (rules.get(chain) ?? 0) + 1);
    else constant += 1;
  });
  const wholeOnDemand = chains.values().every((chain) => rules.get(chain) === ruleCountOf(chain));
  const ranges = new Set([...sets].filter(isRangeSet));
  const complete =
    // A table with a flag is not ours: NFT_TABLE_F_DORMANT would switch all of it off.
    tableFlags === 0 &&
    constant === ruleCount &&
    setDefinitions.every(({ name }) => sets.has(name)) &&
    wholeOnDemand &&
    // They come and go in one transaction.
    ranges.symmetricDifference(new Set([...chains].filter(isRangeSet))).size === 0;
  if (!complete) return { kind: 'other', elements, chains };
  const { stamp, isForeign } = readStamps(socket);
  return { kind: isForeign ? 'other' : 'current', elements, chains, ...(stamp && { stamp }) };
}

/**
 * Elements by set name, listed and counted, for kernels that do not tell; undefined where there are more than `most` in all.
 * The table must exist, with `chains`, and the tables for floating addresses where they are asked for. It has a socket of its
 * own, because a listing ends early only so.
 */
export async function countElements(
  most: number,
  floating: boolean,
  chains: ReadonlySet<string>,
): Promise<ReadonlyMap<string, number> | undefined> {
  const found = new Map<string, number>();
  let total = 0;
  const socket = await openNetlinkSocket();
  try {
    const defined = [...setDefinitions, ...(floating ? families.flatMap(floatingSets) : [])];
    for (const name of [...defined.map((set) => set.name), ...[...chains].filter(isRangeSet)]) {
      if (passingSets.has(name)) continue;
      const sequence = socket.nextSequence();
      const type = subsystem | message.getSetElement;
      const query = request(type, familyOfSet(name), flags.dump, sequence, ...setOf(name));
      let count = 0;
      let errno = 0;
      await socket.exchangeAsync(query, sequence, (answer) => {
        errno ||= answer.errno ?? 0;
        if (answer.type === messageType.error || answer.type === messageType.done) return;
        for (const _ of eachAttribute(attributes(answer.body).get(3))) count += 1;
        if (total + count > most) throw new TooMany();
      });
      if (errno !== 0) throw new NetlinkError('nf_tables', errno);
      total += count;
      found.set(name, count);
    }
    return found;
  } catch (error) {
    if (error instanceof TooMany) return undefined;
    throw error;
  } finally {
    socket.close();
  }
}

class TooMany extends Error {}

/** What the kernel has of the fast path's table: the interfaces of its flowtable, or undefined where nothing stands. */
export function readFastTable(
  socket: NetlinkSocket,
): { readonly whole: boolean; readonly devices: readonly string[] } | undefined {
  const table = attribute(1, text(fastTableName));
  let tableFlags = 0;
  let rules = 0;
  const devices: string[] = [];
  try {
    ask(socket, message.getTable, flags.ack, [table], ({ body }) => {
      tableFlags = attributes(body).get(2)?.readUInt32BE() ?? 0;
    });
  } catch (error) {
    if (error instanceof NetlinkError && error.errno === ENOENT) return undefined;
    throw error;
  }
  ask(socket, message.getRule, flags.dump, [table], () => {
    rules += 1;
  });
  ask(socket, message.getFlowtable, flags.dump, [table], ({ body }) => {
    for (const { value } of eachAttribute(attributes(attributes(body).get(3)).get(3)))
      devices.push(name0(value));
  });
  return { whole: tableFlags === 0 && rules === fastRuleCount, devices };
}

/** Whether the tables for floating addresses stand: `whole` as this version makes them, `other` somehow, `absent`. */
export function readFloatingTables(socket: NetlinkSocket): 'whole' | 'other' | 'absent' {
  const found = families.map((family) => readFloatingTable(socket, family));
  if (found.every((each) => each === 'absent')) return 'absent';
  return found.every((each) => each === 'whole') ? 'whole' : 'other';
}

/** Elements of these tables, which must exist, by set name, without those that packets write. */
export function readFloatingElements(socket: NetlinkSocket): ReadonlyMap<string, number> {
  const elements = new Map<string, number>();
  const table = attribute(1, text(floatingTableName));
  const read = ({ body }: Message): void => {
    const found = attributes(body);
    const name = name0(found.get(2));
    const count = found.get(20);
    if (count !== undefined && isFloatingSet(name)) elements.set(name, count.readUInt32BE());
  };
  for (const family of families) ask(socket, message.getSet, flags.dump, [table], read, protocolOf(family));
  return elements;
}

function protocolOf(family: Family): number {
  return family === 4 ? NFPROTO_IPV4 : NFPROTO_IPV6;
}

function readFloatingTable(socket: NetlinkSocket, family: Family): 'whole' | 'other' | 'absent' {
  const table = attribute(1, text(floatingTableName));
  const protocol = protocolOf(family);
  let tableFlags = 0;
  let rules = 0;
  try {
    const read = ({ body }: Message): void => {
      tableFlags = attributes(body).get(2)?.readUInt32BE() ?? 0;
    };
    ask(socket, message.getTable, flags.ack, [table], read, protocol);
  } catch (error) {
    if (error instanceof NetlinkError && error.errno === ENOENT) return 'absent';
    throw error;
  }
  ask(socket, message.getRule, flags.dump, [table], () => (rules += 1), protocol);
  return tableFlags === 0 && rules === floatingRuleCount(family) ? 'whole' : 'other';
}

/** The stamp alone; the table must exist. */
export function readKernelStamp(socket: NetlinkSocket): KernelStamp | undefined {
  return readStamps(socket).stamp;
}

/** `isForeign` where another version has stamped the table. */
function readStamps(socket: NetlinkSocket): { readonly stamp?: KernelStamp; readonly isForeign: boolean } {
  const version = nativeU32(shapeVersion);
  let stamp: KernelStamp | undefined;
  let isForeign = false;
  ask(socket, message.getSetElement, flags.dump, setOf('stamp'), ({ body }) => {
    for (const { value } of eachAttribute(attributes(body).get(3))) {
      const element = attributes(value);
      const bytes = attributes(element.get(2)).get(1);
      if (!attributes(element.get(1)).get(1)?.equals(version)) isForeign = true;
      else if (bytes) stamp = readStamp(bytes);
    }
  });
  return { isForeign, ...(stamp && { stamp }) };
}

/** The counters of single elements, in the order asked for; `undefined` for those that are not there. */
export function readCounters(
  socket: NetlinkSocket,
  asked: readonly { readonly set: string; readonly key: Buffer }[],
): readonly (ElementCounter | undefined)[] {
  const found: (ElementCounter | undefined)[] = new Array(asked.length).fill(undefined);
  if (asked.length === 0) return found;
  const place = new Map<number, number>();
  let last = 0;
  const requests = asked.map(({ set, key }, index) => {
    last = socket.nextSequence();
    place.set(last, index);
    const element = nest(1, nest(1, attribute(1, key)));
    const requestFlags = index === asked.length - 1 ? flags.ack : 0;
    return request(
      subsystem | message.getSetElement,
      familyOfSet(set),
      requestFlags,
      last,
      ...setOf(set),
      nest(3, element),
    );
  });
  socket.exchange(Buffer.concat(requests), last, ({ type, sequence, body }) => {
    const index = place.get(sequence);
    if (index === undefined || type === messageType.error) return;
    for (const { value } of eachAttribute(attributes(body).get(3))) {
      found[index] = elementCounter(attributes(value));
    }
  });
  return found;
}

function elementCounter(element: Attributes): ElementCounter | undefined {
  const [listed] = eachAttribute(element.get(11));
  const expression = attributes(element.get(7) ?? listed?.value);
  if (name0(expression.get(1)) !== 'counter') return undefined;
  const counter = attributes(expression.get(2));
  const bytes = counter.get(1);
  const packets = counter.get(2);
  if (bytes === undefined || packets === undefined) return undefined;
  return { packets: Number(packets.readBigUInt64BE()), bytes: Number(bytes.readBigUInt64BE()) };
}

function setOf(name: string): readonly Buffer[] {
  const table = isFloatingSet(name) ? floatingTableName : tableName;
  return [attribute(1, text(table)), attribute(2, text(name))];
}

function familyOfSet(name: string): number {
  if (!isFloatingSet(name)) return NFPROTO_INET;
  return tableOfFloatingSet(name).family === 'ip' ? NFPROTO_IPV4 : NFPROTO_IPV6;
}

function name0(bytes: Buffer | undefined): string {
  return bytes === undefined ? '' : bytes.toString('latin1', 0, Math.max(0, bytes.length - 1));
}

function ask(
  socket: NetlinkSocket,
  type: number,
  requestFlags: number,
  content: readonly Buffer[],
  onMessage: (message: Message) => void,
  family = NFPROTO_INET,
): void {
  const sequence = socket.nextSequence();
  let errno = 0;
  socket.exchange(
    request(subsystem | type, family, requestFlags, sequence, ...content),
    sequence,
    (answer) => {
      if (answer.sequence !== sequence) return;
      if (answer.errno !== undefined) errno = answer.errno;
      else if (answer.type !== messageType.done) onMessage(answer);
    },
  );
  if (errno !== 0) throw new NetlinkError('nf_tables', errno);
}
