// Where the program runs: not beside somebody else's, on interfaces that come and go, and again where somebody took it off.
import { rm } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openNetlinkSocket } from '../../src/dataplane/netlink/socket.ts';
import { detach } from '../../src/dataplane/xdp/kernel/detach.ts';
import { findFeatureFamily } from '../../src/dataplane/xdp/network/features.ts';
import type { Answer, GatewayClient, Message } from '../../src/wire/client.ts';
import type { Lab } from '../lab/lab.ts';
import { namespacePath } from '../lab/topology.ts';
import type { Traffic } from '../lab/traffic/traffic.ts';
import { slowness } from '../slowness.ts';
import { front, members, otherFront, tcp, udp, webAndDns } from './support/declare.ts';
import { attachLink, attachProgram, type Place } from './support/foreign-program.ts';
import { connect, put } from './support/gateway.ts';
import { upLab } from './support/lab.ts';
import { machines } from './support/outcomes.ts';
import { pinDirectory, pinnedPrograms } from './support/pinned.ts';
import { SteadyFlows, type Way } from './support/steady.ts';
import { isPinned, programs, trackedFlows } from './support/xdp.ts';

let lab: Lab;
let traffic: Traffic;

const declared: Message<'LoadBalancer'> = {
  name: 'lb',
  frontends: [
    { name: 'front', address: front[4] },
    { name: 'other', address: otherFront[4] },
  ],
  backendPools: [{ name: 'vms', members: members([1, 2]) }],
  inboundNatRules: ['front', 'other'].flatMap((frontend) =>
    [tcp, udp].map((protocol) => ({
      name: `${frontend}-${protocol}`,
      frontend,
      protocol,
      // One frontend for each port, so that nothing is kept of its flows.
      backendPort: frontend === 'front' ? (protocol === tcp ? 8080 : 5301) : protocol === tcp ? 443 : 5300,
      pool: { backendPool: 'vms', frontendPortRangeStart: 500, maximumMachines: 10 },
    })),
  ),
  loadBalancingRules: webAndDns.slice(0, 1),
};

beforeAll(async () => {
  lab = await upLab({ name: `e2e-xdp-links-${process.pid}`, backends: 2 });
  traffic = await lab.traffic();
});

afterAll(async () => {
  await traffic?.stop();
  await lab?.down();
});

/** A client of its own: one that has seen the agent go waits before it connects again. */
async function ask<T>(work: (client: GatewayClient) => Promise<T>): Promise<T> {
  using client = connect(lab);
  return await work(client);
}

async function status(): Promise<Answer<'GetStatusResponse'>> {
  return await ask((client) => client.getStatus());
}

/** As `name: mode`, and the reason where there is one. */
async function interfaces(): Promise<readonly string[]> {
  const { interfaces: shown } = await status();
  return shown
    .map(({ name, xdpMode, reason }) =>
      [`${name}: ${xdpMode}`, ...(reason === '' ? [] : [reason])].join(', '),
    )
    .toSorted();
}

async function running(): Promise<readonly string[]> {
  return Object.keys(await programs(lab)).toSorted();
}

async function onGateway(...commands: readonly string[]): Promise<string> {
  return (await lab.exec('gateway', ['sh', '-ec', commands.join('\n')])).stdout;
}

async function onClient(...commands: readonly string[]): Promise<string> {
  return (await lab.exec('client', ['sh', '-ec', commands.join('\n')])).stdout;
}

/** What an agent may change on a gateway. */
async function traces(): Promise<readonly unknown[]> {
  return await Promise.all([
    programs(lab),
    onGateway('nft list ruleset', 'ip -brief address'),
    onGateway('sysctl net.ipv4.ip_forward net.ipv4.conf.wan0.accept_local net.ipv4.conf.lan0.accept_local'),
  ]);
}

