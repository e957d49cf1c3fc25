import { describe, expect, it } from 'vitest';
import type { Check } from '../check.ts';
import { type Interface, judgeXdpInterface, type Offloads, type Surroundings } from './interface.ts';
import { judgeMerging, judgeQueues, judgeVethChecksum } from './offloads.ts';

const off = { on: false, fixed: false } as const;
const on = { on: true, fixed: false } as const;
const offloads: Offloads = { lro: off, groHardware: off, gro: on, receiveVlan: off, sendChecksum: on };
const able = { native: true, transmit: true, jumbo: true } as const;

const eth0: Interface = {
  name: 'eth0',
  ifindex: 2,
  kind: '',
  driver: 'ixgbe',
  mtu: 1500,
  up: true,
  routed: true,
  physical: true,
  below: '',
  master: '',
  bondMode: '',
  bridgeNetfilter: false,
  xdp: able,
  offloads,
};

const surroundings: Surroundings = { all: [eth0], ownPrograms: new Set([7]), pageSize: 4096 };

const troubles = (checks: readonly Check[]) =>
  checks
    .filter(({ status }) => status !== 'ok')
    .map(({ code, subject, status, remedy }) => [code, subject, status, remedy]);

const xdp = (one: Partial<Interface>, others: readonly Interface[] = []) => {
  const whole = { ...eth0, ...one };
  return troubles(judgeXdpInterface(whole, { ...surroundings, all: [whole, ...others] }));
};

