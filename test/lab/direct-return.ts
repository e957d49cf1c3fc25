// What direct server return needs beside the lab: machines that hold frontends' addresses, and a way of theirs to the client.
import { batch } from './ip.ts';
import type { Lab } from './lab.ts';
import { joinWires } from './nics.ts';

/** The client's second interface, on the machines' link. */
const direct = { address: '10.0.255.254', address6: 'fd00:10::fffe' } as const;

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
