// Bonds: the program on the bond runs on its ports, which may fail while packets flow; and bonds that take no program.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { front } from '../../e2e/support/declare.ts';
import { complaints, declare, everyKind, outcomes, sh, status } from '../../e2e/support/ways.ts';
import type { Lab } from '../../lab/lab.ts';
import { backend, gateway } from '../../lab/topology.ts';
import type { Traffic } from '../../lab/traffic/traffic.ts';
import { agentOn, planes, up, upLinksLab } from './support/links-lab.ts';

let lab: Lab;
let traffic: Traffic;

const tagsInside = 'txvlan off rxvlan off';

/** A bond in place of the gateway's one wire to the machines; its two wires end in a bond of the switch. */
beforeAll(async () => {
  lab = await upLinksLab('links-bond');
  await sh(
    lab,
    'gateway',
    'ip address flush dev lan0',
    `ip link add lan1 type veth peer name gateway1 netns ${lab.namespace('switch')}`,
    ...['lan0', 'lan1'].map((name) => `ethtool -K ${name} tx off gro on ${tagsInside} >/dev/null`),
  );
  await sh(
    lab,
    'switch',
    ...['gateway', 'gateway1', 'b1', 'b2'].map(
      (name) => `ethtool -K ${name} tx off gro on ${tagsInside} >/dev/null`,
    ),
  );
  await sh(
    lab,
    'b2',
    `ethtool -K eth0 ${tagsInside} >/dev/null`,
    'ip link add link eth0 name eth0.5 type vlan id 5',
    ...up('eth0.5', '10.5.0.4/24', 'fd05::4/64'),
    'ip route replace default via 10.5.0.1',
    'ip route replace default via fd05::1',
  );
  traffic = await lab.traffic();
});
afterAll(async () => {
  await traffic?.stop();
  await lab?.down();
});

/** b1 on the bond, b2 in a VLAN on it. At the switch either a bond as well, or nothing but two wires. */
async function bonds(options: string, peer: 'bond' | 'wires' = 'bond'): Promise<void> {
  const wires = ['gateway', 'gateway1'];
  await sh(
    lab,
    'switch',
    'ip link set gateway nomaster; ip link delete bond0 2>/dev/null || true',
    ...(peer === 'wires'
      ? wires.flatMap((name) => [`ip link set ${name} master lan`, `ip link set ${name} up`])
      : [
          `ip link add bond0 type bond ${options}`,
          ...wires.flatMap((name) => [`ip link set ${name} down`, `ip link set ${name} master bond0`]),
          ...up('bond0'),
          'ip link set bond0 master lan',
        ]),
  );
  await sh(
    lab,
    'gateway',
    'ip link delete bond0 2>/dev/null || true',
    `ip link add bond0 type bond ${options}`,
    ...['lan0', 'lan1'].flatMap((name) => [`ip link set ${name} down`, `ip link set ${name} master bond0`]),
    ...up('bond0', `${gateway.lan.address}/16`, `${gateway.lan.address6}/64`),
    'ip link add link bond0 name bond0.5 type vlan id 5',
    ...up('bond0.5', '10.5.0.1/24', 'fd05::1/64'),
  );
}

async function modes(): Promise<readonly string[]> {
  const { interfaces } = await status(lab);
  return interfaces
    .map(({ name, xdpMode, reason }) =>
      [`${name}: ${xdpMode}`, ...(reason === '' ? [] : [reason])].join(', '),
    )
    .toSorted();
}

const machines = {
  4: [backend(1).address, '10.5.0.4'],
  6: [backend(1).address6, 'fd05::4'],
} as const;

