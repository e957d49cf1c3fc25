import { describe, expect, it } from 'vitest';
import type { IpAddress } from '../../../resources/address.ts';
import { chooseInterfaces } from './choose.ts';
import { link, nothing, route, vlan } from './testing/networks.ts';

const address = (on: number, text: string, length: number) => ({
  link: on,
  address: text as IpAddress,
  length,
});
const network = {
  ...nothing,
  links: [
    link(1, 'lo', { loopback: true, ethernet: false }),
    link(2, 'eth0'),
    link(3, 'eth1', { master: 9 }),
    vlan(4, 'eth0.5', 2, 5),
    vlan(5, 'br0.6', 9, 6),
    link(6, 'wan', { kind: 'veth' }),
    link(7, 'wg0', { ethernet: false, kind: 'wireguard' }),
    link(8, 'unused'),
    link(9, 'br0', { kind: 'bridge' }),
    vlan(10, 'eth0.5.6', 4, 6),
    vlan(11, 'eth0.5.6.7', 10, 7),
    link(12, 'vx', { kind: 'vxlan' }),
  ],
  addresses: [
    address(1, '127.0.0.1', 8),
    address(1, '203.0.113.1', 32),
    address(4, '10.0.0.1', 24),
    address(5, '10.1.0.1', 24),
    address(8, 'fe80::8', 64),
    address(8, '192.0.2.1', 32),
    address(9, '10.2.0.1', 24),
  ],
  routes: [
    route('0.0.0.0/0', { via: '198.51.100.1', link: 6 }),
    route('10.9.0.0/16', { link: 7 }),
    route('fe80::/64', { link: 8 }),
    route('ff00::/8', { link: 8, table: 255, type: 'other' }),
    route('192.0.2.1/32', { link: 8, table: 255, type: 'local' }),
  ],
};

describe('the choice of interfaces', () => {
  it('takes by itself those that carry traffic, and says why not others', () => {
    expect(chooseInterfaces(network, 'auto')).toEqual({
      interfaces: [
        { ifindex: 2, name: 'eth0', mtu: 1500 },
        { ifindex: 6, name: 'wan', mtu: 1500 },
      ],
      passedOver: [
        { name: 'br0.6', reason: expect.stringMatching(/sits on br0: a bridge of eth1/) },
        { name: 'wg0', reason: expect.stringContaining('no Ethernet') },
        { name: 'br0', reason: expect.stringContaining('a bridge of eth1') },
      ],
      inPlace: [],
    });
  });

  it('takes named ones, and what VLANs sit on, once', () => {
    const { interfaces, inPlace } = chooseInterfaces(network, ['eth0.5.6', 'unused', 'eth0']);
    expect(interfaces).toEqual([
      { ifindex: 2, name: 'eth0', mtu: 1500 },
      { ifindex: 8, name: 'unused', mtu: 1500 },
    ]);
    expect(inPlace).toEqual([{ name: 'eth0.5.6', below: 'eth0' }]);
    expect(
      chooseInterfaces(network, ['eth0.5.6.7', 'eth1', 'vx']).passedOver.map(({ name }) => name),
    ).toEqual(['eth0.5.6.7', 'eth1', 'vx']);
  });

  it('takes a bond, and never its ports', () => {
    const links = [
      link(2, 'eth0', { master: 4 }),
      link(3, 'eth1', { master: 4 }),
      link(4, 'bond0', { kind: 'bond' }),
      vlan(5, 'bond0.7', 4, 7),
      link(6, 'eth2', { master: 7 }),
      link(7, 'team0', { kind: 'team' }),
    ];
    // IPv6 gives a port a link-local address at times.
    const addresses = [address(2, 'fe80::2', 64), ...[5, 7].map((on) => address(on, `10.${on}.0.1`, 24))];
    const { interfaces, passedOver } = chooseInterfaces({ ...nothing, links, addresses }, 'auto');
    expect(interfaces).toEqual([{ ifindex: 4, name: 'bond0', mtu: 1500 }]);
    expect(passedOver).toEqual([{ name: 'team0', reason: expect.stringContaining('a team of eth2') }]);
    expect(chooseInterfaces({ ...nothing, links }, ['eth0', 'bond0'])).toMatchObject({
      interfaces: [{ name: 'bond0' }],
      passedOver: [{ name: 'eth0', reason: 'a port of bond0: its packets belong to that' }],
    });
  });

  it('refuses names that mean nothing', () => {
    expect(() => chooseInterfaces(network, ['eth7'])).toThrow(
      /no interface eth7; this host has eth0, eth1, /,
    );
    expect(() => chooseInterfaces(network, ['lo'])).toThrow(/loopback/);
  });
});
