// Tells when the host's network has changed. The kernel's events say that something is different; what, a new reading says.
import { isDeepStrictEqual } from 'node:util';
import { type NetlinkSocket, openNetlinkSocket } from '../../netlink/socket.ts';
import { deduceFeatures } from './deduce.ts';
import { findFeatureFamily } from './features.ts';
import { looksAt } from './looks.ts';
import type { Network } from './model.ts';
import { openNetworkReader } from './read.ts';

/** RTNLGRP_*: links, addresses, routes and rules of both families, next-hop objects. */
const groups = {
  link: 1,
  addresses4: 5,
  routes4: 7,
  rules4: 8,
  addresses6: 9,
  routes6: 11,
  rules6: 19,
} as const;
/** Since Linux 5.3. */
const nextHopGroup = 32;
/**
 * How often the sockets are looked at, in ms. A look costs one system call of about 1 µs, while a thread that waits in
 * recv(2) would take one of the four which Node has for all files.
 */
const lookEvery = 50;
/** How often what the kernel does not tell is looked at, in ms: nobody says that a veth's peer has changed. */
const deduceEvery = 1000;
/** At most one part in so many of the time goes into readings, however fast routes change; a pause in ms at most. */
const share = 10;
const longestPause = 2000;

export interface NetworkWatch {
  /** The newest reading. */
  readonly network: Network;
  /** Reads now, and calls `onChange` as after any change. */
  refresh(): Promise<void>;
  close(): void;
}

export interface NetworkWatchOptions {
  /**
   * Called with each new reading, the next one not before its promise is fulfilled. Not called with the first one, which
   * `network` holds.
   */
  readonly onChange: (network: Network) => void | Promise<void>;
  /** A reading or `onChange` failed. The next change, or the next second, brings another reading. */
  readonly onTrouble: (error: unknown) => void;
}

/** Watches the network namespace of the calling thread. A change is seen within about 60 ms. */
export async function watchNetwork(options: NetworkWatchOptions): Promise<NetworkWatch> {
  const listeners = await listen();
  // Only now, so that nothing happens between the reading and the listening.
  const reader = await openNetworkReader();
  let network = await reader.read();
  let closed = false;
  let due = false;
  let notBefore = 0;
  let deduceAt = 0;
  let reading: Promise<void> | undefined;

  const readOnce = async (): Promise<void> => {
    const [began, work] = [performance.now(), process.cpuUsage()];
    due = false;
    try {
      network = await reader.read();
      const ended = performance.now();
      const { user, system } = process.cpuUsage(work);
      // On a busy host the reading may have waited for a processor most of the time.
      const spent = Math.min(ended - began, (user + system) / 1000);
      notBefore = ended + Math.min(spent * share, longestPause);
      if (!closed) await options.onChange(network);
    } catch (error) {
      due = true;
      notBefore = performance.now() + 1000;
      if (!closed) options.onTrouble(error);
    }
  };
  const read = (): Promise<void> => {
    reading ??= readOnce().finally(() => {
      reading = undefined;
    });
    return reading;
  };
  const look = (): void => {
    try {
      for (const listener of listeners) {
        // Whatever it was, and lost events too.
        const complete = listener.drain(() => {
          due = true;
        });
        if (!complete) due = true;
      }
      if (network.deduced && performance.now() >= deduceAt) {
        deduceAt = performance.now() + deduceEvery;
        due ||= !isDeepStrictEqual(deduceFeatures(network.links, looksAt(false)), network.features);
      }
    } catch (error) {
      options.onTrouble(error);
    }
    if (due && reading === undefined && performance.now() >= notBefore) void read();
  };
  const timer = setInterval(look, lookEvery);
  timer.unref();

  return {
    get network() {
      return network;
    },
    async refresh() {
      // One under way may have begun before what the caller wants to see.
      if (reading !== undefined) await reading;
      await read();
    },
    close() {
      if (closed) return;
      closed = true;
      clearInterval(timer);
      for (const listener of listeners) listener.close();
      reader.close();
    },
  };
}

async function listen(): Promise<readonly NetlinkSocket[]> {
  const events = await openNetlinkSocket('route');
  for (const group of Object.values(groups)) events.join(group);
  try {
    events.join(nextHopGroup);
  } catch {
    // An older kernel has no next-hop objects either.
  }
  const features = await openNetlinkSocket('generic');
  const family = findFeatureFamily(features);
  if (family !== undefined && family.group !== 0) {
    features.join(family.group);
    return [events, features];
  }
  features.close();
  return [events];
}