/** Both wires in turn; a while without one, and with it again. */
async function failOver(): Promise<void> {
  const stream = (machine: 'b1' | 'b2') =>
    ({
      name: machine,
      request: { scheme: 'udp', address: front[4], port: machine === 'b1' ? 500 : 501, timeout: 1000 },
      perSecond: 20,
      expect: [machine],
    }) as const;
  await traffic.load([stream('b1'), stream('b2')]);
  const right = (machine: string): number =>
    (traffic.tally().byStream.get(machine) ?? new Map<string, number>()).get(machine) ?? 0;
  const flows = async (): Promise<void> => {
    for (const machine of ['b1', 'b2']) {
      const from = right(machine);
      await expect.poll(() => right(machine), { timeout: 60_000 }).toBeGreaterThan(from + 5);
    }
  };
  await flows();
  for (const wire of ['gateway', 'gateway1']) {
    await sh(lab, 'switch', `ip link set ${wire} down`);
    await flows();
    expect(await complaints(traffic)).toEqual([]);
    await sh(lab, 'switch', `ip link set ${wire} up`);
    await flows();
  }
  await traffic.load([]);
  expect(traffic.tally().wrong).toBe(0);
}

const modesOf = {
  nftables: ['mode active-backup miimon 50'],
  xdp: [
    'mode active-backup miimon 50',
    'mode balance-xor xmit_hash_policy layer3+4 miimon 50',
    'mode 802.3ad lacp_rate fast miimon 50',
  ],
} as const;

describe.each(planes)('with %s', (plane) => {
  it.each(modesOf[plane])('%s', async (options) => {
    await lab.stopAgent();
    await bonds(options);
    await agentOn(lab, plane);
    await declare(lab, machines);
    // A bond of LACP takes its time until both ends have agreed.
    await expect.poll(() => complaints(traffic), { timeout: 120_000 }).toEqual([]);
    const before = await outcomes(lab);
    expect(await complaints(traffic)).toEqual([]);
    if (plane === 'xdp') {
      expect(await modes()).toEqual(['bond0: native', 'wan0: native']);
      const after = await outcomes(lab);
      expect((after.forwarded ?? 0) - (before.forwarded ?? 0)).toBeGreaterThanOrEqual(everyKind.length * 6);
      expect({ ...after, forwarded: 0 }).toEqual({ ...before, forwarded: 0 });
    }
    await failOver();
  });
});

describe('on XDP', () => {
  it('a port that joins while packets flow takes part', async () => {
    await lab.stopAgent();
    await bonds('mode active-backup miimon 50');
    await sh(lab, 'gateway', 'ip link set lan1 nomaster');
    await agentOn(lab, 'xdp');
    await declare(lab, machines);
    expect(await complaints(traffic)).toEqual([]);
    await sh(
      lab,
      'gateway',
      'ip link set lan1 down',
      'ip link set lan1 master bond0',
      'ip link set lan0 nomaster',
    );
    await expect.poll(() => complaints(traffic), { timeout: 60_000 }).toEqual([]);
    const before = await outcomes(lab);
    expect(await complaints(traffic)).toEqual([]);
    const after = await outcomes(lab);
    expect((after.forwarded ?? 0) - (before.forwarded ?? 0)).toBeGreaterThanOrEqual(everyKind.length * 6);
  });

  it.each([
    ['mode 802.3ad lacp_rate fast xmit_hash_policy vlan+srcmac miimon 50', 'bond'],
    // It sends by both wires and is sent to by one, so a bond is no partner for it.
    ['mode balance-tlb miimon 50', 'wires'],
  ] as const)('takes no part on a bond that refuses it, with VLANs or without: %s', async (options, peer) => {
    const left = [expect.stringMatching(/^bond0: off, .+ had put together: .+/), 'wan0: native'];
    await lab.stopAgent();
    await bonds(options, peer);
    await agentOn(lab, 'xdp');
    await declare(lab, machines);
    expect(await modes()).toEqual(left);
    await expect.poll(() => complaints(traffic), { timeout: 120_000 }).toEqual([]);
    await sh(lab, 'gateway', 'ip link delete bond0.5');
    // In generic mode nothing long would pass: the ports put its segments together.
    const machine = everyKind.filter(({ request }) => request.port === 500);
    expect(await complaints(traffic, 3, machine)).toEqual([]);
    expect(await modes()).toEqual(left);
  });
});
