// What happens to the program on a network card while agents, links, MTUs and the card itself come and go.
import { release } from 'node:os';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { front } from '../../e2e/support/declare.ts';
import { SteadyFlows, type Way } from '../../e2e/support/steady.ts';
import { isPinned, programs } from '../../e2e/support/xdp.ts';
import type { Lab } from '../../lab/lab.ts';
import { findNicPairs } from '../../lab/nics.ts';
import type { Traffic } from '../../lab/traffic/traffic.ts';
import { giveAddresses, plugIn, slotOf, unplug } from './support/cards.ts';
import { driverCounters, kernelModes, routedByKernel } from './support/driver.ts';
import { complaints, interfaces, notes, patience, ports, status, upNicLab } from './support/nic-lab.ts';

const both = ['lan0: native, virtio_net', 'wan0: native, virtio_net'];
const named = ['--interface', 'lan0', '--interface', 'wan0'];
/** virtio_net takes frames of several pages with XDP since Linux 6.3. */
const [major = 0, minor = 0] = release().split('.').map(Number);
const takesLarge = major > 6 || (major === 6 && minor >= 3);

let lab: Lab;
let traffic: Traffic;

beforeAll(async () => {
  lab = await upNicLab('nics-life', await findNicPairs(2), { arguments: named });
  traffic = await lab.traffic();
});

afterAll(async () => {
  await traffic?.stop();
  await lab?.down();
});

async function onGateway(...command: readonly string[]): Promise<string> {
  return (await lab.exec('gateway', command)).stdout;
}

describe('the program', () => {
  it('stays on the cards without an agent, and connections with it', async () => {
    const ways: readonly Way[] = [
      { name: 'mapped', address: front[4], port: ports.b1, transport: 'tcp' },
      { name: 'balanced', address: front[4], port: ports.balanced, transport: 'tcp' },
      { name: 'mapped over IPv6', address: front[6], port: ports.b2, transport: 'tcp' },
    ];
    await using steady = await SteadyFlows.start(lab, ways);
    const before = await programs(lab);
    await steady.expectUntouched(() => lab.stopAgent());
    expect(await programs(lab)).toEqual(before);
    expect(await complaints(traffic, 1)).toEqual([]);
    await steady.expectUntouched(() => lab.startAgent({ arguments: named }));
    await steady.expectUntouched(() => lab.killAgent());
    expect(await complaints(traffic, 1)).toEqual([]);
    await steady.expectUntouched(() => lab.startAgent({ arguments: named }));
    expect(await programs(lab)).toEqual(before);
    expect(await interfaces(lab)).toEqual(both);
  });

  it('stays when a link goes down, and forwards when it is up again', async () => {
    const before = await programs(lab);
    await onGateway('ip', 'link', 'set', 'wan0', 'down');
    expect(await programs(lab)).toEqual(before);
    await onGateway('ip', 'link', 'set', 'wan0', 'up');
    await giveAddresses(lab);
    expect(await complaints(traffic, 1)).toEqual([]);
    expect(await programs(lab)).toEqual(before);
    expect(await interfaces(lab)).toEqual(both);
  });

  it('comes back with a card that was taken out and put in again', async () => {
    const slot = await slotOf(lab, 'wan0');
    await unplug(slot);
    await expect
      .poll(() => interfaces(lab), { timeout: patience })
      .toEqual(['lan0: native, virtio_net', 'wan0: off, there is no such interface any more']);
    await plugIn(lab, slot);
    await expect.poll(() => interfaces(lab), { timeout: patience }).toEqual(both);
    expect(await kernelModes(lab)).toEqual({ lan0: 'native penstock', wan0: 'native penstock' });
    expect(await complaints(traffic, 1)).toEqual([]);
  });
});

describe('an MTU above a page', () => {
  const nodes = ['client', 'gateway', 'switch', 'b1', 'b2'] as const;

  async function setMtu(mtu: number): Promise<void> {
    for (const node of nodes) {
      const script = `for d in $(ip -brief link | sed 's/[@ ].*//'); do [ $d = lo ] || ip link set $d mtu ${mtu}; done`;
      await lab.exec(node, ['sh', '-ec', script]);
    }
  }

  // Some drivers let nobody take the program off above a page, and what follows would fail with this.
  afterEach(() => setMtu(1500));

  if (takesLarge) {
    it('gets the program for such frames, which then pass in the driver', async () => {
      await setMtu(9000);
      await expect
        .poll(() => kernelModes(lab), { timeout: patience })
        .toEqual({ lan0: 'native penstock_frags', wan0: 'native penstock_frags' });
      const { interfaces: shown, notes } = await status(lab);
      expect(shown.map(({ multiBuffer }) => multiBuffer)).toEqual([true, true]);
      expect(notes.join()).not.toContain('MTU');
      const request = { scheme: 'udp', address: front[4], port: ports.b1, payloadBytes: 8000 } as const;
      const large = [{ request, expect: ['b1'] }];
      expect(await complaints(traffic, 1, large)).toEqual([]);
      const before = [await routedByKernel(lab), (await driverCounters(lab, 'wan0')).redirected] as const;
      expect(await complaints(traffic, 10, large)).toEqual([]);
      expect((await routedByKernel(lab)) - before[0]).toBe(0);
      expect((await driverCounters(lab, 'wan0')).redirected - before[1]).toBeGreaterThanOrEqual(10);
      await setMtu(1500);
      expect(await complaints(traffic, 1)).toEqual([]);
    });
  } else {
    it('is told of where the driver has no program for it, by agent and doctor', async () => {
      await setMtu(9000);
      await expect
        .poll(async () => await notes(lab, 'MTU'), {
          timeout: patience,
        })
        .toEqual(
          // Beside that, where the kernel does not tell whether the driver sends such frames, they are routed.
          expect.arrayContaining(
            ['lan0', 'wan0'].map((name) => expect.stringMatching(`^${name}: its MTU has become 9000`)),
          ),
        );
      expect(await kernelModes(lab)).toEqual({ lan0: 'native penstock', wan0: 'native penstock' });
      const { stdout } = await lab.penstock(['doctor', '-o', 'json'], { reject: false });
      expect(stdout).toMatch(/"MTU_ABOVE_PAGE"/);
      expect(stdout).toMatch(/ip link set dev lan0 mtu 3498/);
      await setMtu(1500);
      await expect
        .poll(async () => await notes(lab, 'MTU'), {
          timeout: patience,
        })
        .toEqual([]);
      expect(await complaints(traffic, 1)).toEqual([]);
    });
  }
});

describe('leaving', () => {
  it('takes the program off the cards', async () => {
    await lab.stopAgent();
    await lab.penstock(['flush', '--state-directory', lab.stateDirectory]);
    expect(await kernelModes(lab)).toEqual({});
    expect(await isPinned(lab)).toBe(false);
    await lab.startAgent();
    expect(await interfaces(lab)).toEqual(both);
    expect(await complaints(traffic, 1)).toEqual([]);
  });

  it('does no harm to the machines’ side where the program is on the client’s side alone', async () => {
    await lab.stopAgent();
    await lab.startAgent({ arguments: ['--interface', 'wan0'] });
    expect(await kernelModes(lab)).toEqual({ wan0: 'native penstock' });
    expect(await complaints(traffic, 2)).toEqual([]);
    await lab.stopAgent();
    await lab.startAgent();
    expect(await interfaces(lab)).toEqual(both);
    expect(await complaints(traffic, 1)).toEqual([]);
  });
});
