// The data plane over nftables: constant rules, and each change one transaction on their sets and maps. What rules are made
// on demand come before, and do nothing until elements lead to them.
import type { Logger } from 'pino';
import type { Change } from '../../forwarding/change.ts';
import type { FlowLimit } from '../../forwarding/flow-limits.ts';
import type { Entry, ForwardingTable, Ring, RingMember } from '../../forwarding/table.ts';
import { type FlowDeletion, type Flows, flowsOver } from '../conntrack/flows.ts';
import { listTracked } from '../conntrack/list.ts';
import {
  CommitFailed,
  type Counters,
  type DataPlane,
  DataPlaneUnavailable,
  type Finding,
  type KernelState,
  type PlaneReport,
  type Refusals,
  type Stamp,
  type Verdict,
} from '../dataplane.ts';
import type { FlowList, FlowQuery } from '../live-flow.ts';
import { type NetlinkSocket, openNetlinkSocket } from '../netlink/socket.ts';
import type { Connection } from '../reset/connection.ts';
import { endingRemovalText } from '../reset/ending-table.ts';
import { Resets } from '../reset/resets.ts';
import { createBulkFile, runNft } from './bulk.ts';
import { entryCounters } from './counters.ts';
import { type Element, jsonCommands, type Operation, textCommands } from './element.ts';
import {
  changeOperations,
  cutsFlows,
  tableElements,
  tableEntries,
  tableLimits,
  tableRings,
} from './encode.ts';
import { type FastPath, openFastPath } from './fast-path.ts';
import { floatingNotes } from './floating-notes.ts';
import { floatingRemovalText, floatingText } from './floating-table.ts';
import { FlowEndings } from './flow-endings.ts';
import { grouped } from './grouping.ts';
import { IdleResets } from './idle-resets.ts';
import {
  countElements,
  readFloatingElements,
  readFloatingTables,
  readGeneration,
  readKernelStamp,
  readShape,
  type Shape,
} from './kernel.ts';
import { loadFresh, replaceContent, replaceEmpty, replaceTable } from './load.ts';
import { additionText, chainsOf, elementsOf, removalText } from './on-demand.ts';
import { addOutboundRule } from './outbound-rule.ts';
import { probeFlows, probeNft, probeRuleset } from './probe.ts';
import { limitRefusals } from './refusals.ts';
import { prepareScratch } from './scratch.ts';
import { type Outcome, type Session, startSession } from './session.ts';
import { flowClass, tableName } from './skeleton.ts';
import { type KernelStamp, nextSequence, stampElement } from './stamp.ts';

export interface NftablesOptions {
  /** Private to this process. Default: a fresh directory in shared memory for each large transaction. */
  readonly scratchDirectory?: string;
  /** `one-by-one` ends flows as on kernels before 6.11. Default: as the kernel allows. */
  readonly flowDeletion?: FlowDeletion;
  /** `listed` counts elements as on kernels before 6.18. Default: as the kernel tells. */
  readonly elementCounts?: 'listed';
  /** `auto`: established flows take a flowtable, where the kernel has one. Default: `off`, and one that is found goes. */
  readonly flowtable?: 'auto' | 'off';
  readonly logger: Logger;
}

/** So many operations are told to the session; it reads its input byte by byte, so of more it gets a file. */
const toldOperations = 40;
/**
 * Up to here the file is for the session. An nft of its own waits at its end until the kernel has freed what was deleted
 * (10 to 20 ms), but gives back its memory.
 */
const sessionOperations = 5000;

const top = 2 ** 24;
export const flowMarks = {
  ours: flowClass.nat * top,
  nat: flowClass.nat * top,
  natAnyPort: flowClass.natAnyPort * top,
  balanced: flowClass.balanced * top,
  balancedAnyPort: flowClass.balancedAnyPort * top,
  outbound: flowClass.outbound * top,
} as const;

/**
 * Where the kernel does not tell how many elements a set holds, up to so many in all are listed and counted, in about 50 ms.
 * More are not: listing a map is quadratic in the kernel.
 */
const listedAtMost = 10_000;

/** A line of this many characters is faster read by an nft of its own than by the session. */
const toldCharacters = 4_000;

const withoutFastPath =
  'no flowtable fast path while a rule has an idle timeout: the kernel does not see to it there';

/** From so many entries on, the first ones go into an empty table faster in two halves. */
const fillingAtOnce = 5_000;

