// One reading of the host's network over rtnetlink.
import { setTimeout as pause } from 'node:timers/promises';
import type { Family } from '../../../resources/address.ts';
import { flags, type Message, requestOf } from '../../netlink/netlink.ts';
import { NetlinkError, type NetlinkSocket, openNetlinkSocket } from '../../netlink/socket.ts';
import { deduceFeatures } from './deduce.ts';
import { type FeatureFamily, featureQuery, findFeatureFamily, parseFeatures } from './features.ts';
import { linkQuery, parseInterfaceAddress, parseLink } from './link.ts';
import { looksAt } from './looks.ts';
import type { Neighbour, Network, Route, Rule, XdpFeatures } from './model.ts';
import { neighbourQuery, parseNeighbour } from './neighbour.ts';
import { parseRoute, parseRule, routeQuery } from './route.ts';

/** Requests of rtnetlink(7). */
export const ask = { links: 18, addresses: 22, routes: 26, neighbours: 30, rules: 34 } as const;
const EOPNOTSUPP = 95;
const tries = 5;
/** A router may have a million routes; nothing here is worth reading them all, and again with each change. */
export const routeLimit = 5000;

export interface NetworkReader {
  /** Rejects with NetlinkError. Calls queue up. */
  read(): Promise<Network>;
  neighbours(): Promise<readonly Neighbour[]>;
  close(): void;
}

class Enough extends Error {}

/** Reads the network namespace of the calling thread. */
export async function openNetworkReader(limit: number = routeLimit): Promise<NetworkReader> {
  let socket = await openNetlinkSocket('route');
  const generic = await openNetlinkSocket('generic');
  const family = findFeatureFamily(generic);
  let closed = false;
  let last: Promise<unknown> = Promise.resolve();

  /** One after another: the answers of two dumps would mix. */
  const queued = <T>(work: () => Promise<T>): Promise<T> => {
    const result = last.then(work);
    last = result.catch(() => {});
    return result;
  };

  const routesOf = async (version: Family): Promise<{ routes: readonly Route[]; cut: boolean }> => {
    try {
      return { routes: await dump(socket, ask.routes, [routeQuery(version)], parseRoute, limit), cut: false };
    } catch (error) {
      if (!(error instanceof Enough)) throw error;
      // A dump under way cannot be stopped but with its socket.
      socket.close();
      socket = await openNetlinkSocket('route');
      return { routes: [], cut: true };
    }
  };

  const readOnce = async (): Promise<Network> => {
    const links = await dump(socket, ask.links, linkQuery(), parseLink);
    const addresses = await dump(socket, ask.addresses, [Buffer.alloc(8)], parseInterfaceAddress);
    const rules = [...(await rulesOf(socket, 4)), ...(await rulesOf(socket, 6))];
    const [four, six] = [await routesOf(4), await routesOf(6)];
    const told: XdpFeatures | undefined = family && new Map(await featuresOf(generic, family));
    return {
      links,
      addresses,
      rules,
      routes: [...four.routes, ...six.routes],
      routesCut: four.cut || six.cut,
      features: told ?? deduceFeatures(links, looksAt(true)),
      deduced: told === undefined,
    };
  };

  return {
    read: () => queued(readOnce),
    neighbours: () => queued(() => dump(socket, ask.neighbours, [neighbourQuery()], parseNeighbour)),
    close() {
      if (closed) return;
      closed = true;
      // Not under a dump's feet: the descriptor's number would be another file's.
      void last.finally(() => {
        socket.close();
        generic.close();
      });
    },
  };
}

/** Without policy routing in the kernel there are no rules to ask for, and the usual ones hold. */
async function rulesOf(socket: NetlinkSocket, family: Family): Promise<readonly Rule[]> {
  try {
    return await dump(socket, ask.rules, [routeQuery(family)], parseRule);
  } catch (error) {
    if (error instanceof NetlinkError && error.errno === EOPNOTSUPP) return [];
    throw error;
  }
}

function featuresOf(generic: NetlinkSocket, family: FeatureFamily) {
  return dump(generic, family.id, [featureQuery()], (_, message) => parseFeatures(message, family));
}

/** All entries of one kind; asked again when the kernel says that they changed meanwhile. */
async function dump<T>(
  socket: NetlinkSocket,
  type: number,
  parts: readonly Buffer[],
  parse: (body: Buffer, message: Message) => T | undefined,
  limit: number = Number.POSITIVE_INFINITY,
): Promise<readonly T[]> {
  for (let left = tries; ; left -= 1) {
    const found: T[] = [];
    let interrupted = false;
    let refused = 0;
    const sequence = socket.nextSequence();
    await socket.exchangeAsync(requestOf(type, flags.dump, sequence, ...parts), sequence, (message) => {
      if (message.sequence !== sequence) return;
      interrupted ||= message.interrupted;
      refused ||= message.errno ?? 0;
      if (message.errno !== undefined) return;
      const entry = parse(message.body, message);
      if (entry !== undefined) found.push(entry);
      if (found.length > limit) throw new Enough();
    });
    if (refused !== 0) throw new NetlinkError("cannot read the host's network", refused);
    if (!interrupted || left <= 1) return found;
    await pause(5);
  }
}
