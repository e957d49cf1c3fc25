// A look into another network namespace, such as the one in which a veth's peer is.
import { closeSync, globSync, openSync, statSync } from 'node:fs';
import { attribute, attributes, nativeU32, readU32, requestOf } from '../../netlink/netlink.ts';
import { askRoute } from './ask-route.ts';
import { errno, libc } from './libc.ts';

/** CLONE_NEWNET */
const networkKind = 0x40000000;
/** RTM_GETNSID, struct rtgenmsg, and attributes of linux/net_namespace.h. */
const getNumber = 90;
const numberAttribute = { number: 1, file: 3 } as const;

/** Names that ip(8) and container engines give, and what processes are in. */
const places = ['/run/netns/*', '/run/docker/netns/*', '/proc/[0-9]*/ns/net'] as const;

/** By number: where each was found the last time. */
const known = new Map<number, string>();

/**
 * Does `work`, which must not wait, in the network namespace that this one knows by a number (as in IFLA_LINK_NETNSID).
 * `search` looks for it wherever one may be found, which takes some milliseconds on a host of many processes; else it must
 * have been found before. Undefined where it is out of reach: nobody here names it, or this process may not enter.
 */
export function inOtherNetwork<T>(number: number, search: boolean, work: () => T): T | undefined {
  const file = openKnown(number) ?? (search ? find(number) : undefined);
  if (file === undefined) return undefined;
  const home = openSync('/proc/thread-self/ns/net', 'r');
  try {
    // Of the thread: the others of this process stay where they are.
    if (libc().enterNamespace(file, networkKind) < 0) return undefined;
    try {
      return work();
    } finally {
      if (libc().enterNamespace(home, networkKind) < 0) strand(errno());
    }
  } finally {
    closeSync(home);
    closeSync(file);
  }
}

/** Whatever this thread did from now on, it would do in a container's network. */
function strand(code: number): never {
  process.stderr.write(`penstock: no way back to the own network namespace: errno ${code}\n`);
  process.abort();
}

function openKnown(number: number): number | undefined {
  const path = known.get(number);
  return path === undefined ? undefined : openAs(number, path);
}

function find(number: number): number | undefined {
  const seen = new Set<number>();
  for (const place of places) {
    for (const path of globSync(place)) {
      const { ino } = statSync(path, { throwIfNoEntry: false }) ?? {};
      if (ino === undefined || seen.has(ino)) continue;
      seen.add(ino);
      const file = openAs(number, path);
      if (file === undefined) continue;
      known.set(number, path);
      return file;
    }
  }
  return undefined;
}

/** Undefined unless it is the namespace of this number. */
function openAs(number: number, path: string): number | undefined {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch {
    return undefined;
  }
  if (numberOf(file) === number) return file;
  closeSync(file);
  return undefined;
}

/** Undefined where the file is no network namespace. */
function numberOf(file: number): number | undefined {
  try {
    const question = attribute(numberAttribute.file, nativeU32(file));
    const body = askRoute(requestOf(getNumber, 0, 1, Buffer.alloc(4), question), 'no such namespace');
    const number = attributes(body.subarray(4)).get(numberAttribute.number);
    return number === undefined ? undefined : readU32(number, 0);
  } catch {
    return undefined;
  }
}
