// The host's network as read, watched and followed in a namespace of its own; its neighbour lives in another one.
import { execa } from 'execa';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { slowness } from '../../../../test/slowness.ts';
import type { IpAddress } from '../../../resources/address.ts';
import { openNetlinkSocket } from '../../netlink/socket.ts';
import { ownNetwork } from '../../nftables/testing/lab.ts';
import type { MapMemory } from '../memory/map-memory.ts';
import { deduceFeatures } from './deduce.ts';
import { findFeatureFamily } from './features.ts';
import { type FollowedNetwork, followNetwork } from './follow.ts';
import { looksAt } from './looks.ts';
import { type NeighbourWatch, watchNeighbours } from './neighbours.ts';
import { openNetworkReader } from './read.ts';
import { type NetworkWatch, watchNetwork } from './watch.ts';

const other = `penstock-network-${process.pid}`;
const trouble = (error: unknown): void => {
  throw error;
};

/** Commands of ip(8), here or over there. */
async function ip(commands: string, there = false): Promise<void> {
  await execa('ip', [...(there ? ['-n', other] : []), '-batch', '-'], { input: `${commands}\n` });
}

/** Whether it has the genetlink family `netdev`. */
async function kernelTells(): Promise<boolean> {
  const socket = await openNetlinkSocket('generic');
  const family = findFeatureFamily(socket);
  socket.close();
  return family !== undefined;
}

async function offloads(setting: 'on' | 'off'): Promise<void> {
  await execa('nsenter', [`--net=/run/netns/${other}`, 'ethtool', '-K', 'far', 'gro', setting]);
}

/** Unresolved neighbours are asked for every five seconds. */
const patience = 20_000 * slowness;

