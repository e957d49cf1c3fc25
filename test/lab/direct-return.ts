// What direct server return needs beside the lab: machines that hold frontends' addresses, and a way of theirs to the client.
import { join } from 'node:path';
import { batch } from './ip.ts';
import type { Lab } from './lab.ts';
import { joinWires } from './nics.ts';
import type { Backend, Node } from './topology.ts';

/** The client's second interface, on the machines' link. */
const direct = { address: '10.0.255.254', address6: 'fd00:10::fffe' } as const;

const decapsulate = join(import.meta.dirname, 'servers', 'decapsulate.py');

/** Of routes, on the machines. */
const table = 100;

/**
 * From now on the machines hold `addresses` on their loopback interface, and send what they say as one of them to the
 * client without the gateway. The client takes it whatever interface it comes by.
 */
export async function returnDirectly(lab: Lab, addresses: readonly string[]): Promise<void> {
  await joinWires(
    lab.name,
    [
      [
        { node: 'client', name: 'direct' },
        { node: 'switch', name: 'client' },
      ],
    ],
    [],
  );
  await batch(['link set client addrgenmode none', 'link set client master lan up'], lab.namespace('switch'));
  await batch(
    [
      'link set direct addrgenmode none',
      'link set direct up',
      `addr add ${direct.address}/16 dev direct`,
      `addr add ${direct.address6}/64 dev direct nodad`,
      'addr add fe80::fffe/64 dev direct nodad',
    ],
    lab.namespace('client'),
  );
  const filters = ['all', 'default', 'eth0', 'direct'].map((name) => `net.ipv4.conf.${name}.rp_filter=0`);
  await lab.exec('client', ['sysctl', '-qw', ...filters]);
  if (lab.dataplane === 'xdp') {
    await lab.exec('client', ['ethtool', '-K', 'direct', 'tx', 'off', 'gro', 'on']);
    await lab.exec('switch', ['ethtool', '-K', 'client', 'tx', 'off', 'gro', 'on']);
  }
  await Promise.all(
    lab.backends.map(async ({ node }) => {
      const add = (address: string): string =>
        `addr add ${address} dev lo${address.includes(':') ? ' nodad' : ''}`;
      await batch(
        [
          ...addresses.map(add),
          `route add 10.0.0.0/16 dev eth0 table ${table}`,
          `route add fd00:10::/64 dev eth0 table ${table}`,
          `route add default via ${direct.address} table ${table}`,
          `route add default via ${direct.address6} table ${table}`,
        ],
        lab.namespace(node),
      );
      // Only what they say as the frontend: the answers to translated flows have to be translated back.
      for (const address of addresses) {
        const family = address.includes(':') ? '-6' : '-4';
        await lab.exec(node, ['ip', family, 'rule', 'add', 'from', address, 'lookup', String(table)]);
      }
    }),
  );
}

/** How many frames an interface of the gateway has sent. */
export async function sentByGateway(lab: Lab, device: string): Promise<number> {
  const { stdout } = await lab.exec('gateway', ['cat', '/proc/net/dev']);
  const line = stdout.split('\n').find((each) => each.trim().startsWith(`${device}:`)) ?? '';
  return Number(line.split(':')[1]?.trim().split(/\s+/)[9]);
}

/** Addresses of machines that are reached over a router only; 10.9.0.N and fd00:9::N. */
export function farAddress(number: number, family: 4 | 6): string {
  return family === 4 ? `10.9.0.${number}` : `fd00:9::${number}`;
}

/**
 * From now on the machines have another address each, behind `router`, which is a machine as well; and they take packets
 * within packets to it.
 */
export async function hideBehind(lab: Lab, router: Node, hidden: readonly Backend[]): Promise<void> {
  const routerAddresses = lab.backends.find(({ node }) => node === router);
  if (routerAddresses === undefined) throw new Error(`there is no machine ${router}`);
  await lab.exec(router, [
    'sysctl',
    '-qw',
    'net.ipv4.ip_forward=1',
    'net.ipv6.conf.all.forwarding=1',
    'net.ipv4.conf.all.send_redirects=0',
    'net.ipv4.conf.eth0.send_redirects=0',
  ]);
  await batch(
    [
      `route add 10.9.0.0/24 via ${routerAddresses.address}`,
      `route add fd00:9::/64 via ${routerAddresses.address6}`,
    ],
    lab.namespace('gateway'),
  );
  await batch(
    hidden.flatMap(({ number, address, address6 }) => [
      `route add ${farAddress(number, 4)}/32 via ${address}`,
      `route add ${farAddress(number, 6)}/128 via ${address6}`,
    ]),
    lab.namespace(router),
  );
  for (const { node, number } of hidden) {
    await batch(
      [`addr add ${farAddress(number, 4)}/32 dev lo`, `addr add ${farAddress(number, 6)}/128 dev lo nodad`],
      lab.namespace(node),
    );
    // Ends with the lab. What it cannot have is told by the packets that do not arrive.
    const decapsulator = lab.spawn(node, [decapsulate], { reject: false });
    await new Promise<void>((resolve, reject) => {
      decapsulator.stdout?.once('data', () => resolve());
      void decapsulator.then(({ stderr }) => reject(new Error(`${decapsulate}: ${stderr}`)));
    });
  }
}
