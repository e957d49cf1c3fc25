// Machines and clients behind IP tunnels, on both data planes. The program does not run on a tunnel: nftables has both
// directions of these flows, also where one of them comes by a network card.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { complaints, declare, outcomes, sh, status } from '../../e2e/support/ways.ts';
import type { Lab } from '../../lab/lab.ts';
import { backend, client, frontends, gateway } from '../../lab/topology.ts';
import type { Traffic } from '../../lab/traffic/traffic.ts';
import { agentOn, planes, up, upLinksLab } from './support/links-lab.ts';

let lab: Lab;
let traffic: Traffic;
const [b1, b2] = [backend(1), backend(2)];

/** One for each address family: IPv4 in IPv4, IPv6 in IPv6. */
function tunnel(name: string, inside: string, [here, there]: readonly [Ends, Ends]): readonly string[] {
  const [four, six] = [`${name}4`, `${name}6`];
  return [
    `ip link add ${four} type ipip local ${here.address} remote ${there.address}`,
    ...up(four, `10.${inside}/24`),
    `ip link add ${six} type ip6tnl mode ip6ip6 encaplimit none local ${here.address6} remote ${there.address6}`,
    ...up(six, `fd0${inside.replace('.0.', '::')}/64`),
  ];
}

interface Ends {
  readonly address: string;
  readonly address6: string;
}

beforeAll(async () => {
  lab = await upLinksLab('links-tunnel');
  await sh(
    lab,
    'gateway',
    ...tunnel('machines', '9.0.1', [gateway.lan, b2]),
    ...tunnel('clients', '8.0.1', [gateway.wan, client]),
  );
  await sh(lab, 'b2', ...tunnel('gateway', '9.0.2', [b2, gateway.lan]));
  await sh(lab, 'client', ...tunnel('gateway', '8.0.2', [client, gateway.wan]));
  traffic = await lab.traffic();
});
afterAll(async () => {
  await traffic?.stop();
  await lab?.down();
});

/** `one way`: the gateway sends through the tunnel, and is sent to past it. */
type Way = 'no tunnel' | 'a tunnel' | 'a tunnel, one way';

async function clientGoes(way: Way): Promise<void> {
  const inside = way === 'a tunnel';
  const [to, to6] = inside
    ? ['dev gateway4', 'dev gateway6']
    : [`via ${gateway.wan.address}`, `via ${gateway.wan.address6}`];
  const [source, source6] = way === 'no tunnel' ? [client.address, client.address6] : ['10.8.0.2', 'fd08::2'];
  await sh(
    lab,
    'client',
    `ip route replace ${frontends.network} ${to} src ${source}`,
    `ip -6 route del ${frontends.network6}`,
    `ip route add ${frontends.network6} ${to6} src ${source6}`,
  );
}

async function machineAnswers(way: Way): Promise<void> {
  const [to, to6] =
    way === 'a tunnel'
      ? ['dev gateway4', 'dev gateway6']
      : [`via ${gateway.lan.address}`, `via ${gateway.lan.address6}`];
  await sh(
    lab,
    'b2',
    `ip route replace default ${to}`,
    'ip -6 route del default',
    `ip -6 route add default ${to6}`,
  );
}

describe.each(planes)('with %s', (plane) => {
  beforeAll(async () => {
    await agentOn(lab, plane);
    await declare(lab, { 4: [b1.address, '10.9.0.2'], 6: [b1.address6, 'fd09::2'] });
  });

  it.each<[client: Way, machine: Way]>([
    ['no tunnel', 'a tunnel'],
    ['no tunnel', 'a tunnel, one way'],
    ['a tunnel', 'a tunnel'],
    ['a tunnel, one way', 'a tunnel, one way'],
  ])('the client is behind %s, the machine behind %s', async (clientWay, machineWay) => {
    await clientGoes(clientWay);
    await machineAnswers(machineWay);
    expect(await complaints(traffic)).toEqual([]);
    const before = await outcomes(lab);
    expect(await complaints(traffic, 2)).toEqual([]);
    if (plane === 'nftables') return;
    const after = await outcomes(lab);
    const grown = (key: string): number => (after[key] ?? 0) - (before[key] ?? 0);
    // What comes in by a tunnel alone does not meet the program.
    if (clientWay !== 'a tunnel' || machineWay !== 'a tunnel') expect(grown('elsewhere')).toBeGreaterThan(20);
    if (clientWay === 'no tunnel') expect(grown('forwarded')).toBeGreaterThan(20);
    else expect(grown('forwarded')).toBe(0);
    expect(grown('routed')).toBe(0);
  });

  it('says which interfaces those are', async () => {
    const { notes, interfaces } = await status(lab);
    if (plane === 'nftables') {
      expect(interfaces).toEqual([]);
      return;
    }
    const note = notes.find((text) => text.startsWith('flows to or from whom routes lead over'));
    for (const name of ['machines4', 'machines6', 'clients4', 'clients6']) {
      expect(note).toContain(name);
      expect(interfaces).toContainEqual(
        expect.objectContaining({ name, xdpMode: 'off', reason: 'it carries no Ethernet frames' }),
      );
    }
  });

  it('a machine that moves into the tunnel and out of it is reached all the time', async () => {
    await clientGoes('no tunnel');
    await machineAnswers('no tunnel');
    // The machine's address, over the wire: by a route that comes and goes.
    await sh(
      lab,
      'gateway',
      `ip route add 10.9.0.2/32 via ${b2.address}`,
      `ip route add fd09::2/128 via ${b2.address6}`,
    );
    expect(await complaints(traffic)).toEqual([]);
    const before = await outcomes(lab);
    await expect
      .poll(
        async () => {
          const from = await outcomes(lab);
          expect(await complaints(traffic)).toEqual([]);
          return ((await outcomes(lab)).elsewhere ?? 0) - (from.elsewhere ?? 0);
        },
        { timeout: 60_000 },
      )
      .toBe(0);
    await sh(lab, 'gateway', 'ip route del 10.9.0.2/32', 'ip route del fd09::2/128');
    await machineAnswers('a tunnel');
    expect(await complaints(traffic)).toEqual([]);
    if (plane === 'xdp') expect((await outcomes(lab)).elsewhere).toBeGreaterThan(before.elsewhere ?? 0);
  });
});
