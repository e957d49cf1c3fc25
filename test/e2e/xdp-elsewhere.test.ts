// Machines and clients behind interfaces where the XDP program does not run: nftables translates both directions of their
// flows, also where some of the packets come by an interface where it runs.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Lab } from '../lab/lab.ts';
import { backend, client, frontends, gateway } from '../lab/topology.ts';
import type { Traffic } from '../lab/traffic/traffic.ts';
import { upLab } from './support/lab.ts';
import { complaints, declare, nodad, outcomes, sh, status } from './support/ways.ts';

let lab: Lab;
let traffic: Traffic;
const b1 = backend(1);

beforeAll(async () => {
  lab = await upLab({ name: `e2e-xdp-elsewhere-${process.pid}`, backends: 2 });
  // A bridge has no native XDP; its port belongs to it.
  const bridge = (name: string, own: readonly string[], node: 'client' | 'b2', theirs: readonly string[]) => [
    `ip link add ${name} type bridge`,
    `ip link set ${name} up`,
    `ip link add ${name}-port type veth peer name eth1 netns ${lab.namespace(node)}`,
    `ip link set ${name}-port master ${name} up`,
    ...own.map((address) => `ip address add ${address} dev ${name}${nodad(address)}`),
    `ip -n ${lab.namespace(node)} link set eth1 up`,
    ...theirs.map(
      (address) => `ip -n ${lab.namespace(node)} address add ${address} dev eth1${nodad(address)}`,
    ),
  ];
  await sh(
    lab,
    'gateway',
    'sysctl -eqw net.bridge.bridge-nf-call-iptables=0 net.bridge.bridge-nf-call-ip6tables=0',
    ...bridge('machines', ['10.9.0.1/24', 'fd09::1/64'], 'b2', ['10.9.0.2/24', 'fd09::2/64']),
    ...bridge('clients', ['10.8.0.1/24', 'fd08::1/64'], 'client', ['10.8.0.2/24', 'fd08::2/64']),
  );
  await lab.startAgent();
  await declare(lab, { 4: [b1.address, '10.9.0.2'], 6: [b1.address6, 'fd09::2'] });
  traffic = await lab.traffic();
});
afterAll(async () => {
  await traffic?.stop();
  await lab?.down();
});

type Way = 'plain' | 'there' | 'there, but sends by the other interface';

async function clientGoes(way: Way): Promise<void> {
  const [via, via6] = way === 'there' ? ['10.8.0.1', 'fd08::1'] : [gateway.wan.address, gateway.wan.address6];
  const [source, source6] = way === 'plain' ? [client.address, client.address6] : ['10.8.0.2', 'fd08::2'];
  await sh(
    lab,
    'client',
    `ip route replace ${frontends.network} via ${via} src ${source}`,
    `ip route replace ${frontends.network6} via ${via6} src ${source6}`,
  );
}

async function machineAnswers(way: Way): Promise<void> {
  const [via, via6] = way === 'there' ? ['10.9.0.1', 'fd09::1'] : [gateway.lan.address, gateway.lan.address6];
  await sh(lab, 'b2', `ip route replace default via ${via}`, `ip route replace default via ${via6}`);
}

describe('a flow that leads over an interface without the program', () => {
  it('is named in the status', async () => {
    const { notes, interfaces } = await status(lab);
    expect(notes).toContainEqual(
      expect.stringMatching(/^flows to or from whom routes lead over machines, clients are left to nftables/),
    );
    expect(interfaces.map(({ name, xdpMode }) => `${name}: ${xdpMode}`).toSorted()).toEqual([
      'clients: off',
      'lan0: native',
      'machines: off',
      'wan0: native',
    ]);
  });

  it.each<[client: Way, machine: Way]>([
    ['plain', 'there'],
    ['plain', 'there, but sends by the other interface'],
    ['there', 'there'],
    ['there', 'there, but sends by the other interface'],
    ['there, but sends by the other interface', 'there'],
    ['there, but sends by the other interface', 'there, but sends by the other interface'],
  ])('is whole: the client is %s, the machine %s', async (clientWay, machineWay) => {
    await clientGoes(clientWay);
    await machineAnswers(machineWay);
    expect(await complaints(traffic)).toEqual([]);
    const before = await outcomes(lab);
    expect(await complaints(traffic, 3)).toEqual([]);
    const after = await outcomes(lab);
    const grown = (key: string): number => (after[key] ?? 0) - (before[key] ?? 0);
    expect(grown('elsewhere')).toBeGreaterThan(30);
    // Those of b1 are XDP's where the client is, too.
    if (clientWay === 'plain') expect(grown('forwarded')).toBeGreaterThan(30);
    else expect(grown('forwarded')).toBe(0);
    expect(grown('routed')).toBe(0);
  });
});

describe('an agent that is told to run on one interface only', () => {
  it('leaves all flows to nftables, and says so', async () => {
    await clientGoes('plain');
    await machineAnswers('plain');
    for (const only of ['wan0', 'lan0']) {
      await lab.stopAgent();
      await lab.startAgent({ arguments: ['--interface', only] });
      expect(await complaints(traffic)).toEqual([]);
      expect((await outcomes(lab)).elsewhere).toBeGreaterThan(30);
      expect((await status(lab)).notes.join()).toContain(only === 'wan0' ? 'lan0' : 'wan0');
    }
  });
});
