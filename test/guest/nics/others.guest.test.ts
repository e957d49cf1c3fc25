// Other drivers than virtio_net: vmxnet3, which has native XDP since Linux 6.6, and e1000e, which has none.
import { release } from 'node:os';
import { afterEach, describe, expect, it } from 'vitest';
import type { Lab } from '../../lab/lab.ts';
import { findNicPairs, type NicPair } from '../../lab/nics.ts';
import { driverCounters, kernelModes, routedByKernel } from './support/driver.ts';
import { complaints, findings, interfaces, upNicLab } from './support/nic-lab.ts';

const [major = 0, minor = 0] = release().split('.').map(Number);
const vmxnet3IsNative = major > 6 || (major === 6 && minor >= 6);
const noNative = 'Underlying driver does not support XDP in native mode';

let lab: Lab | undefined;

afterEach(async () => {
  await lab?.down();
  lab = undefined;
});

/** Cards 1 and 3 are of vmxnet3, 5 and 7 of e1000e; their partners are of virtio_net. */
async function pairs(from: 0 | 2): Promise<readonly NicPair[]> {
  return (await findNicPairs(4)).slice(from, from + 2);
}

async function expectGeneric(driver: string, nics: readonly NicPair[]): Promise<void> {
  lab = await upNicLab('nics-generic', nics);
  await using traffic = await lab.traffic();
  expect(await interfaces(lab)).toEqual(
    ['lan0', 'wan0'].map((name) => `${name}: generic, ${driver}, ${noNative}`),
  );
  expect(await kernelModes(lab)).toEqual({ lan0: 'generic penstock', wan0: 'generic penstock' });
  const remedy = expect.stringMatching(/^(lan|wan)0: /);
  expect(await findings(lab, 'XDP_GENERIC_ONLY')).toEqual([remedy, remedy]);
  expect(await complaints(traffic, 1)).toEqual([]);
  const before = await routedByKernel(lab);
  expect(await complaints(traffic, 5)).toEqual([]);
  expect((await routedByKernel(lab)) - before).toBe(0);
}

describe('vmxnet3', () => {
  if (vmxnet3IsNative) {
    it('forwards in the driver', async () => {
      lab = await upNicLab('nics-vmxnet3', await pairs(0));
      await using traffic = await lab.traffic();
      expect(await interfaces(lab)).toEqual(['lan0: native, vmxnet3', 'wan0: native, vmxnet3']);
      expect(await kernelModes(lab)).toEqual({ lan0: 'native penstock', wan0: 'native penstock' });
      expect(await complaints(traffic, 1)).toEqual([]);
      const before = { routed: await routedByKernel(lab), ...(await driverCounters(lab, 'wan0')) };
      expect(await complaints(traffic, 5)).toEqual([]);
      const after = { routed: await routedByKernel(lab), ...(await driverCounters(lab, 'wan0')) };
      expect(after.routed - before.routed).toBe(0);
      // Half of the packets of a request come from the client.
      expect(after.redirected - before.redirected).toBeGreaterThanOrEqual(5 * (6 * 4 + 6));
      expect(after.sent - before.sent).toBeGreaterThanOrEqual(5 * (6 * 4 + 6));
    });
  } else {
    it('gets the program behind the driver, which forwards all the same', async () => {
      await expectGeneric('vmxnet3', await pairs(0));
    });
  }
});

describe('e1000e', () => {
  it('gets the program behind the driver, which forwards all the same', async () => {
    await expectGeneric('e1000e', await pairs(2));
  });
});
