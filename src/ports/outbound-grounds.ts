// What is taken of each frontend address before outbound rules get theirs: ports of inbound rules, and of neighbours.
import type { IpAddress, Transport } from '../resources/address.ts';
import { transportsOf } from '../resources/address.ts';
import { addressIndexOf } from '../resources/address-index.ts';
import { type InboundPorts, inboundPorts } from '../resources/claims.ts';
import type { Configuration, LoadBalancer, OutboundRule } from '../resources/model.ts';
import type { Outbound, OutboundBlock } from './outbound.ts';
import { OutboundSpace, type PortRange } from './outbound-space.ts';

export type Claim = InboundPorts & { readonly loadBalancer: string };

export interface Grounds {
  space(address: IpAddress): OutboundSpace;
  /** The inbound rule that uses one of these ports, if any does. */
  claimOn(address: IpAddress, transports: readonly Transport[], range: PortRange): Claim | undefined;
}

/** Of the configuration after a change; blocks of the load balancers in `open` are free, for they are given out anew. */
export function groundsOf(after: Configuration, outbound: Outbound, open: ReadonlySet<string>): Grounds {
  const index = addressIndexOf(after);
  const claims = new Map<IpAddress, readonly Claim[]>();
  const spaces = new Map<IpAddress, OutboundSpace>();
  const claimsAt = (address: IpAddress): readonly Claim[] => {
    const known = claims.get(address);
    if (known !== undefined) return known;
    const found = index.get(address, []).flatMap((name) => {
      const loadBalancer = after.get(name);
      return loadBalancer === undefined ? [] : [...claimsOn(loadBalancer, address)];
    });
    claims.set(address, found);
    return found;
  };
  return {
    space(address) {
      const known = spaces.get(address);
      if (known !== undefined) return known;
      const space = new OutboundSpace();
      for (const { transport, from, to } of claimsAt(address)) space.close(transport, from, to);
      for (const name of index.get(address, [])) {
        const neighbour = open.has(name) ? undefined : after.get(name);
        if (neighbour === undefined) continue;
        for (const { rule, block } of blocksOf(neighbour, outbound)) {
          if (block.address === address) space.take(transportsOf(rule.protocol), block);
        }
      }
      spaces.set(address, space);
      return space;
    },
    claimOn(address, transports, range) {
      return claimsAt(address).find(
        ({ transport, from, to }) =>
          transports.includes(transport) && (from === 0 || (from <= range.last && to >= range.first)),
      );
    },
  };
}

function* claimsOn(loadBalancer: LoadBalancer, address: IpAddress): Generator<Claim> {
  for (const ports of inboundPorts(loadBalancer)) {
    if (ports.address === address) yield { ...ports, loadBalancer: loadBalancer.name };
  }
}

/** Every block that a load balancer's rules have given out. */
export function* blocksOf(
  { name, outboundRules }: LoadBalancer,
  outbound: Outbound,
): Generator<{ readonly rule: OutboundRule; readonly block: OutboundBlock }> {
  const ports = outbound.ports.get(name);
  for (const rule of outboundRules) {
    for (const block of ports?.get(rule.name)?.blocks.values() ?? []) yield { rule, block };
  }
}