describe('XDP on an interface', () => {
  it('is fine with a capable driver', () => {
    expect(xdp({})).toEqual([]);
  });

  it.each<[string, Partial<Interface>, readonly unknown[]]>([
    [
      'a program of somebody else',
      { program: { id: 9, name: 'dropper', mode: 'native' } },
      ['XDP_FOREIGN_PROGRAM', 'eth0', 'error', 'ip link set dev eth0 xdp off'],
    ],
    [
      'one that a link holds, which ip cannot take off',
      { program: { id: 9, name: '', mode: 'native', link: 3 } },
      ['XDP_FOREIGN_PROGRAM', 'eth0', 'error', 'bpftool link detach id 3'],
    ],
    [
      'a driver without native XDP',
      { xdp: { native: false, transmit: false, jumbo: false }, driver: 'e1000' },
      ['XDP_GENERIC_ONLY', 'eth0', 'warning', expect.stringContaining('--dataplane nftables')],
    ],
    [
      'a driver that needs a program before it sends for others',
      { xdp: { ...able, transmit: false } },
      ['XDP_TRANSMIT_MISSING', 'eth0', 'info', expect.any(String)],
    ],
    [
      'jumbo frames without a driver for them',
      { mtu: 9000, xdp: { ...able, jumbo: false } },
      ['MTU_ABOVE_PAGE', 'eth0', 'warning', 'ip link set dev eth0 mtu 3498'],
    ],
    [
      'a bond in a mode without XDP',
      { kind: 'bond', bondMode: 'balance-tlb', name: 'bond0' },
      [
        'BOND_WITHOUT_XDP',
        'bond0',
        'warning',
        expect.stringContaining('bond0 type bond mode active-backup; '),
      ],
    ],
  ])('says %s', (_, one, expected) => {
    expect(xdp(one)).toEqual([expected]);
  });

  it('knows its own program, and jumbo frames that the driver takes', () => {
    expect(xdp({ program: { id: 7, name: 'penstock', mode: 'native' }, mtu: 9000 })).toEqual([]);
  });

  it('goes by the driver’s name where the kernel does not tell', () => {
    const { xdp: _, ...old } = eth0;
    const judge = (driver: string) => troubles(judgeXdpInterface({ ...old, driver }, surroundings));
    expect(judge('mlx5_core')).toEqual([]);
    expect(judge('r8169').map(([code]) => code)).toEqual(['XDP_GENERIC_ONLY']);
    expect(judge('').map(([code, , status]) => [code, status])).toEqual([['XDP_GENERIC_ONLY', 'unknown']]);
  });

  it('goes by what the plane deduces of sending where the kernel does not tell', () => {
    const { xdp: _, ...old } = eth0;
    const judge = (one: Partial<Interface>) =>
      troubles(judgeXdpInterface({ ...old, ...one }, surroundings)).map(([code, , status]) => [code, status]);
    expect(judge({ deduced: { sends: true } })).toEqual([]);
    expect(judge({ deduced: { sends: false, doubt: 'who knows' } })).toEqual([
      ['XDP_TRANSMIT_MISSING', 'info'],
    ]);
    expect(judge({ kind: 'veth', driver: 'veth', deduced: { sends: false } })).toEqual([
      ['XDP_TRANSMIT_MISSING', 'warning'],
    ]);
  });

  it('names the ports of a bond that lack it', () => {
    const port = (name: string, native: boolean) => ({
      ...eth0,
      name,
      master: 'bond0',
      xdp: { ...able, native },
    });
    const bond = { kind: 'bond', bondMode: '802.3ad', name: 'bond0' };
    expect(xdp(bond, [port('eth1', true), port('eth2', true)])).toEqual([]);
    expect(xdp(bond, [port('eth1', true), port('eth2', false)])).toEqual([
      ['BOND_WITHOUT_XDP', 'bond0', 'warning', 'ip link set dev eth2 nomaster'],
    ]);
  });

  it('sends a VLAN to the interface below, and keeps the tags on there', () => {
    const vlan = { name: 'eth0.7', kind: 'vlan', below: 'eth0' };
    expect(xdp(vlan, [eth0])).toEqual([
      ['XDP_ON_VLAN', 'eth0.7', 'info', 'penstock agent --dataplane xdp --interface eth0'],
    ]);
    expect(xdp(vlan, [{ ...eth0, offloads: { ...offloads, receiveVlan: on } }])[1]).toEqual([
      'VLAN_TAG_STRIPPED',
      'eth0',
      'warning',
      'ethtool -K eth0 rxvlan off',
    ]);
  });

  it('names the namespace of a veth’s peer in the remedy, where it is in reach', () => {
    const veth = { kind: 'veth', driver: 'veth', name: 'v0', xdp: { ...able, transmit: false } };
    const peer = { name: 'p0', namespace: 'shop', offloads };
    expect(xdp({ ...veth, peer })[0]?.[3]).toBe('ip netns exec shop ethtool -K p0 gro on');
    expect(xdp({ ...veth, peer: { ...peer, namespace: '' } })[0]?.[3]).toBe('ethtool -K p0 gro on');
    expect(xdp(veth)[0]?.[3]).toContain('the peer of v0');
    expect(troubles(judgeVethChecksum({ ...eth0, ...veth, peer }))).toEqual([
      ['VETH_TX_CHECKSUM', 'v0', 'error', 'ip netns exec shop ethtool -K p0 tx off'],
    ]);
    expect(troubles(judgeVethChecksum({ ...eth0, ...veth }))[0]?.[2]).toBe('unknown');
    const finished = { ...peer, offloads: { ...offloads, sendChecksum: off } };
    expect(troubles(judgeVethChecksum({ ...eth0, ...veth, peer: finished }))).toEqual([]);
  });
});

describe('offloads', () => {
  it('that merge packets go off', () => {
    const both = { ...eth0, offloads: { ...offloads, lro: on, groHardware: on } };
    expect(troubles(judgeMerging(both))).toEqual([
      ['LRO_ON', 'eth0', 'warning', 'ethtool -K eth0 lro off'],
      ['GRO_HW_ON', 'eth0', 'warning', 'ethtool -K eth0 rx-gro-hw off'],
    ]);
    expect(troubles(judgeMerging(eth0))).toEqual([]);
  });

  it('that the driver does not let go are no matter for ethtool', () => {
    const fixed = { ...eth0, offloads: { ...offloads, groHardware: { on: true, fixed: true } } };
    expect(troubles(judgeMerging(fixed))[0]?.[3]).toMatch(/^the driver.*guest_csum=off.*csum='off'/);
  });

  it('are no matter where virtio_net has switched them off for a program, whatever it shows', () => {
    const shown = { ...eth0, driver: 'virtio_net', offloads: { ...offloads, groHardware: on } };
    const at = (mode: 'native' | 'generic') => ({ ...shown, program: { id: 7, name: 'penstock', mode } });
    expect(troubles(judgeMerging(at('native')))).toEqual([]);
    expect(troubles(judgeMerging(at('generic'))).map(([code]) => code)).toEqual(['GRO_HW_ON']);
  });
});

