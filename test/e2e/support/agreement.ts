// Whether the kernel runs what the agent says that it does: element by element.
import { expect } from 'vitest';
import type { GatewayClient } from '../../../src/wire/client.ts';
import type { Lab } from '../../lab/lab.ts';
import { listLoadBalancers, listMappings } from './gateway.ts';
import { elements } from './kernel.ts';

const protocols = new Map([
  [1, ['tcp']],
  [2, ['udp']],
  [3, ['tcp', 'udp']],
]);

/** Of both families, for rules for single ports. */
export async function expectAgreement(lab: Lab, client: GatewayClient): Promise<void> {
  const [mappings, loadBalancers] = await Promise.all([
    listMappings(client, { skipCounters: true }),
    listLoadBalancers(client),
  ]);
  const nat: string[] = [];
  const natLive: string[] = [];
  const backends = new Set<string>();
  for (const { frontendAddress, protocol, frontendPort, backendAddress, backendPort } of mappings) {
    backends.add(backendAddress);
    for (const name of protocols.get(protocol) ?? []) {
      nat.push(`${frontendAddress} ${name} ${frontendPort} -> ${backendAddress} ${backendPort}`);
      natLive.push(`${frontendAddress} ${name} ${frontendPort} ${backendAddress} ${backendPort}`);
    }
  }
  const fronts: string[] = [];
  const ringLive: string[] = [];
  for (const { frontends, backendPools, loadBalancingRules } of loadBalancers) {
    const balanced = new Set(loadBalancingRules.map(({ backendPool }) => backendPool));
    for (const { name, members } of backendPools) {
      if (!balanced.has(name)) continue;
      for (const { address } of members) {
        backends.add(address);
        ringLive.push(`${address} tcp`, `${address} udp`);
      }
    }
    for (const rule of loadBalancingRules) {
      const address = frontends.find(({ name }) => name === rule.frontend)?.address;
      for (const name of protocols.get(rule.protocol) ?? [])
        fronts.push(`${address} ${name} ${rule.frontendPort}`);
    }
  }
  const [inNat, inNatLive, inFront, inFrontLive, inRingLive, inBackends] = await Promise.all([
    ofBothFamilies(lab, 'map', 'nat'),
    ofBothFamilies(lab, 'set', 'nat_live'),
    ofBothFamilies(lab, 'map', 'front'),
    ofBothFamilies(lab, 'map', 'front_live'),
    ofBothFamilies(lab, 'set', 'ring_live'),
    ofBothFamilies(lab, 'set', 'backends'),
  ]);
  expect(inNat).toEqual(nat.toSorted());
  expect(inNatLive).toEqual(natLive.toSorted());
  // What a frontend leads to is a number that only the agent knows.
  expect(inFront.map(endpoint)).toEqual(fronts.toSorted());
  expect(inFrontLive.map((element) => endpoint(element.replace(/^\S+ /, ''))).toSorted()).toEqual(
    fronts.toSorted(),
  );
  expect(inRingLive.map((element) => element.replace(/^\S+ /, '')).toSorted()).toEqual(ringLive.toSorted());
  expect(inBackends).toEqual([...backends].toSorted());
}

/** The address, protocol and port that an element begins with. */
function endpoint(element: string): string {
  return element.split(' ', 3).join(' ');
}

async function ofBothFamilies(lab: Lab, kind: 'map' | 'set', name: string): Promise<readonly string[]> {
  const parts = await Promise.all([4, 6].map((family) => elements(lab, kind, `${name}${family}`)));
  return parts.flat().toSorted();
}