/** What is held between `open` and `close`. */
interface Held {
  readonly scratch: string;
  readonly session: Session;
  /** Whether the session answers as it should: other builds of nft may echo or prompt. */
  readonly talks: boolean;
  /** For questions that the kernel answers at once. */
  readonly questions: NetlinkSocket;
  readonly flowSocket: NetlinkSocket;
  readonly flows: Flows;
  readonly fast: FastPath;
  readonly resets: Resets;
  readonly endings: FlowEndings;
  readonly idleResets: IdleResets;
}

export class NftablesDataPlane implements DataPlane {
  readonly kind = 'nftables';
  readonly #options: NftablesOptions;
  readonly #logger: Logger;
  #held: Held | undefined;
  /** What the kernel ran after our last transaction. */
  #stamp: KernelStamp | undefined;
  /** The ruleset's generation up to which all transactions are known; -1 when somebody else's came in between. */
  #generation = -1;
  /** Known to forward nothing: no element but the stamp and the gate's. */
  #idle = false;
  /** How many elements each set holds; undefined where that is not known. */
  #elements: Map<string, number> | undefined;
  /** Chains in the kernel that were made on demand. */
  #chains = new Set<string>();
  /** The tables for floating addresses stand, because a rule asked for them. */
  #floating = false;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: NftablesOptions) {
    this.#options = options;
    this.#logger = options.logger;
  }

  open(): Promise<KernelState> {
    return this.#inTurn(async () => {
      await this.#letGo();
      this.#idle = false;
      const findings: Finding[] = [];
      const nft = await probeNft();
      if ('finding' in nft) findings.push(nft.finding);
      else findings.push(...(await probeRuleset()));
      const sockets = await openSockets();
      if ('finding' in sockets) throw new DataPlaneUnavailable([...findings, sockets.finding]);
      const flows = flowsOver(sockets.flowSocket, flowMarks, this.#options.flowDeletion);
      // Without the permission the one answer says enough.
      if (!findings.some(({ code }) => code === 'NFT_NOT_PERMITTED')) {
        const ending = await probeFlows(flows);
        if ('finding' in ending) findings.push(ending.finding);
      }
      if (findings.length > 0 || 'finding' in nft) {
        sockets.questions.close();
        sockets.flowSocket.close();
        throw new DataPlaneUnavailable(findings);
      }
      const scratch = await prepareScratch(this.#options.scratchDirectory);
      const session = startSession();
      const greeting = await session.run('');
      if (greeting.kind !== 'done') {
        this.#logger.warn(
          { log: greeting.log },
          'nft cannot be talked to in a session; each change takes longer',
        );
      }
      const fast = await openFastPath({
        wanted: this.#options.flowtable === 'auto',
        questions: sockets.questions,
        run: (line) => this.#runText(line),
        logger: this.#logger,
      });
      const resets = new Resets({ run: (line) => this.#runLine(line) });
      const logger = this.#logger;
      this.#held = {
        talks: greeting.kind === 'done',
        scratch,
        session,
        flows,
        fast,
        resets,
        endings: new FlowEndings({ flows, resets, logger }),
        idleResets: new IdleResets({ flows, marks: flowMarks, resets, logger }),
        ...sockets,
      };
      await this.#recognize();
      return { version: nft.version, ...(this.#stamp && { stamp: this.#stamp.stamp }) };
    });
  }

  load(table: ForwardingTable, stamp: Stamp): Promise<void> {
    return this.#inTurn(async () => {
      const { scratch, questions, endings, fast } = this.#open();
      this.#idle = false;
      await endings.compared();
      await fast.pause();
      const shape = readShape(questions);
      const next = { stamp, sequence: nextSequence(shape.stamp?.sequence ?? 0) };
      const wanted = chainsOf(tableEntries(table), tableLimits(table));
      // A table of another version, or with other rules, is made anew where the new elements come: between the two a
      // client's segments would meet the gateway itself, which knows no such connection.
      const asked = asksToFloat(tableEntries(table), tableRings(table));
      const standing = readFloatingTables(questions);
      const floating = asked && standing === 'whole' && shape.stamp !== undefined;
      const outdated = !floating && (asked || standing !== 'absent');
      const context = {
        scratch,
        elements: () => tableElements(table),
        chains: shape.kind === 'current' ? wanted.union(shape.chains) : wanted,
        language: outdated ? ('text' as const) : languageFor(tableLimits(table)),
        floating,
        floatingText: outdated ? (asked ? floatingText() : floatingRemovalText()) : '',
        run: (all: Iterable<Operation>) => this.#transact(all),
        complete: () => addOutboundRule(questions),
        stamp: stampElement(next),
      };
      this.#chains = new Set(shape.chains);
      if (shape.kind === 'current') await this.#prepareChains(wanted);
      // A table that is ours but unstamped was left by a load that never came to its end: it forwards nothing.
      let outcome: Outcome;
      if (shape.kind === 'absent') outcome = await loadFresh(context);
      else if (shape.kind === 'current') outcome = await replaceContent(context);
      else outcome = await replaceTable(context);
      if (asked && outdated && outcome.kind === 'refused') await this.#mayFloat();
      this.#conclude(outcome, next);
      await this.#recognize();
      if (this.#stamp?.sequence !== next.sequence) {
        throw new CommitFailed('the table was loaded but cannot be read back', 'the stamp is missing');
      }
      await this.#dropChains(wanted);
      this.#idle = tableElements(table).next().done === true;
      endings.soonAllBut(table);
    });
  }

  commit(change: Change, stamp: Stamp): Promise<void> {
    return this.#inTurn(async () => {
      const { questions, endings, fast } = this.#open();
      await endings.compared();
      const previous = this.#stamp;
      if (previous === undefined) throw new CommitFailed('nothing is loaded that could be changed', '');
      const chains = chainsOf(entriesOf(change), limitsOf(change));
      if (cutsFlows(change) || entriesOf(change).some(({ target }) => target.idle !== undefined))
        await fast.pause();
      const next = { stamp, sequence: nextSequence(previous.sequence) };
      if (this.#idle && change.added.length > fillingAtOnce) {
        if (asksToFloat(entriesOf(change), ringsOf(change))) await this.#prepareFloating();
        await this.#fill(change, previous, next);
        endings.soon(change);
        return;
      }
      this.#idle = false;
      await this.#prepareChains(chains);
      if (!this.#floating && asksToFloat(entriesOf(change), ringsOf(change))) await this.#prepareFloating();
      const known = readGeneration(questions) === this.#generation;
      const growth = new Map<string, number>();
      const outcome = await this.#transact(
        counted(operations(change, previous, next), growth),
        languageFor(change.limits),
      );
      this.#conclude(outcome, next);
      for (const [set, more] of growth) this.#grow(set, more);
      const generation = readGeneration(questions);
      this.#generation = known && generation === this.#generation + 1 ? generation : -1;
      await endings.now(change.ending);
      endings.soon(change);
    });
  }

  /** The first entries of a table, when they are many: two programs share the work, as in a first load. */
  async #fill(change: Change, previous: KernelStamp, next: KernelStamp): Promise<void> {
    const { scratch, questions } = this.#open();
    const context = {
      scratch,
      elements: () => additionsOf(change),
      chains: chainsOf(entriesOf(change), limitsOf(change)),
      language: languageFor(change.limits),
      floating: this.#floating,
      floatingText: '',
      run: (all: Iterable<Operation>) => this.#transact(all),
      complete: () => addOutboundRule(questions),
      stamp: stampElement(next),
    };
    const outcome = await replaceEmpty(context, stampElement(previous));
    try {
      this.#conclude(outcome, next);
      this.#idle = false;
    } finally {
      await this.#recognize();
    }
  }

  async counters(entries: readonly Entry[]): Promise<ReadonlyMap<Entry, Counters>> {
    return await entryCounters(this.#open().questions, entries);
  }

  async refusals(limits: readonly FlowLimit[]): Promise<ReadonlyMap<FlowLimit, Refusals>> {
    return await limitRefusals(this.#open().questions, limits);
  }

  /** None: a ring is a map from slots to addresses, and the element that counts its traffic is the rule's. */
  async memberCounters(): Promise<ReadonlyMap<RingMember, Counters>> {
    return new Map();
  }

  /** What conntrack has of ours. */
  flows(query: FlowQuery): Promise<FlowList> {
    this.#open();
    return listTracked(flowMarks, query);
  }

  /** Nothing of its own but the fast path: the rules see whatever comes in, and flows are conntrack's. */
  async report(table?: ForwardingTable): Promise<PlaneReport> {
    const notes = this.#keepsFlows() ? [withoutFastPath] : (this.#held?.fast.notes() ?? []);
    return {
      interfaces: [],
      maps: [],
      reasons: [],
      notes: [...notes, ...(table ? floatingNotes(table) : [])],
    };
  }

  tend(table: ForwardingTable): void {
    this.#held?.idleResets.tend(table);
  }

  /** Ends connections that are kept elsewhere, see `Resets.end`. */
  async resetConnections(connections: readonly Connection[], forget: () => void): Promise<void> {
    await this.#open().resets.end(connections, forget);
  }

  verify(): Promise<Verdict> {
    return this.#inTurn(async () => {
      const { questions, fast } = this.#open();
      const foreign = readGeneration(questions) !== this.#generation;
      const verdict = await this.#verify();
      if (verdict.kind === 'damaged') return verdict;
      // The kernel keeps flows of a flowtable by rules of its own, whatever their timeout.
      if (this.#keepsFlows()) await fast.pause();
      const detail = this.#keepsFlows() ? undefined : await fast.tend(foreign);
      return detail === undefined ? verdict : { kind: 'mended', detail };
    });
  }

  flush(): Promise<void> {
    return this.#inTurn(async () => {
      const { questions, flows, fast } = this.#open();
      await fast.pause();
      const ending = await runNft(['-f', '-'], `${endingRemovalText}\n`);
      if (ending.kind !== 'done')
        throw new CommitFailed('the table of endings could not be removed', ending.log);
      const floating = await runNft(['-f', '-'], floatingRemovalText());
      if (floating.kind !== 'done')
        throw new CommitFailed('the tables for floating addresses could not be removed', floating.log);
      this.#floating = false;
      if (readShape(questions).kind !== 'absent') {
        const outcome = await runNft(['delete', 'table', 'inet', tableName]);
        if (outcome.kind !== 'done' && readShape(questions).kind !== 'absent') {
          throw new CommitFailed('the table could not be removed', outcome.log);
        }
      }
      this.#stamp = undefined;
      this.#generation = -1;
      this.#idle = false;
      await flows.endAll();
    });
  }

  close(): Promise<void> {
    return this.#inTurn(() => this.#letGo());
  }

  async #letGo(): Promise<void> {
    const held = this.#held;
    if (held === undefined) return;
    await held.idleResets.close();
    this.#held = undefined;
    await held.endings.close();
    held.resets.close();
    await held.session.close();
    held.fast.close();
    held.questions.close();
    held.flowSocket.close();
  }

  #open(): Held {
    if (this.#held === undefined) throw new Error('the data plane is not open');
    return this.#held;
  }

  /** Takes what the kernel runs now as known. */
  async #recognize(): Promise<void> {
    const { questions } = this.#open();
    const generation = readGeneration(questions);
    const shape = readShape(questions);
    this.#stamp = shape.stamp;
    this.#chains = new Set(shape.chains);
    this.#floating = shape.kind === 'current' && readFloatingTables(questions) !== 'absent';
    const elements = shape.kind === 'current' ? await this.#count(shape) : undefined;
    this.#elements = elements && new Map(elements);
    this.#generation = shape.stamp === undefined ? -1 : generation;
  }

  /** A transaction that leaves the table as it is. */
  async #runText(line: string): Promise<Outcome> {
    const { questions, session, talks } = this.#open();
    const before = readGeneration(questions);
    const outcome = talks ? await session.runText(line) : await runNft(['-f', '-'], line);
    const after = readGeneration(questions);
    this.#generation = before === this.#generation && after <= before + 1 ? after : -1;
    return outcome;
  }

  /** Whether rules ask for idle timeouts, and the fast path is wanted. */
  #keepsFlows(): boolean {
    return this.#options.flowtable === 'auto' && this.#held?.idleResets.asked === true;
  }

  /** The same for a line of any length. */
  async #runLine(line: string): Promise<Outcome> {
    if (line.length <= toldCharacters) return this.#runText(line);
    // What the generation is afterwards, the next check finds out.
    this.#generation = -1;
    return runNft(['-f', '-'], `${line}\n`);
  }

  /** Makes the chains that are missing, before elements lead to them; without any they do nothing. Throws `CommitFailed`. */
  async #prepareChains(chains: ReadonlySet<string>): Promise<void> {
    const missing = chains.difference(this.#chains);
    if (missing.size === 0) return;
    const outcome = await this.#runLine(additionText(tableName, missing));
    if (outcome.kind !== 'done') {
      const names = [...missing].join(', ');
      throw new CommitFailed(`the kernel refused the chains ${names}: ${summary(outcome.log)}`, outcome.log);
    }
    for (const chain of missing) this.#chains.add(chain);
    for (const { set } of elementsOf(missing)) this.#grow(set, 1);
  }

  /** Takes away the others, which no element leads to any more. Where that fails they are harmless. */
  async #dropChains(wanted: ReadonlySet<string>): Promise<void> {
    const left = this.#chains.difference(wanted);
    if (left.size === 0) return;
    const outcome = await this.#runLine(removalText(tableName, left));
    if (outcome.kind !== 'done') {
      this.#logger.warn({ log: outcome.log }, 'chains that are no more in use could not be removed');
      return;
    }
    for (const chain of left) this.#chains.delete(chain);
    for (const { set } of elementsOf(left)) this.#grow(set, -1);
  }

  /** Makes the tables for floating addresses, unless they stand. Throws `CommitFailed`. */
  async #prepareFloating(): Promise<void> {
    const { questions } = this.#open();
    if (readFloatingTables(questions) !== 'whole') {
      this.#generation = -1;
      const outcome = await runNft(['-f', '-'], floatingText());
      if (outcome.kind !== 'done' && readFloatingTables(questions) !== 'whole')
        throw cannotFloat(outcome.log);
    }
    this.#floating = true;
  }

  /** Throws `CommitFailed` where that is why a load was refused. */
  async #mayFloat(): Promise<void> {
    const outcome = await runNft(['-c', '-f', '-'], floatingText());
    if (outcome.kind !== 'done') throw cannotFloat(outcome.log);
  }

  async #transact(all: Iterable<Operation>, language: 'json' | 'text' = 'json'): Promise<Outcome> {
    const { session, talks, scratch } = this.#open();
    const rest = all[Symbol.iterator]();
    const first: Operation[] = [];
    let complete = false;
    while (talks && !complete && first.length <= sessionOperations) {
      const { done, value } = rest.next();
      if (done) complete = true;
      else first.push(value);
    }
    if (complete && language === 'json' && first.length <= toldOperations) {
      return session.run([...jsonCommands(first)].join('').replaceAll('\n', ''));
    }
    const inText = complete || language === 'text';
    const file = await createBulkFile(scratch, inText ? 'text' : 'json');
    try {
      const grouping = grouped(complete ? first : chain(first, rest));
      await file.write(inText ? textCommands(grouping) : jsonFile(grouping));
    } catch (error) {
      await file.discard();
      throw new CommitFailed('the transaction could not be written', String(error));
    }
    return complete ? file.run((path) => session.runFile(path)) : file.run();
  }

  /** Turns an outcome into success or `CommitFailed`; where it is unknown, by what the kernel has. */
  #conclude(outcome: Outcome, next: KernelStamp): void {
    if (outcome.kind === 'unknown') {
      this.#logger.warn({ log: outcome.log }, 'nft ended in the midst of a transaction');
      const { questions } = this.#open();
      this.#generation = -1;
      const found = readShape(questions).kind === 'current' ? readKernelStamp(questions) : undefined;
      if (found?.sequence !== next.sequence || found.stamp.instance !== next.stamp.instance) {
        throw new CommitFailed('nft ended before the kernel had the transaction', outcome.log);
      }
    } else if (outcome.kind === 'refused') {
      throw new CommitFailed(`the kernel refused the transaction: ${summary(outcome.log)}`, outcome.log);
    }
    this.#stamp = next;
  }

  #grow(set: string, more: number): void {
    this.#elements?.set(set, (this.#elements.get(set) ?? 0) + more);
  }

  /** Undefined where the kernel does not tell, and they are too many to be listed. */
  async #count({ elements, chains }: Shape): Promise<ReadonlyMap<string, number> | undefined> {
    const told = elements.size > 0 && this.#options.elementCounts !== 'listed';
    if (!told) return countElements(listedAtMost, this.#floating, chains);
    return this.#floating
      ? new Map([...elements, ...readFloatingElements(this.#open().questions)])
      : elements;
  }

  /** What somebody else has added or removed, as far as it can be told. */
  async #strangeElements(shape: Shape): Promise<string | undefined> {
    const own = this.#elements;
    if (own === undefined) return undefined;
    const found = await this.#count(shape);
    if (found === undefined) {
      const total = own.values().reduce((sum, count) => sum + count, 0);
      return total > listedAtMost ? undefined : `its sets hold more than the ${total} elements of ours`;
    }
    for (const [set, count] of found) {
      const expected = own.get(set) ?? 0;
      if (expected !== count) return `${set} holds ${count} elements instead of ${expected}`;
    }
    return undefined;
  }

  async #verify(): Promise<Verdict> {
    const { questions } = this.#open();
    const expected = this.#stamp;
    if (expected === undefined) return { kind: 'damaged', detail: 'nothing is loaded' };
    const generation = readGeneration(questions);
    if (generation === this.#generation) return { kind: 'intact' };
    const shape = readShape(questions);
    if (shape.kind === 'absent') return { kind: 'damaged', detail: `the table inet ${tableName} is gone` };
    if (shape.kind === 'other') {
      return {
        kind: 'damaged',
        detail: `rules of the table inet ${tableName} were added, removed or switched off`,
      };
    }
    if (
      shape.stamp?.sequence !== expected.sequence ||
      shape.stamp.stamp.instance !== expected.stamp.instance ||
      shape.stamp.stamp.revision !== expected.stamp.revision
    ) {
      return { kind: 'damaged', detail: `the table inet ${tableName} was loaded by somebody else` };
    }
    const lost = this.#chains.difference(shape.chains);
    if (lost.size > 0) return { kind: 'damaged', detail: `chains were removed: ${[...lost].join(', ')}` };
    if (this.#floating && readFloatingTables(questions) !== 'whole') {
      return { kind: 'damaged', detail: 'the tables for floating addresses were removed or changed' };
    }
    const strange = await this.#strangeElements(shape);
    if (strange !== undefined) return { kind: 'damaged', detail: strange };
    this.#generation = generation;
    return { kind: 'intact' };
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => {});
    return result;
  }
}