describe('an interface that has another program', () => {
  it('keeps an agent from starting, whoever put it there and how; nothing is changed', async () => {
    const gateway: Place = {
      path: namespacePath(lab.namespace('gateway')),
      sh: (command) => onGateway(command),
    };
    for (const attach of [attachProgram, attachLink]) {
      await using _foreign = await attach(gateway, 'lan0');
      const before = await traces();
      await expect(lab.startAgent()).rejects.toThrow(
        /XDP_FOREIGN_PROGRAM.*ip link set dev lan0 xdp off.*lan0 has an XDP program already/s,
      );
      expect(await traces()).toEqual(before);
      expect(await isPinned(lab)).toBe(false);
    }
    await expect(
      lab.startAgent({ arguments: ['--interface', 'lan0', '--interface', 'wan7'] }),
    ).rejects.toThrow(/XDP_INTERFACE_MISSING.*there is no interface wan7/s);
    await lab.startAgent();
    expect(await running()).toEqual(['lan0', 'wan0']);
    await ask((client) => put(client, declared));
    const asked = await traffic.ask([500, 501].map((port) => ({ scheme: 'http', address: front[4], port })));
    expect(machines(asked)).toEqual(['b1', 'b2']);
  });
});

describe('interfaces', () => {
  it('whose other end takes no redirected frames are routed to, and status says so', async () => {
    const notes = async () => (await status()).notes;
    const complaint = expect.stringMatching(/^wan0: its peer has neither GRO nor an XDP program/);
    await onClient('ethtool -K eth0 gro off');
    await expect.poll(notes, { timeout: 15_000 * slowness }).toContainEqual(complaint);
    const requests = [500, 501].map((port) => ({ scheme: 'http', address: front[4], port }) as const);
    expect(machines(await traffic.ask(requests))).toEqual(['b1', 'b2']);
    // Kernels that tell who takes them have the generic netlink family `netdev`.
    const generic = await openNetlinkSocket('generic');
    const tells = findFeatureFamily(generic) !== undefined;
    generic.close();
    expect((await notes()).some((note) => note.startsWith('this kernel does not tell'))).toBe(!tells);
    await onClient('ethtool -K eth0 gro on');
    await expect.poll(notes, { timeout: 15_000 * slowness }).not.toContainEqual(complaint);
    expect(machines(await traffic.ask(requests))).toEqual(['b1', 'b2']);
  });

  it('that come are taken, by the kernel itself where the driver cannot; those that go are let go', async () => {
    // A veth takes no program when its peer sends by more queues than it receives by.
    await onGateway(
      `ip link add new0 numrxqueues 1 type veth peer name peer0 numtxqueues 2 netns ${lab.namespace('client')}`,
    );
    await onClient('ethtool -L peer0 tx 2');
    await onGateway('ip link set new0 up', 'ip address add 192.0.2.1/24 dev new0');
    await onClient(
      'ip link set peer0 up',
      'ethtool -K peer0 gro on tx off >/dev/null',
      'ip address add 192.0.2.10/24 dev peer0',
      `ip route add ${otherFront[4]} via 192.0.2.1 src 192.0.2.10`,
    );
    await expect.poll(running, { timeout: 15_000 * slowness }).toEqual(['lan0', 'new0', 'wan0']);
    expect(await interfaces()).toEqual([
      'lan0: native',
      expect.stringMatching(/^new0: generic, .*queues/),
      'wan0: native',
    ]);
    expect((await lab.penstock(['status'])).stdout).toMatch(/interface\s+new0: XDP generic.*queues/);
    const web = { scheme: 'https', address: otherFront[4], port: 501 } as const;
    expect(machines(await traffic.ask([web, web, web]))).toEqual(['b2', 'b2', 'b2']);
    expect(await trackedFlows(lab, 'tcp', 501)).toBe(0);

    // To another network, where our mappings are nobody's.
    await onGateway(`ip link set new0 netns ${lab.namespace('client')}`);
    await expect.poll(running, { timeout: 15_000 * slowness }).toEqual(['lan0', 'wan0']);
    await expect
      .poll(() => onClient('ip -details link show new0'), { timeout: 15_000 * slowness })
      .not.toContain('prog/xdp');
    await expect.poll(interfaces, { timeout: 15_000 * slowness }).toEqual(['lan0: native', 'wan0: native']);
    // Back, then gone for good.
    await onClient(`ip link set new0 netns ${lab.namespace('gateway')}`);
    await onGateway('ip link set new0 up', 'ip address add 192.0.2.1/24 dev new0');
    await expect.poll(running, { timeout: 15_000 * slowness }).toEqual(['lan0', 'new0', 'wan0']);
    await onClient(`ip route replace ${otherFront[4]} via 192.0.2.1 src 192.0.2.10`);
    expect(machines(await traffic.ask([web]))).toEqual(['b2']);
    await onGateway('ip link delete new0');
    await expect.poll(interfaces, { timeout: 15_000 * slowness }).toEqual(['lan0: native', 'wan0: native']);
    expect(machines(await traffic.ask([web]))).toEqual(['b2']);
    expect((await status()).warnings).toEqual([]);
  });

  it('that are named may go and come back while the agent runs', async () => {
    await onGateway('ip link add extra0 type veth peer name extra1', 'ip link set extra0 up');
    await lab.stopAgent();
    const names = ['wan0', 'lan0', 'extra0'].flatMap((name) => ['--interface', name]);
    await lab.startAgent({ arguments: names });
    expect(await running()).toEqual(['extra0', 'lan0', 'wan0']);
    await onGateway('ip link delete extra0');
    await expect
      .poll(interfaces, { timeout: 15_000 * slowness })
      .toEqual(['extra0: off, there is no such interface any more', 'lan0: native', 'wan0: native']);
    await onGateway('nft delete table inet penstock');
    await expect
      .poll(async () => (await status()).warnings.map(({ code }) => code), { timeout: 15_000 * slowness })
      .toEqual(['DATA_PLANE_REPAIRED']);
    await onGateway('ip link add extra0 type veth peer name extra1', 'ip link set extra0 up');
    await expect.poll(running, { timeout: 15_000 * slowness }).toEqual(['extra0', 'lan0', 'wan0']);
    await onGateway('ip link delete extra0');
    // Moved away while no agent runs.
    await onGateway('ip link add away0 type veth peer name away1', 'ip link set away0 up');
    await lab.stopAgent();
    await lab.startAgent({ arguments: ['wan0', 'lan0', 'away0'].flatMap((name) => ['--interface', name]) });
    expect(await running()).toEqual(['away0', 'lan0', 'wan0']);
    await lab.stopAgent();
    await onGateway(`ip link set away0 netns ${lab.namespace('client')}`);
    await lab.startAgent();
    expect(await interfaces()).toEqual(['lan0: native', 'wan0: native']);
    expect(await onClient('ip -details link show away0', 'ip link delete away0')).not.toContain('prog/xdp');
  });

  it('that somebody else takes while the agent runs are shown, and taken back when they are free', async () => {
    const folder = await pinDirectory(lab);
    const gateway: Place = {
      path: namespacePath(lab.namespace('gateway')),
      sh: (command) => onGateway(command),
    };
    const ifindex = Number(/^\d+/.exec(await onGateway('ip -o link show wan0'))?.[0]);
    // Between two checks of the agent: as often as it takes.
    const take = async (): Promise<AsyncDisposable> => {
      detach(folder, ifindex);
      return await attachProgram(gateway, 'wan0').catch(take);
    };
    const foreign = await take();
    await expect
      .poll(interfaces, { timeout: 15_000 * slowness })
      .toEqual(['lan0: native', expect.stringMatching(/^wan0: off, wan0 has an XDP program already/)]);
    // Nftables alone does it meanwhile.
    const web = { scheme: 'http', address: front[4], port: 501 } as const;
    expect(machines(await traffic.ask([web]))).toEqual(['b2']);
    await foreign[Symbol.asyncDispose]();
    await expect.poll(interfaces, { timeout: 15_000 * slowness }).toEqual(['lan0: native', 'wan0: native']);
    expect(machines(await traffic.ask([web]))).toEqual(['b2']);
  });
});

