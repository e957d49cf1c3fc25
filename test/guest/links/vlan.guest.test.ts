// VLAN tags on either side of the gateway, on both data planes: what the frames carry, and what happens to those of no VLAN.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { front } from '../../e2e/support/declare.ts';
import {
  complaints,
  declare,
  everyKind,
  everyKindAt,
  type Machines,
  outcomes,
  sh,
  status,
} from '../../e2e/support/ways.ts';
import type { Lab } from '../../lab/lab.ts';
import { backend, frontends, gateway } from '../../lab/topology.ts';
import type { Traffic } from '../../lab/traffic/traffic.ts';
import { agentOn, type Plane, planes, up, upLinksLab } from './support/links-lab.ts';
import { tagsSeen } from './support/tags.ts';

let lab: Lab;
let traffic: Traffic;
const machines: Machines = {
  4: [backend(1).address, '10.5.0.4'],
  6: [backend(1).address6, 'fd05::4'],
};

/** How the client comes: by the gateway's addresses in three networks on one wire. */
const ways = [
  { name: 'no tag', tags: '', via: gateway.wan.address, via6: gateway.wan.address6, device: 'eth0' },
  { name: 'one tag', tags: '8100.100', via: '192.0.2.1', via6: 'fd02::1', device: 'eth0.100' },
  { name: 'two tags', tags: '88a8.200 8100.7', via: '192.0.3.1', via6: 'fd03::1', device: 'eth0.200.7' },
] as const;

/** With these, a veth would keep a tag beside the frame, where XDP does not see it. */
const tagsInside = ['txvlan off', 'rxvlan off', 'tx-vlan-stag-hw-insert off', 'rx-vlan-stag-hw-parse off'];

