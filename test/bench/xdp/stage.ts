// The gateway that timed programs stand in: a lab's, with routes to machines and clients whose next hops are settled.
import type { Device } from '../../../src/dataplane/xdp/network/devices.ts';
import type { HopRoute } from '../../../src/dataplane/xdp/network/prefix.ts';
import { parseAddress } from '../../../src/resources/address.ts';
import type { Lab } from '../../lab/lab.ts';
import { client, type Node, namespacePath } from '../../lab/topology.ts';
import type { BenchContext } from '../bench.ts';
import { addressNumber } from './frame.ts';
import { machines } from './tables.ts';

/** Of clients beyond the first router. */
export const firstClient = addressNumber('100.64.0.0');
const clients = '100.64.0.0/10';
const outsideMac = '02:00:00:00:00:99';

export interface Link {
  readonly ifindex: number;
  readonly address: string;
  readonly mtu: number;
}

export interface Stage {
  readonly lab: Lab;
  /** The gateway's network namespace, as a path. */
  readonly namespace: string;
  /** Towards the clients, and towards the machines. */
  readonly wan: Link;
  readonly lan: Link;
  readonly devices: readonly Device[];
  /** All next hops, to be remembered. */
  readonly routes: readonly HopRoute[];
  /** The MAC address of whom packets come from. */
  readonly outsideMac: string;
}

export async function raiseStage(context: BenchContext, name: string): Promise<Stage> {
  const lab = await context.lab(name, { backends: 1, dataplane: 'xdp' });
  const machine = lab.backends[0];
  if (machine === undefined) throw new Error('The lab has no machine.');
  const [wan, lan] = [await linkOf(lab, 'gateway', 'wan0'), await linkOf(lab, 'gateway', 'lan0')];
  const ip = async (...command: string[]): Promise<void> => {
    await lab.exec('gateway', ['ip', ...command]);
  };
  await lab.exec('gateway', ['sysctl', '-qw', 'net.ipv4.ip_forward=1']);
  await ip('route', 'add', machines, 'via', machine.address);
  await ip('route', 'add', clients, 'via', client.address);
  await ip('neighbour', 'replace', machine.address, 'lladdr', machine.mac, 'dev', 'lan0', 'nud', 'permanent');
  await ip('neighbour', 'replace', client.address, 'lladdr', outsideMac, 'dev', 'wan0', 'nud', 'permanent');
  const device = (link: Link): Device => ({
    index: link.ifindex,
    physical: link.ifindex,
    receives: true,
    sends: true,
    returns: true,
    tags: [],
    mac: link.address,
    mtu: link.mtu,
  });
  return {
    lab,
    namespace: namespacePath(lab.namespace('gateway')),
    wan,
    lan,
    devices: [device(wan), device(lan)],
    routes: [route(machines, machine.address, lan), route(clients, client.address, wan)],
    outsideMac,
  };
}

export async function linkOf(lab: Lab, node: Node, name: string): Promise<Link> {
  const { stdout } = await lab.exec(node, ['ip', '-j', 'link', 'show', 'dev', name]);
  const link = (JSON.parse(stdout) as Link[])[0];
  if (link === undefined) throw new Error(`no interface ${name} in ${node}`);
  return link;
}

/** IPv4 within ::ffff:0:0/96, as the program has it. */
function route(network: string, gateway: string, { ifindex }: Link): HopRoute {
  const [address = '', length] = network.split('/');
  const parsed = parseAddress(gateway);
  if (parsed === undefined) throw new RangeError(`no address: ${gateway}`);
  return {
    bits: (0xffffn << 32n) | BigInt(addressNumber(address)),
    length: 96 + Number(length),
    kind: 'gateway',
    gateway: parsed,
    link: ifindex,
  };
}
