// Cards of several queues, with the offloads of a hypervisor: what XDP asks of them, and who says so when they lack it.
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Lab } from '../../lab/lab.ts';
import { findNicPairs } from '../../lab/nics.ts';
import type { Traffic } from '../../lab/traffic/traffic.ts';
import { routedByKernel } from './support/driver.ts';
import { complaints, findings, interfaces, notes, upNicLab } from './support/nic-lab.ts';

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
  expect(await notes(lab, 'queue pairs')).toEqual([]);
  expect(await findings(lab, 'XDP_QUEUES_SHARED')).toEqual([]);

  await setQueues(4);
  expect(await notes(lab, 'queue pairs')).toEqual([
    expect.stringMatching(/^lan0: 4 queue pairs in use and one for each of 2 CPUs are more than its 4: /),
  ]);
  const remedy =
    'systemctl stop penstock; penstock flush; ethtool -L lan0 combined 2; systemctl start penstock';
  expect(await findings(lab, 'XDP_QUEUES_SHARED')).toEqual([`lan0: ${remedy}`]);
  // The driver refuses it while the program is there.
  const refused = await lab.exec('gateway', ['ethtool', '-L', 'lan0', 'combined', '2'], { reject: false });
  expect(refused.exitCode).not.toBe(0);
  expect(await complaints(traffic, 1)).toEqual([]);

  await setQueues(2);
  expect(await notes(lab, 'queue pairs')).toEqual([]);
  expect(await findings(lab, 'XDP_QUEUES_SHARED')).toEqual([]);
  expect(await complaints(traffic, 1)).toEqual([]);
});