describe('damage is named and mended within seconds, and flows go on:', () => {
  const ways: readonly Way[] = [
    { name: 'NAT', address: front[4], port: 500, transport: 'tcp' },
    ...[0, 1, 2, 3].map((number): Way => {
      return { name: `balanced ${number}`, address: front[4], port: 80, transport: 'tcp' };
    }),
  ];

  it.each<[string, () => Promise<unknown>, RegExp]>([
    [
      'all pins removed',
      async () => rm((await pinDirectory(lab)).path, { recursive: true }),
      /what is pinned in \/sys\/fs\/bpf\/penstock\/\d+ was gone/,
    ],
    [
      'the pins of the program removed',
      async () => rm((await pinDirectory(lab)).programs, { recursive: true }),
      /what is pinned in \/sys\/fs\/bpf\/penstock\/\d+ was gone/,
    ],
    [
      'the program detached',
      async () => {
        const ifindex = Number(/^\d+/.exec(await onGateway('ip -o link show lan0'))?.[0]);
        detach(await pinDirectory(lab), ifindex);
      },
      /the XDP program was gone from lan0/,
    ],
    [
      'the completing table deleted',
      () => onGateway('nft delete table inet penstock_xdp'),
      /the table inet penstock_xdp was gone/,
    ],
    [
      'a rule of the completing table deleted',
      () => onGateway('nft flush chain inet penstock_xdp prerouting'),
      /the table inet penstock_xdp was gone or changed/,
    ],
    [
      'the table deleted',
      () => onGateway('nft delete table inet penstock'),
      /the table inet penstock is gone/,
    ],
  ])('%s', async (_, damage, message) => {
    await using steady = await SteadyFlows.start(lab, ways);
    const warned = async (): Promise<string> =>
      (await status()).warnings.map((warning) => warning.message).join();
    const before = await warned();
    await steady.expectUntouched(async () => {
      await damage();
      await expect
        .poll(async () => (await warned()).replace(before, ''), { timeout: 15_000 * slowness })
        .toMatch(message);
    });
    expect(await running()).toEqual(['lan0', 'wan0']);
    expect((await onGateway('nft list tables')).split('\n').toSorted()).toEqual([
      'table inet penstock',
      'table inet penstock_xdp',
    ]);
    expect(await onGateway('nft list table inet penstock_xdp')).toMatch(
      /notrack accept\n.*fib saddr type local drop/,
    );
    expect(await pinnedPrograms(lab)).toBe(1);
  });

  it('and what was mended stays without the agent', async () => {
    await using steady = await SteadyFlows.start(lab, ways);
    const before = await programs(lab);
    await steady.expectUntouched(async () => {
      await lab.killAgent();
      expect(await programs(lab)).toEqual(before);
      await lab.startAgent();
    });
    expect(await programs(lab)).toEqual(before);
    await lab.stopAgent();
  });
});

describe('--flush-on-exit', () => {
  it('takes program, pins, tables and settings along', async () => {
    await lab.startAgent({ arguments: ['--flush-on-exit'] });
    expect(await running()).toEqual(['lan0', 'wan0']);
    expect(await isPinned(lab)).toBe(true);
    await lab.stopAgent();
    expect(await running()).toEqual([]);
    expect(await isPinned(lab)).toBe(false);
    expect(await onGateway('nft list tables')).toBe('');
    expect(await onGateway('sysctl -n net.ipv4.ip_forward net.ipv4.conf.wan0.accept_local')).toBe('0\n0');
  });
});
