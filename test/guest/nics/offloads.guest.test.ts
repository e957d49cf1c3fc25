// Cards whose offloads forbid XDP in the driver, and cannot be switched off from inside of the machine.
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Lab } from '../../lab/lab.ts';
import { findNicPairs } from '../../lab/nics.ts';
import type { Node } from '../../lab/topology.ts';
import type { Traffic } from '../../lab/traffic/traffic.ts';
import { kernelModes } from './support/driver.ts';
import { complaints, findings, interfaces, upNicLab } from './support/nic-lab.ts';

const words = "virtio_net: Can't set XDP while host is implementing GRO_HW/CSUM, disable GRO_HW/CSUM first";

let lab: Lab;
let traffic: Traffic;

beforeAll(async () => {
  lab = await upNicLab('nics-offloads', await findNicPairs(2));
  traffic = await lab.traffic();
});

afterAll(async () => {
  await traffic?.stop();
  await lab?.down();
});

it('are left to nftables: behind the driver the program would spoil unfinished checksums', async () => {
  const reason = `${words}; generic mode would spoil checksums`;
  expect(await interfaces(lab)).toEqual([
    expect.stringContaining(`lan0: off, ${reason}`),
    expect.stringContaining(`wan0: off, ${reason}`),
  ]);
  expect(await kernelModes(lab)).toEqual({});
  expect((await lab.penstock(['status'])).stdout).toContain(words);
});

it('are told to be made without those offloads', async () => {
  const remedy = /^(lan|wan)0: the driver does not let it go: .*guest_csum=off,guest_tso4=off/;
  expect(await findings(lab, 'GRO_HW_ON')).toEqual([
    expect.stringMatching(remedy),
    expect.stringMatching(remedy),
  ]);
  expect((await findings(lab, 'XDP_GENERIC_ONLY')).length).toBe(2);
});

it('forward all the same', async () => {
  expect(await complaints(traffic, 5)).toEqual([]);
});

it('forward what comes with unfinished checksums from another machine of the hypervisor', async () => {
  const ends: readonly (readonly [Node, string])[] = [
    ['client', 'eth0'],
    ['switch', 'gateway'],
    ['b1', 'eth0'],
    ['b2', 'eth0'],
  ];
  for (const [node, name] of ends) await lab.exec(node, ['ethtool', '-K', name, 'tx', 'on']);
  expect(await complaints(traffic, 5)).toEqual([]);
});
