// Ends flows that the kernel tracks, so that their ends notice: the next packet finds no flow and starts anew.
import { setTimeout } from 'node:timers/promises';
import {
  type Attributes,
  attribute,
  attributes,
  flags,
  messageType,
  nest,
  request,
} from '../netlink/netlink.ts';
import { NetlinkError, type NetlinkSocket } from '../netlink/socket.ts';
import type { Connection } from '../reset/connection.ts';
import {
  allFlows,
  type Flow,
  type FlowMarks,
  type FlowSelection,
  flowTest,
  type KernelFilter,
  kernelFilters,
} from './selection.ts';
import { collectSuspects, type LiveTable } from './stale.ts';
import {
  AF_INET,
  AF_INET6,
  conntrackAttribute,
  conntrackMessage,
  conntrackSubsystem,
  readTcpState,
  readTuple,
  statusDestinationNat,
  type Tuple,
  tcpEstablished,
  tupleFilters,
} from './tuple.ts';

const ENOENT = 2;
const EBUSY = 16;
const EINVAL = 22;
const EOPNOTSUPP = 95;

/** Each filter walks all flows once, and so does a dump of all: from here on that is cheaper. */
const filtersAtMost = 16;
/** Deletions sent in one go. */
const deletionsPerRequest = 128;
/**
 * Linux before 6.4 lets go of a flow that was in a flowtable only when it has cleared that away, some 20 ms after the
 * transaction. How often it is asked again, and after how many ms.
 */
const busyTries = 100;
const busyPause = 20;

const everything = { family: 0, attributes: [] } as const;
/** Of a shape that `end` uses, and so little that it names no single flow. */
const nowhere = {
  family: AF_INET,
  attributes: tupleFilters({ destination: Buffer.alloc(4), protocol: 255 }, { source: Buffer.alloc(4) }),
} as const;

/** A flow found by a dump that shall go. */
interface Doomed {
  readonly family: number;
  /** The attributes that name it: original tuple, zone, and the id that no later flow has. */
  readonly name: Buffer;
}

/**
 * How chosen flows end. Linux 6.11 and later delete what a filter of tuples matches. Before, a filter chooses only what is
 * listed, and each flow found is deleted by its name: the same flows end, in two steps.
 */
export type FlowDeletion = 'by-filter' | 'one-by-one';

export interface Flows {
  /** Ends the flows that any of `selections` names. */
  end(selections: readonly FlowSelection[]): Promise<void>;
  /** Ends what a newly loaded table no longer allows, and flows that knocked before their endpoint was there. */
  endStale(table: LiveTable): Promise<void>;
  /**
   * Ends the established TCP flows of the data plane that `test` finds; `by` gets them, and what forgets them when it is
   * called.
   */
  reset(test: (flow: Flow) => boolean, by: Reset): Promise<void>;
  /** The same with those that any of `selections` names; other flows of theirs stay. */
  resetSelected(selections: readonly FlowSelection[], by: Reset): Promise<void>;
  /** Ends every flow of the data plane. */
  endAll(): Promise<void>;
  /**
   * Tries what `end` needs, on a flow that cannot exist, and tells how flows end from now on; before it is called, one by
   * one. Throws `NetlinkError` where the kernel cannot do it at all.
   */
  probe(): Promise<FlowDeletion>;
}

/** Tells both ends of connections that they are over. */
export type Reset = (connections: readonly Connection[], forget: () => Promise<void>) => Promise<void>;

/**
 * One call at a time goes to the kernel; others wait. With `most` one-by-one, filters delete nothing even where the kernel
 * would let them.
 */
