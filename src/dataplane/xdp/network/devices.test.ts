import { describe, expect, it } from 'vitest';
import type { MapMemory } from '../memory/map-memory.ts';
import { againstGeneric, type Device, devicesOf, receivingInterfaces } from './devices.ts';
import { link, nothing, vlan } from './testing/networks.ts';
import { encodeDevice, encodeVlan, writeDevices } from './write-devices.ts';

const links = [
  link(2, 'eth0'),
  link(3, 'eth1', { kind: 'veth' }),
  vlan(4, 'eth0.100', 2, 100, 0x88a8),
  vlan(5, 'eth0.100.7', 4, 7),
  vlan(6, 'eth0.100.7.8', 5, 8),
  link(7, 'br0', { kind: 'bridge' }),
  vlan(8, 'br0.9', 7, 9),
];
const takes = new Map([2, 3].map((index) => [index, { sends: true, sendsLarge: false }] as const));
const network = { ...nothing, links, features: takes };
const native = [
  { ifindex: 2, mode: 'native' },
  { ifindex: 3, mode: 'native' },
] as const;

function places(devices: readonly Device[]) {
  return devices.map(({ index, physical, receives, sends, tags }) => [
    index,
    physical,
    `${receives ? 'r' : '-'}${sends ? 's' : '-'}`,
    tags.map(({ id }) => id),
  ]);
}

describe('devices', () => {
  it('are attached interfaces and up to two VLANs on them, the outer tag first', () => {
    const { devices, vlans, slow } = devicesOf(network, native);
    expect(places(devices)).toEqual([
      [2, 2, 'rs', []],
      [3, 3, 'rs', []],
      [4, 2, '-s', [100]],
      [5, 2, '-s', [100, 7]],
    ]);
    expect(vlans).toEqual([
      { physical: 2, index: 4, tags: [{ protocol: 0x88a8, id: 100 }] },
      {
        physical: 2,
        index: 5,
        tags: [
          { protocol: 0x88a8, id: 100 },
          { protocol: 0x8100, id: 7 },
        ],
      },
    ]);
    expect(slow).toEqual([]);
    expect(receivingInterfaces(network, native)).toEqual(['eth0', 'eth1', 'eth0.100', 'eth0.100.7']);
  });

  it('send back what came in there, but for a veth', () => {
    const { devices } = devicesOf(network, native);
    expect(devices.filter(({ returns }) => returns).map(({ index }) => index)).toEqual([2, 4, 5]);
  });

  it('are not sent to where the driver would drop what is redirected', () => {
    const features = new Map([
      [2, { sends: true, sendsLarge: false }],
      [3, { sends: false, sendsLarge: false }],
    ]);
    const { devices, slow } = devicesOf({ ...network, features }, native);
    expect(places(devices).slice(0, 2)).toEqual([
      [2, 2, 'rs', []],
      [3, 3, 'r-', []],
    ]);
    expect(slow).toEqual([{ name: 'eth1', reason: expect.stringContaining('peer') }]);
    const { devices: others } = devicesOf(
      { ...network, features: new Map([[3, { sends: true, sendsLarge: false }]]) },
      native,
    );
    expect(others.filter(({ sends }) => sends).map(({ index }) => index)).toEqual([3]);
    const large = links.map((one) => (one.index === 2 ? { ...one, mtu: 9000 } : one));
    expect(devicesOf({ ...network, links: large }, native).slow).toMatchObject([{ name: 'eth0' }]);
    const all = new Map([2, 3].map((index) => [index, { sends: true, sendsLarge: true }] as const));
    expect(devicesOf({ ...network, links: large, features: all }, native).slow).toEqual([]);
  });

  it('in generic mode are sent to only where all are', () => {
    const mixed = devicesOf(network, [
      { ifindex: 2, mode: 'generic' },
      { ifindex: 3, mode: 'native' },
    ]);
    expect(mixed.devices.filter(({ sends }) => sends).map(({ index }) => index)).toEqual([3]);
    expect(mixed.slow).toEqual([{ name: 'eth0', reason: expect.stringContaining('generic') }]);
    const generic = devicesOf({ ...network, features: new Map() }, [
      { ifindex: 2, mode: 'generic' },
      { ifindex: 3, mode: 'generic' },
    ]);
    expect(generic.devices.every(({ sends }) => sends)).toBe(true);
  });

  it('of a bond are its ports as well, by which its frames come in natively', () => {
    const bonded = [
      link(2, 'eth0', { master: 4 }),
      link(3, 'eth1', { master: 4 }),
      link(4, 'bond0', { kind: 'bond' }),
      vlan(5, 'bond0.7', 4, 7),
    ];
    const network = {
      ...nothing,
      links: bonded,
      features: new Map([[4, { sends: true, sendsLarge: false }]]),
    };
    const { devices, vlans } = devicesOf(network, [{ ifindex: 4, mode: 'native' }]);
    expect(places(devices)).toEqual([
      [4, 4, 'rs', []],
      [2, 4, 'r-', []],
      [3, 4, 'r-', []],
      [5, 4, '-s', [7]],
    ]);
    expect(new Set(devices.slice(0, 3).map(({ mac }) => mac))).toEqual(new Set([bonded[2]?.mac]));
    expect(vlans).toEqual([{ physical: 4, index: 5, tags: [{ protocol: 0x8100, id: 7 }] }]);
    expect(receivingInterfaces(network, [{ ifindex: 4, mode: 'native' }])).toEqual(['bond0', 'bond0.7']);
    const generic = devicesOf(network, [{ ifindex: 4, mode: 'generic' }]);
    expect(generic.devices.map(({ index }) => index)).toEqual([4, 5]);
  });

  it('with VLANs on them are no place for generic mode', () => {
    const found = [2, 3, 7, 99].map((ifindex) => againstGeneric(network, ifindex));
    const tags = expect.stringContaining('tags of the VLANs');
    expect(found).toEqual([tags, undefined, tags, undefined]);
  });

  it('that are bonds are no place for generic mode, until their ports are others', () => {
    const ports = (...names: readonly string[]) => ({
      ...nothing,
      links: [
        ...names.map((name, at) => link(at + 2, name, { master: 9 })),
        link(9, 'bond0', { kind: 'bond' }),
        vlan(10, 'bond0.7', 9, 7),
      ],
    });
    expect(againstGeneric(ports('eth0', 'eth1'), 9)).toContain('eth0 and eth1 had put together');
    expect(againstGeneric(ports('eth0'), 9)).toContain('eth0 had');
    expect(againstGeneric(ports(), 9)).toContain('its ports had');
  });

  it('leaves out interfaces that are gone, and VLANs that are down', () => {
    expect(devicesOf(network, [{ ifindex: 99, mode: 'native' }]).devices).toEqual([]);
    const down = links.map((one) => (one.index === 4 ? { ...one, up: false } : one));
    const { devices, vlans } = devicesOf({ ...network, links: down }, native);
    expect(devices.find(({ index }) => index === 4)?.sends).toBe(false);
    expect(vlans).toHaveLength(2);
  });
});