/** JSON, unless there are limits, whose elements it cannot say. */
function languageFor(limits: Iterable<unknown>): 'json' | 'text' {
  return limits[Symbol.iterator]().next().done === true ? 'json' : 'text';
}

/** Those that are there after it and were not as they are. */
function* entriesOf({ added, replaced }: Change): Generator<Entry> {
  yield* added;
  for (const { after } of replaced) yield after;
}

/** Limits that are there after it and were not as they are. */
function* limitsOf({ limits }: Change): Generator<FlowLimit> {
  for (const { after } of limits) if (after !== undefined) yield after;
}

/** Rings that are there after it. */
function* ringsOf({ rings }: Change): Generator<Ring> {
  for (const { after } of rings) if (after !== undefined) yield after;
}

/** True where the tables for floating addresses are needed. */
function asksToFloat(entries: Iterable<Entry>, rings: Iterable<Ring>): boolean {
  for (const { floating } of rings) if (floating) return true;
  for (const { target } of entries) if (target.kind === 'balanced' && target.floating) return true;
  return false;
}

function* additionsOf(change: Change): Generator<Element> {
  for (const { verb, element } of changeOperations(change)) if (verb === 'add') yield element;
}

function* operations(change: Change, previous: KernelStamp, next: KernelStamp): Generator<Operation> {
  yield { verb: 'delete', element: stampElement(previous) };
  yield { verb: 'add', element: stampElement(next) };
  yield* changeOperations(change);
}

