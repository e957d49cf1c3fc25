// Forwarding tables and changes by hand, so that these tests do not stand on the compiler.
import { Map as PersistentMap } from 'immutable';
import type { Change } from '../../../forwarding/change.ts';
import type { FlowLimit } from '../../../forwarding/flow-limits.ts';
import type {
  Affinity,
  BalancedTarget,
  Endpoint,
  Entry,
  ForwardingTable,
  NatTarget,
  OutboundEntry,
  Ring,
  RingMember,
  RingSize,
} from '../../../forwarding/table.ts';
import {
  familyOf,
  type IpAddress,
  parseAddress,
  sourceKey,
  type Transport,
} from '../../../resources/address.ts';

export const unchanged: Change = {
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

export function address(text: string): IpAddress {
  const parsed = parseAddress(text);
  if (parsed === undefined) throw new RangeError(`not an address: ${text}`);
  return parsed;
}

export function endpoint(text: string, transport: Transport, port: number): Endpoint {
  return { address: address(text), transport, port };
}

export function nat(
  at: Endpoint,
  backend: string,
  port: number,
  masquerade = false,
): Entry & { readonly target: NatTarget } {
  return { endpoint: at, target: { kind: 'nat', address: address(backend), port, masquerade } };
}

export function balanced(
  at: Endpoint,
  ring: number,
  port: number,
  affinity: Affinity = 'five-tuple',
  masquerade = false,
): Entry & { readonly target: BalancedTarget } {
  return { endpoint: at, target: { kind: 'balanced', ring, affinity, port, masquerade } };
}

/** A ring whose slots go round the eligible members. */
export function ring(
  number: number,
  addresses: readonly string[],
  size: RingSize = 1021,
  states: Readonly<Record<string, Partial<RingMember>>> = {},
): Ring {
  const members = addresses.map((text) => ({
    id: text,
    address: address(text),
    weight: 1,
    eligible: true,
    keepsUdp: false,
    ...states[text],
  }));
  const eligible = members.flatMap((member, index) => (member.eligible ? [index] : []));
  const slots = Uint16Array.from(
    { length: eligible.length === 0 ? 0 : size },
    (_, slot) => eligible[slot % eligible.length] ?? 0,
  );
  return { number, family: familyOf(address(addresses[0] ?? '')), size, members, slots };
}

/** What `machine` begins over `transport` leaves from these ports of `from`. */
export function outbound(
  machine: string,
  transport: Transport,
  from: string,
  first: number,
  last: number,
): OutboundEntry {
  return { machine: address(machine), transport, address: address(from), first, last };
}

export function table(
  entries: readonly Entry[],
  rings: readonly Ring[] = [],
  sources: readonly OutboundEntry[] = [],
  limits: readonly FlowLimit[] = [],
): ForwardingTable {
  const backends = new Set<IpAddress>();
  for (const { target } of entries) if (target.kind === 'nat') backends.add(target.address);
  for (const { members } of rings) for (const member of members) backends.add(member.address);
  return {
    loadBalancers: PersistentMap([
      [
        'test',
        {
          rules: new Map([
            ['nat/test', { entries: new Map(entries.map((entry, index) => [`${index}`, entry])) }],
          ]),
          rings: new Map(rings.map((each) => [`${each.number}`, each])),
          outbound: new Map(sources.map((each) => [sourceKey(each.machine, each.transport), each])),
          limits: new Map(limits.map((each) => [`nat/${each.number}`, each])),
          localAddresses: new Set<IpAddress>(),
        },
      ],
    ]),
    backends: PersistentMap([...backends].map((each) => [each, 1])),
    localAddresses: PersistentMap(),
    ringNumbers: PersistentMap(),
    limitNumbers: PersistentMap(),
  };
}
