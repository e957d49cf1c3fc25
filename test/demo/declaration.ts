// What the demo declares: a pool of machines, one port for all of them and one port for each.
import type { Backend } from '../lab/topology.ts';

export const frontend = '203.0.113.10';
export const firstPort = 500;

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

export const rulesYaml = `loadBalancingRules:
  - { name: http, frontend: public, protocol: TCP, frontendPort: 80, backendPort: 80, backendPool: machines }
inboundNatRules:
  - { name: tls, frontend: public, protocol: TCP, backendPort: 443,
      pool: { backendPool: machines, frontendPortRangeStart: ${firstPort}, maximumMachines: 1000 } }
`;