/** Passes operations on and counts by how many elements each set grows. */
function* counted(all: Iterable<Operation>, growth: Map<string, number>): Generator<Operation> {
  for (const operation of all) {
    const { set } = operation.element;
    growth.set(set, (growth.get(set) ?? 0) + (operation.verb === 'add' ? 1 : -1));
    yield operation;
  }
}

function* jsonFile(all: Iterable<Operation>): Generator<string> {
  yield '{"nftables":[';
  yield* jsonCommands(all);
  yield ']}';
}

function* chain<T>(first: readonly T[], rest: Iterator<T>): Generator<T> {
  yield* first;
  for (let next = rest.next(); !next.done; next = rest.next()) yield next.value;
}

async function openSockets(): Promise<
  { readonly questions: NetlinkSocket; readonly flowSocket: NetlinkSocket } | { readonly finding: Finding }
> {
  try {
    return { questions: await openNetlinkSocket(), flowSocket: await openNetlinkSocket() };
  } catch (error) {
    return {
      finding: {
        code: 'NETLINK_UNREACHABLE',
        message: `the kernel cannot be asked over netlink: ${error instanceof Error ? error.message : String(error)}`,
        remedy: 'run on Linux with glibc on a platform that the npm package koffi is built for',
      },
    };
  }
}

function cannotFloat(log: string): CommitFailed {
  return new CommitFailed(`the kernel or nft refuses what floating addresses need: ${summary(log)}`, log);
}

/** `internal:0:0-0: Error: Could not process rule: File exists` → what comes after the last `Error: `. */
function summary(log: string): string {
  const line =
    log.split('\n').find((candidate) => candidate.includes('Error: ')) ?? log.split('\n', 1)[0] ?? '';
  return line.replace(/^.*Error: /, '');
}
