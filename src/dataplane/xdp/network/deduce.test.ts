import { describe, expect, it } from 'vitest';
import { deduceFeatures, type Looks } from './deduce.ts';
import { devicesOf } from './devices.ts';
import { link, nothing, vlan } from './testing/networks.ts';

const links = [
  link(2, 'eth0'),
  link(3, 'eth1'),
  link(4, 'taken', { kind: 'veth' }),
  link(5, 'dropped', { kind: 'veth' }),
  link(6, 'unseen', { kind: 'veth' }),
  link(7, 'tap0', { kind: 'tun' }),
  link(8, 'br0', { kind: 'bridge' }),
  link(9, 'big', { mtu: 9000 }),
  vlan(10, 'eth0.100', 2, 100),
];
const looks: Looks = {
  driver: ({ name }) => ({ eth0: 'ixgbe', tap0: 'tun', eth1: 'mlx4_en', big: 'ice' })[name],
  peerTakes: ({ name }) => ({ taken: true, dropped: false })[name],
};

describe('where the kernel does not tell', () => {
  const features = deduceFeatures(links, looks);

  it('known drivers and peers that were looked at take redirected frames', () => {
    const sending = links.filter(({ index }) => features.get(index)?.sends);
    expect(sending.map(({ name }) => name)).toEqual(['eth0', 'taken', 'tap0', 'big']);
    expect([...features.values()].some(({ sendsLarge }) => sendsLarge)).toBe(false);
  });

  it('the others are routed to, and the status says why', () => {
    const attached = links.slice(0, 8).filter(({ kind }) => kind !== 'bridge');
    const { slow } = devicesOf(
      { ...nothing, links, features, deduced: true },
      attached.map(({ index }) => ({ ifindex: index, mode: 'native' })),
    );
    expect(slow.map(({ name, reason }) => [name, reason])).toEqual([
      ['eth1', expect.stringMatching(/^its driver is mlx4_en, of which .* routed by the kernel$/)],
      ['dropped', expect.stringMatching(/^its peer has neither GRO nor an XDP program/)],
      ['unseen', expect.stringMatching(/^its peer is out of reach/)],
      ['big', expect.stringMatching(/more than a page/)],
    ]);
  });

  it('a bond takes what all of its ports take', () => {
    const bonded = [
      ...[4, 5, 6].map((index) => link(index, `bond${index}`, { kind: 'bond' })),
      link(2, 'eth0', { master: 4 }),
      link(3, 'taken', { master: 4, kind: 'veth' }),
      link(7, 'eth2', { master: 5 }),
      link(8, 'unseen', { master: 5, kind: 'veth' }),
    ];
    const ports: Looks = { ...looks, driver: () => 'ice' };
    const found = deduceFeatures(bonded, ports);
    expect([4, 5, 6].map((index) => found.get(index)?.sends)).toEqual([true, false, false]);
    expect(found.get(5)?.doubt).toMatch(/out of reach/);
  });

  it('an interface without a driver to ask is routed to', () => {
    const [one] = deduceFeatures([link(2, 'odd')], {
      driver: () => undefined,
      peerTakes: () => true,
    }).values();
    expect(one).toMatchObject({ sends: false, doubt: expect.stringContaining('no driver') });
  });
});
