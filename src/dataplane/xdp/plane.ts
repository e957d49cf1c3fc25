// The data plane over XDP: the program forwards what it can finish, and the same table stands in nftables for the rest.
//
// A change is staged in the program's memory, where no packet sees it; then nftables commits it; then one store makes it
// visible. So the one step that can be refused lies before the one that cannot, and either all of a change holds or none.
import { setImmediate } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Change } from '../../forwarding/change.ts';
import type { FlowLimit } from '../../forwarding/flow-limits.ts';
import type { Entry, ForwardingTable, Ring, RingMember } from '../../forwarding/table.ts';
import {
  CommitFailed,
  type Counters,
  type DataPlane,
  DataPlaneUnavailable,
  type KernelState,
  type PlaneReport,
  type Refusals,
  type Stamp,
  type Verdict,
} from '../dataplane.ts';
import { type FlowList, type FlowQuery, flowKey } from '../live-flow.ts';
import { NftablesDataPlane } from '../nftables/plane.ts';
import { removeCompletion } from './completion.ts';
import {
  buildEngine,
  type Engine,
  findEngine,
  growEngine,
  isGateOpen,
  openGate,
  switchTo,
} from './engine.ts';
import { mayRun } from './interfaces.ts';
import { KernelError } from './kernel/kernel-error.ts';
import { openPinDirectory, type PinDirectory } from './kernel/pin-directory.ts';
import { removeAll } from './kernel/remove-all.ts';
import { flowFill } from './memory/flow-fill.ts';
import { listFlows } from './memory/flow-list.ts';
import { needsOfTable } from './memory/needs.ts';
import { defaultShape, type Needs, noNeeds, type Shape, union } from './memory/shape.ts';
import type { MemoryStamp } from './memory/stamp.ts';
import { DoesNotFit, Mismatch } from './memory/trouble.ts';
import { type ProgramObject, shippedObject } from './object.ts';
import { isPinned, leave, pinAgain } from './pins.ts';
import { Presence } from './presence.ts';
import { reasonsOf } from './reasons.ts';
import { possibleCpus } from './settings.ts';
import { Tending } from './tending.ts';
import { type FirstMachines, firstMachines, firstMachinesOf, writeTunnelSources } from './tunnel-sources.ts';

export interface XdpOptions {
  /** `auto`: all interfaces that carry traffic to machines and clients. */
  readonly interfaces: readonly string[] | 'auto';
  /** How many flows of balanced and other tracked rules can be kept. */
  readonly flowTableSize: number;
  /** Default: the one that ships with this package. */
  readonly object?: ProgramObject;
  /** Private to this process. */
  readonly scratchDirectory?: string;
  /** Lets exactly these interfaces take packets with a source address of this host. */
  readonly acceptLocalSources: (interfaces: readonly string[]) => Promise<void>;
  readonly logger: Logger;
}

/** What is held between `open` and `close`. */
interface Held {
  readonly object: ProgramObject;
  readonly directory: PinDirectory;
}

/** Every so many checks, what costs more is looked at, too: a process for the rules of the completing table. */
const checksPerSlowCheck = 3;
/** Counters that are read in one go, some milliseconds. */
const entriesPerPiece = 4096;

const outboundNote =
  'XDP hands connections that machines begin themselves (outbound rules), and their answers, to nftables';

