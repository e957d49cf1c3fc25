import { expect, it } from 'vitest';
import { exceedsQueues } from './kernel/attach.ts';
import { crampedText, sharedQueues } from './presence-report.ts';

it('tells of send queues that CPUs share, where the driver is one that locks them', () => {
  const one = { name: 'eth0', driver: 'virtio_net', mode: 'native' } as const;
  expect(sharedQueues(one, { now: 2, most: 4 }, 2)).toEqual([]);
  expect(sharedQueues(one, { now: 3, most: 4 }, 2)).toEqual([
    expect.stringMatching(/^eth0: 3 queue pairs in use and one for each of 2 CPUs are more than its 4: /),
  ]);
  expect(sharedQueues({ ...one, mode: 'generic' }, { now: 1, most: 1 }, 2)).toEqual([]);
  expect(sharedQueues({ ...one, driver: 'ixgbe' }, { now: 1, most: 1 }, 2)).toEqual([]);
  expect(sharedQueues(one, undefined, 2)).toEqual([]);
});

it('knows the cards that would send by queues that they do not have', () => {
  expect(exceedsQueues({ now: 3, most: 4 }, 2)).toBe(true);
  // All CPUs have one, or they share all that there are.
  expect(exceedsQueues({ now: 3, most: 5 }, 2)).toBe(false);
  expect(exceedsQueues({ now: 2, most: 3 }, 2)).toBe(false);
});

it('says which MTU a driver takes for certain', () => {
  expect(crampedText({ ifindex: 2, name: 'eth0', mtu: 9000 })).toMatch(
    /MTU has become 9000.*ip link set dev eth0 mtu 3498$/,
  );
});
