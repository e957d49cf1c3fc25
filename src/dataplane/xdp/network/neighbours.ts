// Keeps machines and gateways resolved. Packets that are sent on in the driver's receive path do not: to the kernel their
// neighbour entries seem unused, and go stale and away.
import { setTimeout as pause } from 'node:timers/promises';
import type { IpAddress } from '../../../resources/address.ts';
import { flags, requestOf } from '../../netlink/netlink.ts';
import { type NetlinkSocket, openNetlinkSocket } from '../../netlink/socket.ts';
import type { Neighbour } from './model.ts';
import { neighbourRequest, parseNeighbour } from './neighbour.ts';
import { keyOf, NeighbourPlan, type Step } from './neighbour-plan.ts';
import { ask, openNetworkReader } from './read.ts';
import { type Hop, waysTo } from './way.ts';

/** RTM_NEWNEIGH */
const newNeighbour = 28;
const ENOBUFS = 105;

export interface NeighbourWatchOptions {
  /** Machines in use. Walked through again and again, a part at a time, while it may change. */
  readonly addresses: () => Iterable<IpAddress>;
  /** Others on a link that are in use: gateways to clients. */
  readonly hops?: () => Iterable<Hop>;
  readonly onTrouble: (error: unknown) => void;
  /** Between two rounds, in ms. 5,000; entries stay fresh for 15 s at least (base_reachable_time). */
  readonly interval?: number;
}

export interface NeighbourWatch {
  /** Neighbours that are needed and did not answer until the last round, at most 10. */
  readonly unresolved: readonly IpAddress[];
  close(): void;
}

/** 2,000 machines a second, a millisecond of work at a time. */
const machines = { atOnce: 100, pause: 50 } as const;
/** 500 neighbours a second are asked at most. */
const questions = { atOnce: 25, pause: 50 } as const;
/** In ms: machines that were not known before do not wait for the next regular round. */
const newcomersWait = 250;
const unresolvedMax = 10;

/** In the network namespace of the calling thread. */
export async function watchNeighbours(options: NeighbourWatchOptions): Promise<NeighbourWatch> {
  const { interval = 5000 } = options;
  const socket = await openNetlinkSocket('route');
  const reader = await openNetworkReader();
  const plan = new NeighbourPlan();
  const stop = new AbortController();
  const rest = async (milliseconds: number): Promise<void> => {
    await pause(milliseconds, undefined, { signal: stop.signal, ref: false });
    // It may have been over just before: the caller's addresses may lie in memory that is gone after `close`.
    stop.signal.throwIfAborted();
  };
  /** By whom machines are reached: often one gateway for very many. With the walk that last met them. */
  const hops = new Map<string, { readonly hop: Hop; walk: number }>();
  let walk = 0;
  let newcomers = false;
  let unresolved: readonly IpAddress[] = [];

  const meet = (hop: Hop | null): void => {
    if (hop === null) return;
    const known = hops.get(keyOf(hop));
    if (known !== undefined) {
      known.walk = walk;
      return;
    }
    hops.set(keyOf(hop), { hop, walk });
    newcomers = true;
  };
  const walkOnce = async (): Promise<void> => {
    walk += 1;
    for (const hop of options.hops?.() ?? []) meet(hop);
    for (const slice of slices(options.addresses(), machines.atOnce)) {
      for (const hop of waysTo(socket, slice)) meet(hop);
      await rest(machines.pause);
    }
    for (const [key, { walk: last }] of hops) if (last !== walk) hops.delete(key);
  };
  const round = async (): Promise<void> => {
    newcomers = false;
    const neighbours = await reader.neighbours();
    const resolved = new Set(neighbours.filter(isResolved).map(keyOf));
    const open = hops.values().filter(({ hop }) => !resolved.has(keyOf(hop)));
    unresolved = [...open.take(unresolvedMax).map(({ hop }) => hop.address)];
    const steps = plan.steps(
      hops.values().map(({ hop }) => hop),
      neighbours,
    );
    for (let at = 0; at < steps.length; at += questions.atOnce) {
      if (!take(socket, steps.slice(at, at + questions.atOnce))) return;
      await rest(questions.pause);
    }
  };
  const again = async (work: () => Promise<void>, pauseAfter: () => Promise<void>): Promise<void> => {
    while (!stop.signal.aborted) {
      try {
        await work();
      } catch (error) {
        if (!stop.signal.aborted) options.onTrouble(error);
      }
      await pauseAfter().catch(() => {});
    }
  };
  const untilNextRound = async (): Promise<void> => {
    const step = Math.min(interval, newcomersWait);
    for (let waited = 0; waited < interval; waited += step) {
      await rest(step);
      if (newcomers) return;
    }
  };
  void Promise.all([again(walkOnce, () => rest(interval)), again(round, untilNextRound)]).finally(() => {
    socket.close();
    reader.close();
  });

  return {
    get unresolved() {
      return unresolved;
    },
    close() {
      stop.abort();
    },
  };
}

function isResolved({ state }: Neighbour): boolean {
  return state !== 'failed' && state !== 'incomplete' && state !== 'none';
}

function* slices<T>(items: Iterable<T>, size: number): Generator<readonly T[]> {
  let slice: T[] = [];
  for (const item of items) {
    slice.push(item);
    if (slice.length < size) continue;
    yield slice;
    slice = [];
  }
  if (slice.length > 0) yield slice;
}

/** False when the kernel's table is full: to go on would only displace other entries. */
function take(socket: NetlinkSocket, steps: readonly Step[]): boolean {
  // An entry made permanent since it was read would lose that by being used so (__neigh_update in net/core/neighbour.c).
  const fixed = fixedAmong(
    socket,
    steps.filter(({ what }) => what === 'refresh').map(({ hop }) => hop),
  );
  const due = steps.filter(({ hop }) => !fixed.has(keyOf(hop)));
  if (due.length === 0) return true;
  const numbers = due.map(() => socket.nextSequence());
  const requests = due.map(({ hop: { link, address }, what }, i) => {
    const made = what === 'create' ? flags.create | flags.exclusive : 0;
    return requestOf(
      newNeighbour,
      flags.ack | made,
      numbers[i] ?? 0,
      ...neighbourRequest(link, address, true),
    );
  });
  let full = false;
  socket.exchange(Buffer.concat(requests), numbers.at(-1) ?? 0, ({ errno: refused }) => {
    // Others mean that the entry or the interface has come or gone meanwhile; the next round sees it.
    if (refused === ENOBUFS) full = true;
  });
  return !full;
}

function fixedAmong(socket: NetlinkSocket, hops: readonly Hop[]): ReadonlySet<string> {
  const found = new Set<string>();
  if (hops.length === 0) return found;
  const numbers = hops.map(() => socket.nextSequence());
  const requests = hops.map(({ link, address }, i) =>
    requestOf(ask.neighbours, flags.ack, numbers[i] ?? 0, ...neighbourRequest(link, address, false)),
  );
  socket.exchange(Buffer.concat(requests), numbers.at(-1) ?? 0, ({ type, body }) => {
    const neighbour = type === newNeighbour ? parseNeighbour(body) : undefined;
    if (neighbour?.state === 'fixed') found.add(keyOf(neighbour));
  });
  return found;
}