describe('the array of devices', () => {
  const memory = (): MapMemory => ({ buffer: new ArrayBuffer(1024 * 64), entries: 1024, valueSize: 64 });
  const device = (index: number, mtu = 1500): Device => ({
    index,
    physical: index,
    receives: true,
    sends: true,
    returns: true,
    tags: [],
    mac: '02:00:00:00:00:01',
    mtu,
  });
  const found = (map: MapMemory) => {
    const words = new Uint32Array(map.buffer);
    return [...Array(1024).keys()]
      .filter((place) => words[place * 16] !== 0)
      .map((place) => [place, words[place * 16]]);
  };

  it('holds each at its index, or a few places behind', () => {
    const map = memory();
    expect(
      writeDevices(
        map,
        [5, 1029, 2053, 3077, 4101, 1023, 2047].map((index) => device(index)),
      ),
    ).toEqual([device(4101)]);
    expect(found(map)).toEqual([
      [0, 2047],
      [5, 5],
      [6, 1029],
      [7, 2053],
      [8, 3077],
      [1023, 1023],
    ]);
    writeDevices(map, [device(3077), device(1029, 9000)]);
    expect(found(map)).toEqual([
      [6, 1029],
      [8, 3077],
    ]);
    expect(Buffer.from(map.buffer, 6 * 64, 64)).toEqual(encodeDevice(device(1029, 9000)));
  });

  it('does not touch what is there already', () => {
    const map = memory();
    writeDevices(map, [device(5)]);
    const before = Buffer.from(map.buffer).toString('hex');
    writeDevices(map, [device(5)]);
    expect(Buffer.from(map.buffer).toString('hex')).toBe(before);
  });

  it('is laid out as bpf/abi.h says', () => {
    const tags = [
      { protocol: 0x88a8, id: 100 },
      { protocol: 0x8100, id: 7 },
    ];
    const bytes = encodeDevice({ ...device(5, 70000), physical: 2, receives: false, tags });
    expect(bytes.toString('hex')).toBe(
      `${'05000000'}${'02000000'}${'02000000'}${'02000000'}88a8006481000007020000000001ffff${'00'.repeat(32)}`,
    );
    const { key, value } = encodeVlan({ physical: 2, tags: tags.slice(0, 1), index: 4 });
    expect([key.toString('hex'), value.toString('hex')]).toEqual(['0200000088a8006400000000', '04000000']);
  });
});
