// The forwarding tables that programs are timed with, as changes of an empty one.
import type { Change } from '../../../src/forwarding/change.ts';
import { buildRing, populate, sortedById } from '../../../src/forwarding/ring.ts';
import type { Entry, Ring } from '../../../src/forwarding/table.ts';
import { type IpAddress, parseAddress, type Transport } from '../../../src/resources/address.ts';
import { backendPort, firstPort } from '../declaration.ts';

/** Mappings of one frontend address. */
const perAddress = 1000;
const firstFrontend = 0xc612_0000;
const firstMachine = 0x0a40_0000;
/** Machines are below 10.64.0.0/10, frontends below 198.18.0.0/15. */
export const machines = '10.64.0.0/10';

export const balancedPort = 443;

/** A frontend as numbers, and where it leads; each mapping has a machine of its own. */
export interface MappingPlace {
  readonly address: number;
  readonly port: number;
  readonly machine: number;
}

export function mappingPlace(number: number): MappingPlace {
  return {
    address: firstFrontend + Math.floor(number / perAddress),
    port: firstPort + (number % perAddress),
    machine: firstMachine + number,
  };
}

export function mapping(number: number, transport: Transport, machineOffset = 0): Entry {
  const { address, port, machine } = mappingPlace(number);
  return {
    endpoint: { address: textOf(address), transport, port: port },
    target: {
      kind: 'nat',
      address: textOf(machine + machineOffset),
      port: backendPort,
      masquerade: false,
    },
  };
}

export function mappings(count: number, transport: Transport, from = 0): readonly Entry[] {
  return Array.from({ length: count }, (_, index) => mapping(from + index, transport));
}

/** An endpoint at the first frontend's address, and its ring. */
export function balanced(
  members: number,
  transport: Transport,
): { readonly entry: Entry; readonly ring: Ring } {
  const pool = sortedById(
    Array.from({ length: members }, (_, index) => ({
      id: `vm-${index}`,
      address: textOf(firstMachine + index),
      weight: 100,
      eligible: true,
      keepsUdp: true,
    })),
  );
  return {
    entry: {
      endpoint: { address: textOf(firstFrontend), transport, port: balancedPort },
      target: { kind: 'balanced', ring: 1, affinity: 'five-tuple', port: balancedPort, masquerade: false },
    },
    ring: buildRing(1, 4, pool, populate(pool)),
  };
}

/** Entries that come, with their machines; `rings` with theirs. */
export function adding(added: readonly Entry[], rings: readonly Ring[] = []): Change {
  const backends = new Set<IpAddress>();
  for (const { target } of added) if (target.kind === 'nat') backends.add(target.address);
  for (const { members } of rings) for (const { address } of members) backends.add(address);
  return { ...nothing, added, rings: rings.map((after) => ({ after })), backendsAdded: [...backends] };
}

/** Entries that go, with their machines. */
export function removing(removed: readonly Entry[]): Change {
  return { ...nothing, removed, backendsRemoved: adding(removed).backendsAdded };
}

/** Entries of the same endpoints that lead to other machines; no machine of one is among the other's. */
export function exchanging(before: readonly Entry[], after: readonly Entry[]): Change {
  return {
    ...nothing,
    replaced: before.map((entry, index) => ({ before: entry, after: after[index] ?? entry })),
    backendsAdded: adding(after).backendsAdded,
    backendsRemoved: adding(before).backendsAdded,
  };
}

const nothing: Change = {
  added: [],
  removed: [],
  replaced: [],
  rings: [],
  limits: [],
  backendsAdded: [],
  backendsRemoved: [],
  localAddressesAdded: [],
  localAddressesRemoved: [],
  ending: [],
};

function textOf(address: number): IpAddress {
  const text = [24, 16, 8, 0].map((bits) => (address >>> bits) & 0xff).join('.');
  const parsed = parseAddress(text);
  if (parsed === undefined) throw new RangeError(`no address: ${text}`);
  return parsed;
}