beforeAll(async () => {
  lab = await upLinksLab('links-vlan');
  const insideFrames = (...names: readonly string[]): readonly string[] =>
    names.map((name) => `ethtool -K ${name} ${tagsInside.join(' ')} >/dev/null`);
  const onWan = (parent: string, host: string): readonly string[] => [
    `ip link add link ${parent} name ${parent}.100 type vlan id 100`,
    ...up(`${parent}.100`, `192.0.2.${host}/24`, `fd02::${host}/64`),
    `ip link add link ${parent} name ${parent}.200 type vlan protocol 802.1ad id 200`,
    ...up(`${parent}.200`),
    // A veth has room for one tag beside its MTU.
    `ip link add link ${parent}.200 name ${parent}.200.7 mtu 1496 type vlan id 7`,
    ...up(`${parent}.200.7`, `192.0.3.${host}/24`, `fd03::${host}/64`),
  ];
  await sh(lab, 'switch', ...insideFrames('gateway', 'b1', 'b2'));
  await sh(lab, 'gateway', ...insideFrames('wan0', 'lan0'), ...onWan('wan0', '1'), ...machinesVlan());
  await sh(lab, 'client', ...insideFrames('eth0'), ...onWan('eth0', '10'));
  await sh(
    lab,
    'b2',
    ...insideFrames('eth0'),
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

function machinesVlan(): readonly string[] {
  return ['ip link add link lan0 name lan0.5 type vlan id 5', ...up('lan0.5', '10.5.0.1/24', 'fd05::1/64')];
}

async function clientComes({ via, via6, device }: (typeof ways)[number]): Promise<void> {
  await sh(
    lab,
    'client',
    `ip route replace ${frontends.network} via ${via} dev ${device}`,
    `ip route replace ${frontends.network6} via ${via6} dev ${device}`,
  );
}

describe.each(planes)('with %s', (plane: Plane) => {
  beforeAll(async () => {
    await agentOn(lab, plane);
    await declare(lab, machines);
  });

  it.each(ways)('the client has $name', async (way) => {
    await clientComes(way);
    expect(await complaints(traffic)).toEqual([]);
    const before = await outcomes(lab);
    const [toMachine, toClient] = [{ at: {} }, { at: {} }];
    toClient.at = await tagsSeen(lab, 'client', 'eth0', async () => {
      toMachine.at = await tagsSeen(lab, 'b2', 'eth0', async () => {
        expect(await complaints(traffic)).toEqual([]);
      });
    });
    expect(Object.keys(toMachine.at)).toEqual(['8100.5']);
    expect(Object.keys(toClient.at)).toEqual([way.tags]);
    if (plane === 'nftables') return;
    const after = await outcomes(lab);
    // Everything by the program: each TCP exchange takes eight packets at least.
    expect((after.forwarded ?? 0) - (before.forwarded ?? 0)).toBeGreaterThanOrEqual(everyKind.length * 6);
    expect({ ...after, forwarded: 0 }).toEqual({ ...before, forwarded: 0 });
  });

  it('a tag that no interface has is nobody’s', async () => {
    await clientComes(ways[0]);
    const mac = JSON.parse(await sh(lab, 'gateway', 'ip -j link show wan0'))[0].address;
    await sh(
      lab,
      'client',
      'ip link add link eth0 name eth0.300 type vlan id 300',
      ...up('eth0.300', '192.0.4.10/24'),
      `ip neigh add 192.0.4.1 lladdr ${mac} dev eth0.300`,
      `ip route add ${front[4]} via 192.0.4.1`,
    );
    const before = await outcomes(lab);
    const asked = await traffic.ask([{ scheme: 'udp', address: front[4], port: 500, timeout: 1000 }]);
    expect(asked).toEqual([expect.objectContaining({ lost: expect.any(String) })]);
    expect(await outcomes(lab)).toEqual(before);
    await sh(lab, 'client', 'ip link delete eth0.300');
    expect(await complaints(traffic)).toEqual([]);
  });

  it.each([
    ['removed and made again', ['ip link delete lan0.5'], machinesVlan()],
    [
      'switched off and on again',
      ['ip link set lan0.5 down'],
      // IPv6 addresses go with the state.
      [
        'ip link set lan0.5 up',
        ...['fe80::1', 'fd05::1'].map((it) => `ip address replace ${it}/64 dev lan0.5 nodad`),
      ],
    ],
  ] as const)('a VLAN interface that is %s while packets flow is used again', async (_, off, on) => {
    await clientComes(ways[1]);
    const stream = (machine: 'b1' | 'b2') =>
      ({
        name: machine,
        request: { scheme: 'udp', address: front[4], port: machine === 'b1' ? 500 : 501, timeout: 1000 },
        perSecond: 20,
        expect: [machine],
      }) as const;
    await traffic.load([stream('b1'), stream('b2')]);
    const right = (machine: string): number =>
      [...(traffic.tally().byStream.get(machine) ?? new Map<string, number>()).values()].reduce(
        (a, b) => a + b,
        0,
      );
    const grows = async (machine: string): Promise<void> => {
      const from = right(machine);
      await expect.poll(() => right(machine), { timeout: 60_000 }).toBeGreaterThan(from + 5);
    };
    await grows('b2');
    await sh(lab, 'gateway', ...off);
    await grows('b1');
    await sh(lab, 'gateway', ...on);
    await grows('b2');
    await traffic.load([]);
    expect(traffic.tally().wrong).toBe(0);
    const before = await outcomes(lab);
    expect(await complaints(traffic)).toEqual([]);
    if (plane === 'xdp') expect((await outcomes(lab)).forwarded ?? 0).toBeGreaterThan(before.forwarded ?? 0);
  });
});

it('a VLAN interface that is named is served by the one below, and status says so', async () => {
  await agentOn(lab, 'xdp', '--interface', 'wan0.100', '--interface', 'lan0.5');
  await declare(lab, machines);
  const { interfaces, notes } = await status(lab);
  expect(interfaces.map(({ name, xdpMode }) => `${name}: ${xdpMode}`).toSorted()).toEqual([
    'lan0: native',
    'wan0: native',
  ]);
  expect(notes).toEqual(
    expect.arrayContaining(
      [
        ['wan0.100', 'wan0'],
        ['lan0.5', 'lan0'],
      ].map(
        ([name, below]) => `the program for ${name} runs on ${below}, where it reads the VLAN tags itself`,
      ),
    ),
  );
  await clientComes(ways[1]);
  expect(await complaints(traffic)).toEqual([]);
  // An address of the VLAN's own network. The kernel answers for it by ARP; by NDP only where it is told to.
  await sh(
    lab,
    'gateway',
    'echo 1 >/proc/sys/net/ipv6/conf/wan0.100/proxy_ndp',
    'ip -6 neigh add proxy fd02::50 dev wan0.100',
  );
  await declare(lab, machines, { 4: '192.0.2.50', 6: 'fd02::50' });
  const before = await outcomes(lab);
  expect(await complaints(traffic, 1, everyKindAt({ 4: '192.0.2.50', 6: 'fd02::50' }))).toEqual([]);
  expect((await outcomes(lab)).forwarded ?? 0).toBeGreaterThan((before.forwarded ?? 0) + everyKind.length);
});
