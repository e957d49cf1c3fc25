// Cards of several queues, with the offloads of a hypervisor: what XDP asks of them, and who says so when they lack it.
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Lab } from '../../lab/lab.ts';
import { findNicPairs } from '../../lab/nics.ts';
import type { Traffic } from '../../lab/traffic/traffic.ts';
import { kernelModes, routedByKernel } from './support/driver.ts';
import { complaints, findings, interfaces, notes, patience, upNicLab } from './support/nic-lab.ts';

let lab: Lab;
let traffic: Traffic;

beforeAll(async () => {
  lab = await upNicLab('nics-queues', await findNicPairs(2));
  traffic = await lab.traffic();
});

afterAll(async () => {
  await traffic?.stop();
  await lab?.down();
});

/** What the remedy says, without a service to stop. */
async function setQueues(pairs: number): Promise<void> {
  await lab.stopAgent();
  await lab.penstock(['flush', '--state-directory', lab.stateDirectory]);
  await lab.exec('gateway', ['ethtool', '-L', 'lan0', 'combined', `${pairs}`]);
  await lab.startAgent();
}

it('runs natively where the driver can switch the offloads off, and the doctor does not mind them', async () => {
  expect(await interfaces(lab)).toEqual(['lan0: native, virtio_net', 'wan0: native, virtio_net']);
  const { stdout } = await lab.exec('gateway', ['ethtool', '-k', 'lan0']);
  expect(stdout).toMatch(/^rx-gro-hw: on$/m);
  expect(await findings(lab, 'GRO_HW_ON')).toEqual([]);
  expect(await complaints(traffic, 1)).toEqual([]);
  const before = await routedByKernel(lab);
  expect(await complaints(traffic, 5)).toEqual([]);
  expect((await routedByKernel(lab)) - before).toBe(0);
});

it('says which card has no send queue for each CPU, and the remedy gives it', async () => {
  // The driver takes a pair for each CPU, and of three that leaves one for XDP.
  const note = (name: string) =>
    expect.stringMatching(`^${name}: 2 queue pairs in use and one for each of 2 CPUs are more than its 3: `);
  const remedy = (name: string) =>
    `${name}: systemctl stop penstock; penstock flush; ethtool -L ${name} combined 1; systemctl start penstock`;
  expect(await notes(lab, 'queue pairs')).toEqual([note('lan0'), note('wan0')]);
  expect(await findings(lab, 'XDP_QUEUES_SHARED')).toEqual([remedy('lan0'), remedy('wan0')]);
  // The driver refuses it while the program is there.
  const refused = await lab.exec('gateway', ['ethtool', '-L', 'lan0', 'combined', '1'], { reject: false });
  expect(refused.exitCode).not.toBe(0);

  await setQueues(1);
  expect(await notes(lab, 'queue pairs')).toEqual([note('wan0')]);
  expect(await findings(lab, 'XDP_QUEUES_SHARED')).toEqual([remedy('wan0')]);
  expect(await complaints(traffic, 1)).toEqual([]);
});

it('leaves a card alone that would send by queues that it does not have, until the remedy has been taken', async () => {
  await setQueues(3);
  expect(await interfaces(lab)).toEqual([
    expect.stringMatching(/^lan0: off, 3 queue pairs in use are more than 2 CPUs, /),
    'wan0: native, virtio_net',
  ]);
  expect(await kernelModes(lab)).toEqual({ wan0: 'native penstock' });
  expect(await findings(lab, 'XDP_QUEUES_SHARED')).toEqual([
    'lan0: ethtool -L lan0 combined 1',
    expect.stringMatching(/^wan0: /),
  ]);
  expect(await complaints(traffic, 1)).toEqual([]);

  await lab.exec('gateway', ['ethtool', '-L', 'lan0', 'combined', '1']);
  await expect
    .poll(() => interfaces(lab), { timeout: patience })
    .toEqual(['lan0: native, virtio_net', 'wan0: native, virtio_net']);
  expect(await complaints(traffic, 1)).toEqual([]);
});