export class XdpDataPlane implements DataPlane {
  readonly kind = 'xdp';
  readonly #options: XdpOptions;
  readonly #nftables: NftablesDataPlane;
  readonly #tending: Tending;
  #held: Held | undefined;
  #engine: Engine | undefined;
  #presence: Presence | undefined;
  /** Whether the program has been on all of its interfaces: what happens to one later is no reason to end. */
  #appeared = false;
  #checks = 0;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: XdpOptions) {
    const { logger, scratchDirectory } = options;
    this.#options = options;
    this.#nftables = new NftablesDataPlane({ logger, ...(scratchDirectory && { scratchDirectory }) });
    this.#tending = new Tending({
      reset: (connections, forget) => this.#nftables.resetConnections(connections, forget),
      logger,
    });
  }

  open(): Promise<KernelState> {
    return this.#inTurn(async () => {
      const { interfaces, logger } = this.#options;
      // A busy host takes its time over what follows: loading waits for the verifier, attaching for the kernel's one lock.
      logger.info({ interfaces }, 'opening the XDP data plane');
      await this.#letGo();
      const { nftables, held } = await this.#openBoth();
      try {
        this.#held = held;
        await mayRun(held.directory, interfaces);
        this.#engine = await findEngine(held.directory, held.object);
        await this.#makeRoomForFlows();
        const version = `XDP, completed by ${nftables.version}`;
        const stamp = this.#engine && isGateOpen(this.#engine) ? this.#engine.image.stamp : undefined;
        if (stamp === undefined || !sameStamp(stamp, nftables.stamp)) return { version };
        await this.#appear();
        return { version, stamp: { instance: stamp.instance, revision: stamp.revision } };
      } catch (error) {
        await this.#letGo();
        await this.#nftables.close();
        throw error;
      }
    });
  }

  load(table: ForwardingTable, stamp: Stamp): Promise<void> {
    return this.#inTurn(async () => {
      await this.#stagedToLoad(table);
      await this.#unlessRefused(async () => {
        await this.#writeTunnels(firstMachines(table));
        await this.#nftables.load(table, stamp);
      });
      await this.#publish(stamp);
      await this.#appear();
    });
  }

  commit(change: Change, stamp: Stamp): Promise<void> {
    return this.#inTurn(async () => {
      this.#open();
      await this.#stagedToCommit(change);
      const draining = await this.#unlessRefused(async () => {
        await this.#writeTunnels(firstMachinesOf(change), 'missing');
        // While their members are still known; those whose members drain get no new ones.
        const found = await this.#tending.draining(this.#loaded(), change);
        await this.#nftables.commit(change, stamp);
        return found;
      });
      await this.#publish(stamp);
      // The change stands, and has cut them already.
      await this.#tending.end(draining);
    });
  }

  async counters(entries: readonly Entry[]): Promise<ReadonlyMap<Entry, Counters>> {
    const completed = await this.#nftables.counters(entries);
    const sums = new Map<Entry, Counters>();
    for (const [at, entry] of entries.entries()) {
      if (at % entriesPerPiece === 0) await setImmediate();
      // Each time anew: larger maps may have taken their place.
      const own = this.#loaded().image.census.counters(entry);
      const others = completed.get(entry);
      const sum = own && others ? add(own, others) : (own ?? others);
      if (sum !== undefined) sums.set(entry, sum);
    }
    return sums;
  }

  async memberCounters(ring: Ring): Promise<ReadonlyMap<RingMember, Counters>> {
    return this.#loaded().image.census.memberCounters(ring);
  }

  /** Rules with limits are left to nftables. */
  refusals(limits: readonly FlowLimit[]): Promise<ReadonlyMap<FlowLimit, Refusals>> {
    return this.#nftables.refusals(limits);
  }

  /** The flow table first: what it has handed on for good stands in conntrack alone. */
  async flows(query: FlowQuery): Promise<FlowList> {
    if (query.only === 'outbound') return await this.#nftables.flows(query);
    const own = await listFlows(this.#loaded().image.memory, query);
    if (own.more) return own;
    const known = new Set(own.flows.map(flowKey));
    const tracked = await this.#nftables.flows({
      wanted: (flow) => query.wanted(flow) && !known.has(flowKey(flow)),
      most: query.most - own.flows.length,
    });
    return { flows: [...own.flows, ...tracked.flows], more: tracked.more };
  }

  async report({ loadBalancers }: ForwardingTable): Promise<PlaneReport> {
    const { program, image } = this.#loaded();
    const hasOutbound = loadBalancers.some(({ outbound }) => outbound !== undefined);
    const fill = image.census.fill();
    const { interfaces, notes } = this.#presence?.report() ?? { interfaces: [], notes: [] };
    return {
      interfaces,
      maps: [...program.maps].map(([name, { bytes }]) => {
        const entries = name in fill ? fill[name as keyof typeof fill] : undefined;
        return { name, bytes, ...(entries && { entries }) };
      }),
      flows: flowFill(image.memory.flows),
      reasons: reasonsOf(program.perCpuSums('reasons'), image.census.translated()),
      notes: [...notes, ...(hasOutbound ? [outboundNote] : []), ...this.#tending.notes()],
    };
  }

  tend(table: ForwardingTable): void {
    this.#nftables.tend(table);
    // In turn: what takes the maps away waits until nobody reads them.
    void this.#inTurn(async () => {
      if (this.#engine === undefined) return;
      this.#tending.tend(this.#engine, table);
      // Routes may have changed, and larger maps may have taken the place of those that knew.
      await this.#writeTunnels(firstMachines(table));
    });
  }

  verify(): Promise<Verdict> {
    return this.#inTurn(async () => {
      const verdict = await this.#nftables.verify();
      if (verdict.kind === 'damaged') return verdict;
      const [presence, engine] = [this.#presence, this.#engine];
      if (presence === undefined || engine === undefined) {
        return { kind: 'damaged', detail: 'the XDP program does not run' };
      }
      const details = await this.#damage(presence, engine);
      if (details.length === 0) return verdict;
      await this.#keepPinned();
      await this.#appear();
      return { kind: 'mended', detail: details.join('; ') };
    });
  }

  flush(): Promise<void> {
    return this.#inTurn(async () => {
      const { directory, object } = this.#open();
      await this.#tending.settled();
      await this.#presence?.close();
      this.#presence = undefined;
      removeAll(directory);
      await removeCompletion();
      this.#engine?.program.close();
      this.#engine = undefined;
      this.#held = { object, directory: openPinDirectory() };
      await this.#nftables.flush();
    });
  }

  close(): Promise<void> {
    return this.#inTurn(async () => {
      await this.#letGo();
      await this.#nftables.close();
    });
  }

  /** Both halves say what they lack, so that an operator mends all of it at once. */
  async #openBoth(): Promise<{ readonly nftables: KernelState; readonly held: Held }> {
    const [nftables, held] = await Promise.allSettled([this.#nftables.open(), openOwn(this.#options.object)]);
    if (nftables.status === 'fulfilled' && held.status === 'fulfilled') {
      return { nftables: nftables.value, held: held.value };
    }
    if (nftables.status === 'fulfilled') await this.#nftables.close();
    if (held.status === 'fulfilled') leave(held.value.directory);
    const reasons: unknown[] = [nftables, held].flatMap((each) => ('reason' in each ? [each.reason] : []));
    const unexpected = reasons.find((reason) => !(reason instanceof DataPlaneUnavailable));
    if (unexpected !== undefined) throw unexpected;
    throw new DataPlaneUnavailable(
      reasons.flatMap((reason) => (reason instanceof DataPlaneUnavailable ? reason.findings : [])),
    );
  }

  async #writeTunnels(machines: FirstMachines, which: 'all' | 'missing' = 'all'): Promise<void> {
    if (machines.size > 0)
      await writeTunnelSources(this.#loaded().program.memory('control').buffer, machines, which);
  }

  /** Takes back what is staged when the other half does not go along. */
  async #unlessRefused<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      this.#loaded().image.abort();
      throw error;
    }
  }

  /** In maps made anew, where those that there are contradict themselves: what they have of flows cannot be trusted either. */
  async #stagedToLoad(table: ForwardingTable): Promise<void> {
    const { directory, object } = this.#open();
    const reconcile = (engine: Engine): Promise<void> => engine.image.reconcile(table);
    if (this.#engine !== undefined) {
      await this.#keepPinned();
      try {
        return await this.#staged(reconcile);
      } catch (error) {
        if (!(error instanceof Mismatch)) throw error;
        this.#options.logger.error({ err: error }, 'the XDP maps contradict themselves; making them anew');
      }
    }
    const engine = await buildEngine(directory, object, this.#shapeFor(needsOfTable(table)));
    await this.#replaceEngine(engine);
    await this.#staged(reconcile);
  }

  /** The program goes on where it is, over the maps that it has, until `appear`. */
  async #replaceEngine(engine: Engine): Promise<void> {
    await this.#tending.settled();
    await this.#presence?.close();
    this.#presence = undefined;
    await this.#engine?.image.settled().catch(() => {});
    this.#engine?.program.close();
    this.#engine = engine;
  }

  /** Throws `CommitFailed` where the kernel refuses larger maps: nothing has changed then. */
  async #stagedToCommit(change: Change): Promise<void> {
    try {
      await this.#staged((engine) => engine.image.stage(change));
    } catch (error) {
      if (error instanceof KernelError) throw new CommitFailed(error.message, error.log);
      if (error instanceof DataPlaneUnavailable) throw new CommitFailed(error.message, '');
      throw error;
    }
  }

  /** Stages; where the maps are too small, in larger ones, which flows do not notice. */
  async #staged(stage: (engine: Engine) => Promise<void>): Promise<void> {
    for (;;) {
      try {
        await stage(this.#loaded());
        return;
      } catch (error) {
        if (!(error instanceof DoesNotFit)) throw error;
        this.#options.logger.info({ shape: error.wanted }, 'moving to larger maps');
        await this.#moveTo(error.wanted);
        await this.#appear();
      }
    }
  }

  /** An earlier agent may have been told to keep fewer. More than are asked for do no harm. */
  async #makeRoomForFlows(): Promise<void> {
    if (this.#engine === undefined) return;
    const { shape } = this.#engine.image.census;
    const { flows, seen } = this.#shapeFor(noNeeds);
    if (shape.flows < flows) await this.#moveTo(union(shape, { ...shape, flows, seen }));
  }

  /** Larger maps take the place of those there are, wherever the program runs. */
  async #moveTo(shape: Shape): Promise<void> {
    const { directory, object } = this.#open();
    const old = this.#loaded();
    await this.#tending.settled();
    const { engine, follow } = await growEngine(directory, object, old, shape);
    await this.#presence?.close();
    this.#presence = undefined;
    this.#engine = engine;
    await switchTo(directory, engine);
    await follow();
    old.program.close();
  }

  async #publish({ instance, revision }: Stamp): Promise<void> {
    const { image } = this.#loaded();
    await image.moveFlows();
    const stamp: MemoryStamp = { instance, revision, sequence: (image.stamp?.sequence ?? 0) + 1 };
    image.publish(stamp);
  }

  /** Puts the program in force where it is not. */
  async #appear(): Promise<void> {
    const engine = this.#loaded();
    const { directory } = this.#open();
    const { interfaces, acceptLocalSources, logger } = this.#options;
    await switchTo(directory, engine);
    if (this.#presence === undefined) {
      this.#presence = await Presence.establish({
        directory,
        engine,
        interfaces,
        lenient: this.#appeared,
        acceptLocalSources,
        logger,
      });
    } else {
      await this.#presence.mend();
    }
    this.#appeared = true;
    openGate(engine);
  }

  /** What somebody else has taken away, in words. */
  async #damage(presence: Presence, engine: Engine): Promise<readonly string[]> {
    const { directory } = this.#open();
    const lost = presence.lost();
    const details = lost.length === 0 ? [] : [`the XDP program was gone from ${lost.join(', ')}`];
    if (!isPinned(directory, engine)) details.push(`what is pinned in ${directory.path} was gone`);
    this.#checks += 1;
    if (this.#checks % checksPerSlowCheck !== 0) return details;
    if (presence.isRefused) await presence.ensure();
    if (!(await presence.completed())) details.push('the table inet penstock_xdp was gone or changed');
    return details;
  }

  /** After somebody has removed pins: the program would end with this process. */
  async #keepPinned(): Promise<void> {
    const { directory: old, object } = this.#open();
    const known = this.#loaded();
    if (isPinned(old, known)) return;
    await this.#presence?.close();
    this.#presence = undefined;
    await this.#tending.settled();
    const { directory, engine } = pinAgain(old, known);
    this.#held = { object, directory };
    this.#engine = engine;
  }

  #shapeFor(needs: Needs): Shape {
    return defaultShape(needs, { flows: this.#options.flowTableSize, cpus: possibleCpus() });
  }

  #open(): Held {
    if (this.#held === undefined) throw new Error('the data plane is not open');
    return this.#held;
  }

  #loaded(): Engine {
    if (this.#engine === undefined) throw new Error('nothing is loaded');
    return this.#engine;
  }

  async #letGo(): Promise<void> {
    this.#appeared = false;
    await this.#presence?.close();
    this.#presence = undefined;
    const engine = this.#engine;
    this.#engine = undefined;
    await this.#tending.settled();
    // What is not settled now, the next agent settles.
    await engine?.image.settled().catch(() => {});
    engine?.program.close();
    if (this.#held !== undefined) leave(this.#held.directory);
    this.#held = undefined;
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => {});
    return result;
  }
}

async function openOwn(object: ProgramObject | undefined): Promise<Held> {
  return { object: object ?? shippedObject(), directory: openPinDirectory() };
}

function sameStamp(stamp: Stamp, other: Stamp | undefined): boolean {
  return other?.instance === stamp.instance && other.revision === stamp.revision;
}

function add(a: Counters, b: Counters): Counters {
  return { packets: a.packets + b.packets, bytes: a.bytes + b.bytes, flows: a.flows + b.flows };
}