describe('queues', () => {
  const none = { now: 0, most: 0 };
  const with_ = (now: number, most: number, driver = 'ixgbe'): Interface => ({
    ...eth0,
    driver,
    channels: { receive: none, combined: { now, most } },
  });
  const judge = (one: Interface, cpus: number, plane = true, possible = cpus) =>
    troubles(judgeQueues(one, { online: cpus, possible }, plane));

  it('are as many as CPUs, if the card has them', () => {
    expect(judge(with_(1, 8), 4)).toEqual([['QUEUES_FEW', 'eth0', 'warning', 'ethtool -L eth0 combined 4']]);
    expect(judge(with_(1, 2), 4)).toEqual([['QUEUES_FEW', 'eth0', 'warning', 'ethtool -L eth0 combined 2']]);
    expect(judge(with_(4, 8), 4)).toEqual([]);
    expect(judge(with_(1, 1), 4)).toEqual([]);
  });

  it('of virtio leave room for those that XDP sends by', () => {
    expect(judge(with_(4, 8, 'virtio_net'), 4)).toEqual([]);
    expect(judge(with_(4, 4, 'virtio_net'), 4)[0]?.slice(0, 3)).toEqual([
      'XDP_QUEUES_SHARED',
      'eth0',
      'warning',
    ]);
    expect(judge(with_(6, 6, 'virtio_net'), 4)).toEqual([
      ['XDP_QUEUES_SHARED', 'eth0', 'warning', 'ethtool -L eth0 combined 2'],
    ]);
    expect(judge(with_(4, 4, 'virtio_net'), 4, false)).toEqual([]);
    // CPUs may be plugged in later, and the driver reckons with them.
    expect(judge(with_(4, 8, 'virtio_net'), 4, true, 6)).toEqual([
      ['XDP_QUEUES_SHARED', 'eth0', 'warning', 'ethtool -L eth0 combined 2'],
    ]);
    expect(judge(with_(2, 2, 'virtio_net'), 4)[0]?.[3]).toMatch(/queue pairs: 8 .*queues=8.*queues='8'/);
  });

  it('of virtio are told apart from those that XDP has been given, which the driver counts among them', () => {
    const sending = (sendQueues: number) => ({ ...with_(4, 4, 'virtio_net'), sendQueues });
    expect(judge(sending(2), 2)).toEqual([]);
    expect(judge(sending(4), 2)).toEqual([
      ['XDP_QUEUES_SHARED', 'eth0', 'warning', 'ethtool -L eth0 combined 2'],
    ]);
  });

  it('of virtio are not changed while a program is attached', () => {
    const at = (mode: 'native' | 'generic') => ({
      ...with_(6, 6, 'virtio_net'),
      program: { id: 7, name: 'penstock', mode },
    });
    expect(judge(at('native'), 4)[0]?.[3]).toBe(
      'systemctl stop penstock; penstock flush; ethtool -L eth0 combined 2; systemctl start penstock',
    );
    expect(judge(at('generic'), 4)[0]?.[3]).toBe('ethtool -L eth0 combined 2');
  });

  it.each([1, 2, 3, 4, 6, 8])(
    'of virtio with %i pairs: its own remedy does not raise another finding',
    (most) => {
      let now = most;
      for (let step = 0; step < 3; step += 1) {
        const remedy = String(judge(with_(now, most, 'virtio_net'), 4)[0]?.[3] ?? '');
        const next = /^ethtool -L eth0 combined (\d+)$/.exec(remedy)?.[1];
        if (next === undefined) break;
        now = Number(next);
      }
      expect(
        judge(with_(now, most, 'virtio_net'), 4).filter(([, , , text]) => /^ethtool/.test(String(text))),
      ).toEqual([]);
    },
  );
});
