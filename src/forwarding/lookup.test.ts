import { Map as PersistentMap } from 'immutable';
import { expect, test } from 'vitest';
import type { LoadBalancer } from '../resources/model.ts';
import { compile, emptyTable } from './compile.ts';
import { slotOf } from './hash.ts';
import { lookup } from './lookup.ts';
import { assign, balancingRule, ip, loadBalancer, members, pool, singleRule } from './testing/declare.ts';

const web = loadBalancer('web', {
  backendPools: [pool('pool', ...members(4)), pool('dead', ...members(2, { adminState: 'down' }))],
  inboundNatRules: [singleRule('ssh', { target: { kind: 'address', address: ip('10.1.0.1') } })],
  loadBalancingRules: [
    balancingRule('any', {
      protocol: 'all',
      frontendPort: 0,
      backendPort: 0,
      sessionPersistence: 'client-ip',
    }),
    balancingRule('dead', { frontendPort: 81, backendPool: 'dead' }),
  ],
});

function tableOf(declared: LoadBalancer) {
  return compile(emptyTable(), new Map([['web', declared]]), PersistentMap([['web', assign(declared)]]));
}

const table = tableOf(web);

const flow = {
  sourceAddress: ip('198.51.100.1'),
  sourcePort: 40000,
  destinationAddress: ip('203.0.113.1'),
  destinationPort: 2222,
  transport: 'tcp',
} as const;

test('an entry for the very port wins over one for all ports', () => {
  expect(lookup(table, flow)).toMatchObject({ address: '10.1.0.1', port: 22 });
  expect(lookup(table, { ...flow, transport: 'udp' })?.entry.endpoint.port).toBe(0);
});

test('port 0 leaves the port as it is, and the slot names the member', () => {
  const found = lookup(table, { ...flow, destinationPort: 9 });
  const ring = table.loadBalancers.get('web')?.rings.get('pool');
  const owner = ring?.slots[slotOf(1021, 'client-ip', flow)] ?? -1;
  expect(found).toMatchObject({ address: ring?.members[owner]?.address, port: 9 });
  expect(lookup(table, { ...flow, destinationPort: 10, sourcePort: 1 })?.address).toBe(found?.address);
});

test('nobody gets a flow to an unknown address, or to a ring without eligible members', () => {
  expect(lookup(table, { ...flow, destinationAddress: ip('203.0.113.2') })).toBeUndefined();
  expect(lookup(table, { ...flow, destinationPort: 81 })).toBeUndefined();
});
