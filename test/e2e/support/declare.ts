// Short words for what the tests declare.
import type { Message } from '../../../src/wire/client.ts';
import { type Backend, backend } from '../../lab/topology.ts';

export const tcp = 1;
export const udp = 2;
export const all = 3;

export const adminState = { none: 1, up: 2, down: 3, drain: 4 } as const;

export const front = { 4: '203.0.113.10', 6: '2001:db8:f::10' } as const;
export const otherFront = { 4: '203.0.113.20', 6: '2001:db8:f::20' } as const;

export type Family = 4 | 6;

export function addressOf(machine: Backend, family: Family): string {
  return family === 4 ? machine.address : machine.address6;
}

/** Members named after the lab's machines: b1, b2, ... */
export function members(numbers: readonly number[], family: Family = 4): Message<'Member'>[] {
  return numbers.map((number) => {
    const machine = backend(number);
    return { id: machine.node, address: addressOf(machine, family) };
  });
}

/** Balances port 80 over TCP and port 53 over UDP of frontend `front` over pool `vms`. */
export const webAndDns: readonly Message<'LoadBalancingRule'>[] = [
  { name: 'web', frontend: 'front', protocol: tcp, frontendPort: 80, backendPort: 80, backendPool: 'vms' },
  { name: 'dns', frontend: 'front', protocol: udp, frontendPort: 53, backendPort: 5300, backendPool: 'vms' },
];
