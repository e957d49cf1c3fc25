// What the kernel says about an interface of the calling thread's network namespace.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { queuePairsOf, sendQueuesOf } from './interface.ts';
import { buildNetwork, ip, type Network } from './testing/network.ts';

let network: Network;
beforeAll(async () => {
  network = await buildNetwork();
});
afterAll(async () => {
  await network?.close();
});

it('counts the queues that the stack sends by, whatever network /sys shows', async () => {
  await ip(['link add several numtxqueues 3 type veth peer name itspeer']);
  expect(sendQueuesOf('several')).toBe(3);
  // No pairs: each kind has a number of its own.
  expect(queuePairsOf('several')).toBeUndefined();
  await ip(['link delete several']);
  expect(sendQueuesOf('several')).toBeUndefined();
});
