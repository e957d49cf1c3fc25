// The rulesets that Penstock is measured against, each forwarding the same kind of mapping.
import { backendPort, firstPort, frontendAddress, memberAddress } from '../declaration.ts';
import type { Way } from './contender.ts';

/** The ways of `count` mappings in pools of 1,000, as in the declarations for Penstock. */
export function natWays(count: number): readonly Way[] {
  return Array.from({ length: count }, (_, index) => {
    const [pool, member] = [Math.floor(index / 1000), index % 1000];
    return {
      address: frontendAddress(pool),
      port: firstPort + member,
      machine: memberAddress(pool, member),
      machinePort: backendPort,
    };
  });
}

/** Straight to the machines. */
export function plainWays(count: number): readonly Way[] {
  return natWays(count).map(({ machine, machinePort }) => ({
    address: machine,
    port: machinePort,
    machine,
    machinePort,
  }));
}

/** The least that makes the kernel track flows: what a stateful translation cannot do without. */
export const trackOnly = `table inet floor {
  chain prerouting { type filter hook prerouting priority -90; ct state invalid drop; }
}`;

/** All mappings in one map and one rule: the least that nftables can do a translation with. */
export function oneMap(ways: readonly Way[]): string {
  const elements = ways.map(
    ({ address, port, machine, machinePort }) => `${address} . udp . ${port} : ${machine} . ${machinePort}`,
  );
  return `table ip onemap {
    map nat { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; elements = {
      ${elements.join(',\n')}
    } }
    chain prerouting {
      type nat hook prerouting priority -100;
      meta l4proto { tcp, udp } dnat ip to ip daddr . meta l4proto . th dport map @nat
    }
  }`;
}

/** In the shape of kube-proxy's nftables mode: a map from the service to a chain of its own. */
export function chainPerService(ways: readonly Way[]): string {
  const chains = ways.map(
    ({ machine, machinePort }, index) =>
      `chain service-${index} { meta l4proto udp dnat to ${machine}:${machinePort}; }`,
  );
  const elements = ways.map(
    ({ address, port }, index) => `${address} . udp . ${port} : goto service-${index}`,
  );
  return `table ip chains {
    ${chains.join('\n')}
    map services { type ipv4_addr . inet_proto . inet_service : verdict; elements = {
      ${elements.join(',\n')}
    } }
    chain prerouting {
      type nat hook prerouting priority -100;
      ip daddr . meta l4proto . th dport vmap @services
    }
  }`;
}

/** One rule each, tried in turn; for iptables-nft-restore. */
export function ruleEach(ways: readonly Way[]): string {
  const rules = ways.map(
    ({ address, port, machine, machinePort }) =>
      `-A PREROUTING -d ${address}/32 -p udp -m udp --dport ${port} -j DNAT --to-destination ${machine}:${machinePort}`,
  );
  return ['*nat', ...rules, 'COMMIT', ''].join('\n');
}
