// A gateway between two silent cables: whatever comes out of it is its own doing, frame by frame.
import { setTimeout as sleep } from 'node:timers/promises';
import type { GatewayClient } from '../../src/wire/client.ts';
import { connect } from '../e2e/support/gateway.ts';
import { Lab } from '../lab/lab.ts';
import type { DataPlane } from '../lab/record.ts';
import { backend, frontends, gateway } from '../lab/topology.ts';
import { encode } from '../packets/frame/encode.ts';
import { type End, type Packet, text, udp } from '../packets/frame/packet.ts';
import { Wire } from './wire.ts';

/** Machines b1 to b10 of the lab's numbering; none of them exists, but the gateway knows where each is. */
export const machineCount = 10;
/** Smaller than that of the clients' link, so that packets are too large for it. */
export const machineMtu = 1400;

/** Clients on the link, and behind a router. */
export const clients = {
  4: ['198.51.100.10', '198.51.100.11', '198.51.100.12', '192.0.2.1', '192.0.2.2', '192.0.2.77'],
  6: [
    '2001:db8:c::10',
    '2001:db8:c::11',
    '2001:db8:c::12',
    '2001:db8:d::1',
    '2001:db8:d::2',
    '2001:db8:d::77',
  ],
} as const;

const routers = { 4: '198.51.100.254', 6: '2001:db8:c::fe' } as const;
const mac = {
  wan: '02:00:00:00:00:02',
  lan: gateway.lan.mac,
  client: '02:00:00:00:01:00',
  machines: '02:00:0a:00:00:fa',
};
/** Neither machine nor frontend: frames between these two tell that all before them have come through. */
const sentinels: readonly [End, End] = [
  ['198.51.100.10', 9],
  ['10.0.0.250', 9],
];
const stranger = 'fd00:10::fa';
/** A veth in XDP mode has room for 256 frames. */
const framesAtOnce = 64;

export type Side = 'client' | 'machine';

export type Heard = Readonly<Record<Side, readonly Uint8Array[]>>;

export class Rig implements AsyncDisposable {
  readonly lab: Lab;
  readonly client: GatewayClient;
  readonly #wires: Readonly<Record<Side, Wire>>;
  #sentinels = 0;

  private constructor(lab: Lab, wires: Readonly<Record<Side, Wire>>) {
    this.lab = lab;
    this.client = connect(lab);
    this.#wires = wires;
  }

  static async up(name: string, dataplane: DataPlane): Promise<Rig> {
    const lab = await Lab.up({ name, backends: 0, dataplane });
    try {
      await silence(lab);
      await lab.startAgent();
      const [client, machine] = await Promise.all([
        Wire.open(lab.namespace('client'), 'eth0'),
        Wire.open(lab.namespace('switch'), 'gateway'),
      ]);
      return new Rig(lab, { client, machine });
    } catch (error) {
      await lab.down();
      throw error;
    }
  }

  /** Puts packets onto the cable of one side; what comes out on either side when all have come through. */
  async exchange(from: Side, packets: readonly Packet[]): Promise<Heard> {
    const heard: Record<Side, Uint8Array[]> = { client: [], machine: [] };
    const frames = packets.map((packet) => frameFrom(from, packet));
    for (let at = 0; at < frames.length; at += framesAtOnce) {
      this.#wires[from].send(frames.slice(at, at + framesAtOnce));
      await this.#passed();
    }
    await sleep(5);
    for (const side of ['client', 'machine'] as const) heard[side].push(...this.#wires[side].take());
    return heard;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client.close();
    await Promise.all(Object.values(this.#wires).map((wire) => wire.close()));
    await this.lab.down();
  }

  async #passed(): Promise<void> {
    const [near, far] = sentinels;
    for (const [from, to, source, destination] of [
      ['client', 'machine', near, far],
      ['machine', 'client', far, near],
    ] as const) {
      this.#sentinels += 1;
      const word = `sentinel ${this.#sentinels}.`;
      const come = this.#wires[to].until(word);
      this.#wires[from].send([frameFrom(from, udp(source, destination, { payload: text(word) }))]);
      await come;
    }
  }
}

function frameFrom(side: Side, packet: Packet): Uint8Array {
  const [source, destination] = side === 'client' ? [mac.client, mac.wan] : [mac.machines, mac.lan];
  return encode({ ...packet, ethernet: { source, destination, tags: [] } });
}

/** Takes the addresses of the ends away, and tells the gateway where everybody is, so that nobody is asked. */
async function silence(lab: Lab): Promise<void> {
  const run = (node: 'client' | 'gateway' | 'switch', script: string) =>
    lab.exec(node, ['sh', '-ec', script]).then(() => undefined);
  await run('client', 'ip address flush dev eth0; ip -6 address flush dev eth0');
  await run('switch', 'ip link set gateway nomaster');
  const machines = Array.from({ length: machineCount }, (_, index) => backend(index + 1));
  const neighbours = [
    ...[...clients[4].slice(0, 3), routers[4], ...clients[6].slice(0, 3), routers[6]].map(
      (address, index) => `${address} lladdr 02:00:00:00:01:0${index} dev wan0`,
    ),
    ...machines.flatMap(({ address, address6, mac: own }) =>
      [address, address6].map((one) => `${one} lladdr ${own} dev lan0`),
    ),
    `${sentinels[1][0]} lladdr ${mac.machines} dev lan0`,
    `${stranger} lladdr ${mac.machines} dev lan0`,
  ];
  await run(
    'gateway',
    [
      `ip link set wan0 address ${mac.wan}`,
      // The kernel's own answers with whole checksums; and one answer for each packet that asks for it.
      'ethtool -K wan0 tx off >/dev/null; ethtool -K lan0 tx off >/dev/null',
      'sysctl -qw net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0 net.ipv6.auto_flowlabels=0',
      'sysctl -eqw net.ipv4.icmp_msgs_per_sec=1000000 net.ipv4.icmp_msgs_burst=1000000',
      `ip link set lan0 mtu ${machineMtu}`,
      ...neighbours.map((neighbour) => `ip neigh replace ${neighbour} nud permanent`),
      `ip route add 192.0.2.0/24 via ${routers[4]}`,
      `ip route add 2001:db8:d::/64 via ${routers[6]}`,
      // What no rule claims is somebody else's. Without a route the kernel would complain, but not about every packet.
      `ip route add ${frontends.network} via ${sentinels[1][0]}`,
      `ip route add ${frontends.network6} via ${stranger}`,
    ].join('\n'),
  );
}
