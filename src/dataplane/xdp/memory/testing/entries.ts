// Entries and changes in few words.
import type { Change } from '../../../../forwarding/change.ts';
import type { BalancedTarget, Entry, NatTarget, Ring, RingMember } from '../../../../forwarding/table.ts';
import { ip } from '../../../../forwarding/testing/declare.ts';
import type { Transport } from '../../../../resources/address.ts';

export const frontendAddress = ip('203.0.113.1');

/** `port` of the frontend's address leads to `to`, `10.0.0.1:22`. */
export function nat(
  port: number,
  to: string,
  over: Partial<NatTarget> & { transport?: Transport } = {},
): Entry {
  const { transport = 'tcp', ...target } = over;
  const [address = '', at = '0'] = to.split(':');
  return {
    endpoint: { address: frontendAddress, transport, port },
    target: { kind: 'nat', address: ip(address), port: Number(at), masquerade: false, ...target },
  };
}

export function balanced(port: number, to: number, over: Partial<BalancedTarget> = {}): Entry {
  return {
    endpoint: { address: frontendAddress, transport: 'tcp', port },
    target: { kind: 'balanced', ring: 1, affinity: 'five-tuple', port: to, masquerade: false, ...over },
  };
}

/** Ring 1 of members by the last byte of their address. */
export function ringOf(...members: readonly (number | (Partial<RingMember> & { host: number }))[]): Ring {
  const list = members.map((each): RingMember => {
    const { host, ...over } = typeof each === 'number' ? { host: each } : each;
    const member = { id: `vm-${host}`, address: ip(`10.0.0.${host}`), weight: 1 };
    return { ...member, eligible: true, keepsUdp: true, ...over };
  });
  const eligible = list.flatMap((each, index) => (each.eligible ? [index] : []));
  const slots = Uint16Array.from({ length: eligible.length === 0 ? 0 : 1021 }, (_, slot) => {
    return eligible[slot % eligible.length] ?? 0;
  });
  return { number: 1, family: 4, size: 1021, members: list, slots };
}

export function changeOf(over: Partial<Change>): Change {
  return {
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
    ...over,
  };
}
