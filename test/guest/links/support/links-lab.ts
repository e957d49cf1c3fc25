// A lab whose links the tests change, with an agent on one data plane after the other.

import { nodad } from '../../../e2e/support/ways.ts';
import { Lab } from '../../../lab/lab.ts';

export const planes = ['nftables', 'xdp'] as const;
export type Plane = (typeof planes)[number];

/** Two machines; the wires are such that XDP can use them, whoever uses them. */
export async function upLinksLab(name: string): Promise<Lab> {
  return await Lab.up({ name: `${name}-${process.pid}`, backends: 2, dataplane: 'xdp' });
}

/** Starts the agent on this data plane in place of the one before, which it takes the gateway over from. */
export async function agentOn(lab: Lab, plane: Plane, ...more: readonly string[]): Promise<void> {
  await lab.stopAgent();
  await lab.startAgent({ arguments: ['--dataplane', plane, ...more] });
}

/**
 * Switches a new interface on and gives it addresses, which hold at once; beside an IPv6 one a link-local one, without
 * which the kernel asks for no neighbour on behalf of forwarded packets.
 */
export function up(name: string, ...given: readonly string[]): readonly string[] {
  const local = given
    .filter((address) => address.includes(':'))
    .map((address) => address.replace(/^.*::/, 'fe80::'));
  const addresses = [...local, ...given];
  return [
    `ip link set ${name} addrgenmode none`,
    `ip link set ${name} up`,
    ...addresses.map((address) => `ip address add ${address} dev ${name}${nodad(address)}`),
  ];
}
