// A declaration for a lab's machines: one port for all of them, and a port of its own for each.
import type { Backend } from './topology.ts';

/** The example's frontend. */
export const frontend = '203.0.113.10';
/** Where the range of the machines' own ports starts. */
export const firstPort = 500;

/** A load balancer as `penstock apply` reads it. */
export function webYaml(machines: readonly Backend[]): string {
  return `name: web
frontends:
  - { name: public, address: ${frontend} }
backendPools:
  - name: machines
    members:
${machines.map(({ node, address }) => `      - { id: ${node}, address: ${address} }\n`).join('')}
${rulesYaml}`;
}

/** The last five lines of it. */
export const rulesYaml = `loadBalancingRules:
  - { name: http, frontend: public, protocol: TCP, frontendPort: 80, backendPort: 80, backendPool: machines }
inboundNatRules:
  - { name: tls, frontend: public, protocol: TCP, backendPort: 443,
      pool: { backendPool: machines, frontendPortRangeStart: ${firstPort}, maximumMachines: 1000 } }
`;