/** The first answer that is not undefined; fails when patience is at its end. */
async function until<T>(what: () => T | undefined | Promise<T | undefined>): Promise<T> {
  for (const begun = performance.now(); performance.now() - begun < patience; ) {
    const found = await what();
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error('it did not come to that');
}

beforeAll(async () => {
  ownNetwork();
  await execa('ip', ['netns', 'add', other]);
  await ip(`link set lo up
    link add near address 02:00:00:00:00:01 type veth peer name far address 02:00:00:00:00:02 netns ${other}
    link set near addrgenmode none
    link set near up
    address add 10.0.0.1/24 dev near
    address add fd00::1/64 dev near nodad
    address add fe80::1/64 dev near nodad
    link add br0 type bridge
    link set br0 up`);
  await ip(
    `link set far addrgenmode none
    link set far up
    address add 10.0.0.2/24 dev far
    address add 10.0.0.3/24 dev far
    address add fd00::2/64 dev far nodad
    address add fe80::2/64 dev far nodad`,
    true,
  );
});
afterAll(async () => {
  await execa('ip', ['netns', 'delete', other]);
});

describe('a reading of the network', () => {
  it('holds interfaces, addresses, rules, routes and features', async () => {
    await offloads('on');
    await ip('route add default via 10.0.0.2\nroute add default via fd00::2');
    const reader = await openNetworkReader();
    const network = await reader.read();
    const near = network.links.find(({ name }) => name === 'near');
    expect(near).toMatchObject({
      kind: 'veth',
      mac: '02:00:00:00:00:01',
      mtu: 1500,
      ethernet: true,
      up: true,
    });
    expect(near).not.toHaveProperty('parent');
    expect(network.links.find(({ name }) => name === 'br0')).toMatchObject({ kind: 'bridge' });
    expect(network.addresses).toContainEqual({ link: near?.index, address: '10.0.0.1', length: 24 });
    expect(network.addresses).toContainEqual({ link: near?.index, address: 'fd00::1', length: 64 });
    expect(network.rules).toHaveLength(5);
    expect(network.rules.every(({ unconditional }) => unconditional)).toBe(true);
    const defaults = network.routes.filter(({ length, table }) => length === 0 && table === 254);
    expect(defaults.map(({ gateway }) => gateway)).toEqual(['10.0.0.2', 'fd00::2']);
    expect(network.routesCut).toBe(false);
    // Kernels that do not tell the features do not redirect frames of more than a page either.
    expect(network.deduced).toBe(!(await kernelTells()));
    expect(network.features.get(near?.index ?? 0)).toEqual({ sends: true, sendsLarge: !network.deduced });
    await ip('route del default via 10.0.0.2\nroute del default via fd00::2');
    reader.close();
  });

  it('stops at too many routes, and goes on working', async () => {
    const many = Array.from(
      { length: 300 },
      (_, i) => `route add 10.77.${i >> 4}.${(i & 15) << 4}/28 dev near`,
    );
    await ip(many.join('\n'));
    const reader = await openNetworkReader(200);
    const [one, two] = [await reader.read(), await reader.read()];
    expect([one.routesCut, two.routesCut]).toEqual([true, true]);
    expect(two.links).toEqual(one.links);
    await ip(many.map((line) => line.replace('add', 'del')).join('\n'));
    expect((await reader.read()).routesCut).toBe(false);
    reader.close();
  });

  it('answers questions that come at the same time each with its own', async () => {
    const reader = await openNetworkReader();
    const [one, neighbours, two] = await Promise.all([reader.read(), reader.neighbours(), reader.read()]);
    expect(two).toEqual(one);
    expect(neighbours.every(({ link }) => link > 0)).toBe(true);
    reader.close();
  });
});

describe('a watch on the network', () => {
  let watch: NetworkWatch | undefined;
  afterEach(() => watch?.close());

  it.each([
    ['a route', 'route add 10.8.0.0/16 via 10.0.0.2', 'route del 10.8.0.0/16'],
    ['an IPv6 route', 'route add fd08::/64 via fd00::2', 'route del fd08::/64'],
    ['an address', 'address add 203.0.113.1/32 dev lo', 'address del 203.0.113.1/32 dev lo'],
    ['an MTU', 'link set near mtu 1400', 'link set near mtu 1500'],
    ['a rule', 'rule add from 10.9.0.0/16 table 9', 'rule del from 10.9.0.0/16 table 9'],
    ['an IPv6 rule', '-6 rule add from fd09::/64 table 9', '-6 rule del from fd09::/64 table 9'],
  ])('sees %s come and go', async (_, come, go) => {
    let readings = 0;
    watch = await watchNetwork({
      onChange: () => {
        readings += 1;
      },
      onTrouble: trouble,
    });
    const before = watch.network;
    const run = (command: string) => execa('ip', command.split(' '));
    await run(come);
    await until(() => (readings > 0 ? true : undefined));
    expect(watch.network).not.toEqual(before);
    readings = 0;
    await run(go);
    await until(() => (readings > 0 ? true : undefined));
    expect(new Set(watch.network.routes)).toEqual(new Set(before.routes));
    expect(watch.network.rules).toEqual(before.rules);
  });

  it('sees what the peer of a veth can take, which is told on no interface of this namespace', async () => {
    await offloads('off');
    watch = await watchNetwork({ onChange: () => {}, onTrouble: trouble });
    const near = watch.network.links.find(({ name }) => name === 'near')?.index ?? 0;
    const sends = () => watch?.network.features.get(near)?.sends;
    expect(sends()).toBe(false);
    await offloads('on');
    await until(() => (sends() ? true : undefined));
  });

  it('deduces of veths what a kernel tells that does, wherever the peer is', async () => {
    await ip('link add one type veth peer name two\nlink set one up\nlink set two up');
    const reader = await openNetworkReader();
    for (const setting of ['off', 'on'] as const) {
      await offloads(setting);
      await execa('ethtool', ['-K', 'two', 'gro', setting]);
      const { links, features } = await reader.read();
      const deduced = deduceFeatures(links, looksAt(true));
      for (const name of ['near', 'one']) {
        const index = links.find((link) => link.name === name)?.index ?? 0;
        expect([name, deduced.get(index)?.sends]).toEqual([name, setting === 'on']);
        expect(features.get(index)?.sends).toBe(setting === 'on');
      }
    }
    reader.close();
    await ip('link del one');
  });

  it('loses nothing in a storm of changes', async () => {
    watch = await watchNetwork({ onChange: () => {}, onTrouble: trouble });
    const storm = Array.from({ length: 3000 }, (_, i) => `route add 10.66.${i >> 8}.${i & 255}/32 dev near`);
    await ip(storm.join('\n'));
    const found = () =>
      watch?.network.routes.filter(({ destination }) => destination.startsWith('10.66.')).length;
    await until(() => (found() === storm.length ? true : undefined));
    await ip(storm.map((line) => line.replace('add', 'del')).join('\n'));
    await until(() => (found() === 0 ? true : undefined));
  });
});

describe('neighbours in use', () => {
  let watch: NeighbourWatch | undefined;
  const machines = [
    '10.0.0.2',
    '10.0.0.3',
    '10.0.0.9',
    '10.7.0.1',
    'fd00::2',
    '127.0.0.1',
    '192.0.2.1',
  ] as IpAddress[];
  const states = async (): Promise<Readonly<Record<string, string>>> => {
    const reader = await openNetworkReader();
    const neighbours = await reader.neighbours();
    reader.close();
    return Object.fromEntries(neighbours.map(({ address, state }) => [address, state]));
  };
  afterEach(async () => {
    watch?.close();
    await execa('ip', ['neigh', 'flush', 'dev', 'near', 'nud', 'all']);
  });

  it('are resolved without traffic, through gateways too, and those that do not answer are named', async () => {
    await ip('route add 10.7.0.0/16 via 10.0.0.3');
    watch = await watchNeighbours({ addresses: () => machines, onTrouble: trouble, interval: 100 });
    const found = await until(async () => {
      const now = await states();
      return watch?.unresolved.length === 1 && now['10.0.0.9'] === 'failed' ? now : undefined;
    });
    expect(found).toMatchObject({ '10.0.0.2': 'reachable', '10.0.0.3': 'reachable', 'fd00::2': 'reachable' });
    expect(found).not.toHaveProperty('10.7.0.1');
    expect(found).not.toHaveProperty('192.0.2.1');
    expect(watch.unresolved).toEqual(['10.0.0.9']);
    await ip('route del 10.7.0.0/16');
  });

  it('are proved again when stale, and left alone when fixed', async () => {
    await ip(`neigh replace 10.0.0.2 lladdr 02:00:00:00:00:02 dev near nud stale
      neigh replace 10.0.0.3 lladdr 02:00:00:00:00:77 dev near nud permanent`);
    watch = await watchNeighbours({ addresses: () => machines, onTrouble: trouble, interval: 100 });
    await until(async () => ((await states())['10.0.0.2'] === 'delay' ? true : undefined));
    const { stdout } = await execa('ip', ['neigh', 'show', '10.0.0.3']);
    expect(stdout).toMatch(/02:00:00:00:00:77 PERMANENT/);
  });

  it('follow the set of machines in use', async () => {
    let wanted: readonly IpAddress[] = [];
    watch = await watchNeighbours({ addresses: () => wanted, onTrouble: trouble, interval: 100 });
    wanted = ['10.0.0.2' as IpAddress];
    await until(async () => ((await states())['10.0.0.2'] === 'reachable' ? true : undefined));
    expect(await states()).not.toHaveProperty('10.0.0.3');
  });
});

describe('the maps', () => {
  const memoryOf = (entries: number, valueSize: number): MapMemory => ({
    buffer: new ArrayBuffer(entries * valueSize),
    entries,
    valueSize,
  });
  const [control, routes, devices] = [memoryOf(1, 160), memoryOf(32, 128), memoryOf(1024, 64)];
  const words = new Uint32Array(control.buffer);
  let followed: FollowedNetwork | undefined;
  afterEach(() => followed?.close());

  it('follow routes, rules and interfaces', async () => {
    await offloads('on');
    const reader = await openNetworkReader();
    const index = (await reader.read()).links.find(({ name }) => name === 'near')?.index ?? 0;
    reader.close();
    const device = new Uint32Array(devices.buffer, (index % 1024) * 64, 3);
    const vlans = new Map([['00', Buffer.alloc(4)]]);
    followed = await followNetwork({
      control,
      routes,
      devices,
      vlans: {
        keys: () => [...vlans.keys()].map((key) => Buffer.from(key, 'hex')),
        put: (key, value) => void vlans.set(Buffer.from(key).toString('hex'), Buffer.from(value)),
        delete: (key) => vlans.delete(Buffer.from(key).toString('hex')),
      },
      grace: async () => {},
      attached: () => [{ ifindex: index, mode: 'native' }],
      machines: () => [],
      onTrouble: trouble,
    });
    const listed = () => (words[4] ?? 0) & 0xff;
    expect(vlans.size).toBe(0);
    // It receives and can be sent to, but not back by the way a frame came: its peer has no program.
    expect([...device]).toEqual([index, index, 7]);
    expect([words[3] !== 0, listed()]).toEqual([true, 0]);
    expect(followed.hops).toEqual({ remember: true, listed: 0 });

    await ip('route add default via 10.0.0.2');
    // The gateway to clients is resolved though no machine is behind it.
    await until(async () => {
      const { stdout } = await execa('ip', ['neigh', 'show', '10.0.0.2']);
      return stdout.includes('REACHABLE') ? true : undefined;
    });
    await until(() => (listed() > 0 ? true : undefined));
    const last = ((words[4] ?? 0) >>> 31) * 16 + listed() - 1;
    expect(Buffer.from(routes.buffer).toString('hex', last * 128 + 88, last * 128 + 104)).toBe(
      '00000000000000000000ffff0a000002',
    );
    await ip('rule add fwmark 1 table 9');
    await until(() => (words[3] === 0 && listed() === 0 ? true : undefined));
    expect(followed.hops.reason).toMatch(/ip rule \d+ \(IPv4\)/);
    await ip('rule del fwmark 1 table 9');
    await until(() => (words[3] !== 0 && listed() > 0 ? true : undefined));

    await offloads('off');
    await until(() => (device[2] === 5 ? true : undefined));
    expect(followed.slow).toEqual([{ name: 'near', reason: expect.stringContaining('peer') }]);
    await ip('route del default via 10.0.0.2');
  });
});