export function flowsOver(socket: NetlinkSocket, marks: FlowMarks, most: FlowDeletion = 'by-filter'): Flows {
  let deletion: FlowDeletion = 'one-by-one';
  let queue: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const result = queue.then(work);
    queue = result.catch(() => {});
    return result;
  };

  const remove = async ({ family, attributes: content }: Omit<KernelFilter, 'exact'>): Promise<void> => {
    const sequence = socket.nextSequence();
    const type = conntrackSubsystem | conntrackMessage.delete;
    let errno = 0;
    await socket.exchangeAsync(request(type, family, flags.ack, sequence, ...content), sequence, (answer) => {
      if (answer.sequence === sequence && answer.errno !== undefined) errno = answer.errno;
    });
    if (errno !== 0 && errno !== ENOENT) throw new NetlinkError('cannot end flows', errno);
  };

  /** Reads flows; `onFlow` copies what it keeps. `name` makes what a deletion needs. */
  const dump = async (
    onFlow: (flow: Flow, name: () => Doomed) => void,
    { family, attributes: content }: Omit<KernelFilter, 'exact'> = everything,
  ): Promise<void> => {
    const asked = socket.nextSequence();
    let errno = 0;
    const type = conntrackSubsystem | conntrackMessage.get;
    const query = request(type, family, flags.dump, asked, ...content);
    await socket.exchangeAsync(query, asked, ({ type, errno: code, body, sequence }) => {
      if (sequence !== asked) return;
      if (code !== undefined && code !== 0) errno = code;
      if (type === messageType.error || type === messageType.done) return;
      const found = attributes(body);
      const flow = readFlow(found);
      onFlow(flow, () => nameOf(flow, found));
    });
    if (errno !== 0) throw new NetlinkError('cannot list flows', errno);
  };

  const deletesByFilter = async (): Promise<boolean> => {
    try {
      await remove(nowhere);
      return true;
    } catch (error) {
      // Older kernels see the name of one flow in the tuples, and miss the rest of it.
      if (error instanceof NetlinkError && (error.errno === EINVAL || error.errno === EOPNOTSUPP))
        return false;
      throw error;
    }
  };

  const sweep = async (
    selections: readonly FlowSelection[],
    among: readonly Omit<KernelFilter, 'exact'>[] = [everything],
  ): Promise<void> => {
    const test = await flowTest(selections, marks);
    const doomed: Doomed[] = [];
    for (const filter of among) {
      await dump((flow, name) => {
        if (test(flow)) doomed.push(name());
      }, filter);
    }
    await removeAll(doomed);
  };

  const removeAll = async (doomed: readonly Doomed[]): Promise<void> => {
    let left = doomed;
    for (let tries = busyTries; left.length > 0; tries -= 1) {
      const busy: Doomed[] = [];
      for (let at = 0; at < left.length; at += deletionsPerRequest) {
        busy.push(...(await removeNamed(left.slice(at, at + deletionsPerRequest))));
      }
      if (busy.length > 0 && tries === 0) throw new NetlinkError('cannot end flows', EBUSY);
      if (busy.length > 0) await setTimeout(busyPause);
      left = busy;
    }
  };

  /** Gives those that the kernel does not let go of yet. */
  const removeNamed = async (doomed: readonly Doomed[]): Promise<readonly Doomed[]> => {
    const asked = new Map<number, Doomed>();
    const busy: Doomed[] = [];
    let last = 0;
    let errno = 0;
    const requests = doomed.map((flow, index) => {
      last = socket.nextSequence();
      asked.set(last, flow);
      const ack = index === doomed.length - 1 ? flags.ack : 0;
      return request(conntrackSubsystem | conntrackMessage.delete, flow.family, ack, last, flow.name);
    });
    await socket.exchangeAsync(Buffer.concat(requests), last, ({ sequence, errno: code }) => {
      const flow = asked.get(sequence);
      if (code === EBUSY && flow !== undefined) busy.push(flow);
      // A flow that has ended by itself meanwhile is what was wanted.
      else if (code !== undefined && code !== 0 && code !== ENOENT) errno = code;
    });
    if (errno !== 0) throw new NetlinkError('cannot end flows', errno);
    return busy;
  };

  const resetSome = async (test: (flow: Flow) => boolean, by: Reset): Promise<void> => {
    const doomed: Doomed[] = [];
    const connections: Connection[] = [];
    await dump((flow, name) => {
      if (flow.state !== tcpEstablished || (flow.status & statusDestinationNat) === 0 || !test(flow)) return;
      doomed.push(name());
      connections.push(connectionOf(flow));
    }, allFlows(marks));
    if (doomed.length > 0) await by(connections, () => removeAll(doomed));
  };

  return {
    reset(test, by) {
      return inTurn(() => resetSome(test, by));
    },
    resetSelected(selections, by) {
      return inTurn(async () => resetSome(await flowTest(selections, marks), by));
    },
    end(selections) {
      return inTurn(async () => {
        if (selections.length > filtersAtMost) return sweep(selections);
        const filters = selections.flatMap((selection) => kernelFilters(selection, marks));
        const { deletable = [], listed = [] } = Object.groupBy(filters, ({ exact }) =>
          exact && deletion === 'by-filter' ? 'deletable' : 'listed',
        );
        if (listed.length > 0) await sweep(selections, listed);
        for (const filter of deletable) await remove(filter);
      });
    },
    endStale(table) {
      return inTurn(async () => {
        const suspects = collectSuspects<Doomed>(marks);
        await dump(suspects.add);
        await removeAll(await suspects.stale(table));
      });
    },
    endAll() {
      return inTurn(() => remove(allFlows(marks)));
    },
    probe() {
      return inTurn(async () => {
        await dump(() => {}, nowhere);
        deletion = most === 'by-filter' && (await deletesByFilter()) ? 'by-filter' : 'one-by-one';
        return deletion;
      });
    },
  };
}

function readFlow(found: Attributes): Flow {
  return {
    original: readTuple(found.get(conntrackAttribute.original)),
    reply: readTuple(found.get(conntrackAttribute.reply)),
    mark: found.get(conntrackAttribute.mark)?.readUInt32BE() ?? 0,
    status: found.get(conntrackAttribute.status)?.readUInt32BE() ?? 0,
    state: readTcpState(found.get(conntrackAttribute.protocolInfo)),
    timeout: found.get(conntrackAttribute.timeout)?.readUInt32BE() ?? 0,
  };
}

function connectionOf({ original, reply }: Flow): Connection {
  const source = ({ source: address, sourcePort: port }: Tuple) => ({
    address: Buffer.from(address, 'hex'),
    port,
  });
  const destination = ({ destination: address, destinationPort: port }: Tuple) => ({
    address: Buffer.from(address, 'hex'),
    port,
  });
  return {
    client: source(original),
    frontend: destination(original),
    machine: source(reply),
    peer: destination(reply),
  };
}

function nameOf(flow: Flow, found: Attributes): Doomed {
  const parts: Buffer[] = [];
  for (const kind of [conntrackAttribute.original, conntrackAttribute.id, conntrackAttribute.zone]) {
    const value = found.get(kind);
    if (value === undefined) continue;
    parts.push(kind === conntrackAttribute.original ? nest(kind, value) : attribute(kind, value));
  }
  const family = flow.original.source.length === 8 ? AF_INET : AF_INET6;
  return { family, name: Buffer.concat(parts) };
}
