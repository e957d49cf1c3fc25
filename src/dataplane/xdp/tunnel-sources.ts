// Where packets within others come from: an address of this host for each family, towards the first machine that gets some.
// A frontend's would not do: the machine holds that itself, and takes nothing from its own address. Where the host has no other
// on the way there, or prefers a frontend's, its route to the machines has to say `src`: that is not looked at here.
import { createSocket } from 'node:dgram';
import type { Change } from '../../forwarding/change.ts';
import type { CompiledRule, Entry, ForwardingTable, Ring } from '../../forwarding/table.ts';
import type { Family, IpAddress } from '../../resources/address.ts';
import { parseAddress } from '../../resources/address.ts';
import { readAddress } from './memory/address-words.ts';
import { control } from './memory/layout.ts';

/** The first machine of each family that gets packets within others. */
export type FirstMachines = ReadonlyMap<Family, IpAddress>;

/** A rule that did not change is the same object, and is not looked at again. */
const known = new WeakMap<CompiledRule, ReadonlySet<number>>();

export function firstMachines(table: ForwardingTable): FirstMachines {
  const found = new Map<Family, IpAddress>();
  for (const { rules, rings } of table.loadBalancers.values()) {
    for (const rule of rules.values()) {
      const numbers = known.get(rule) ?? encapsulating(rule.entries.values());
      known.set(rule, numbers);
      if (numbers.size > 0) note(found, numbers, rings.values());
    }
  }
  return found;
}

/** Those of a change, as far as it tells: a ring may be of rules that were there before, so that any floating one counts. */
export function firstMachinesOf({ added, replaced, rings }: Change): FirstMachines {
  const found = new Map<Family, IpAddress>();
  const coming = rings.flatMap(({ after }) => (after?.floating ? after : []));
  const numbers = encapsulating([...added, ...replaced.map(({ after }) => after)]);
  if (numbers.size > 0) note(found, numbers, coming);
  note(found, new Set(coming.map(({ number }) => number)), coming);
  return found;
}

/**
 * Writes the address that the host's routes name for each family; what is there stays where there is no machine or route.
 * `missing`: it stays in any case.
 */
export async function writeTunnelSources(
  memory: ArrayBuffer,
  machines: FirstMachines,
  which: 'all' | 'missing',
): Promise<void> {
  const words = new Int32Array(memory);
  for (const [family, machine] of machines) {
    const at = (control.tunnels + (family === 4 ? 0 : 16)) / 4;
    if (which === 'missing' && words.subarray(at, at + 4).some((word) => word !== 0)) continue;
    const source = await sourceTowards(family, machine);
    if (source === undefined) continue;
    for (const [index, word] of readAddress(source, new Int32Array(4)).entries()) words[at + index] = word;
  }
}

function encapsulating(entries: Iterable<Entry>): ReadonlySet<number> {
  const rings = new Set<number>();
  for (const { target } of entries)
    if (target.kind === 'balanced' && target.floating === 'ipip') rings.add(target.ring);
  return rings;
}

function note(found: Map<Family, IpAddress>, numbers: ReadonlySet<number>, rings: Iterable<Ring>): void {
  for (const { number, family, members } of rings) {
    const [first] = members;
    if (numbers.has(number) && first !== undefined && !found.has(family)) found.set(family, first.address);
  }
}

/** What the kernel would send from; nothing is sent. */
async function sourceTowards(family: Family, address: IpAddress): Promise<IpAddress | undefined> {
  const socket = createSocket(family === 4 ? 'udp4' : 'udp6');
  try {
    const connected = Promise.withResolvers<void>();
    socket.once('error', connected.reject);
    socket.connect(discard, address, connected.resolve);
    await connected.promise;
    return parseAddress(socket.address().address);
  } catch {
    return undefined;
  } finally {
    socket.close();
  }
}

/** Any port will do (RFC 863). */
const discard = 9;
