// XDP in the receive path of a network card's driver: virtio_net, between namespaces that own a card each.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { trackedFlows } from '../../e2e/support/xdp.ts';
import type { Lab } from '../../lab/lab.ts';
import { findNicPairs } from '../../lab/nics.ts';
import type { Traffic } from '../../lab/traffic/traffic.ts';
import { driverCounters, kernelModes, routedByKernel } from './support/driver.ts';
import { complaints, everyKind, interfaces, ports, status, upNicLab } from './support/nic-lab.ts';

let lab: Lab;
let traffic: Traffic;

beforeAll(async () => {
  lab = await upNicLab('nics-driver', await findNicPairs(2));
  traffic = await lab.traffic();
});

afterAll(async () => {
  await traffic?.stop();
  await lab?.down();
});

/** Packets that XDP has sent on, and those that it has translated and left to the kernel to route. */
async function outcomes(): Promise<{ readonly forwarded: number; readonly routed: number }> {
  const { packetReasons } = await status(lab);
  const sum = (wanted: string): number =>
    packetReasons
      .filter(({ outcome }) => outcome === wanted)
      .reduce((total, { packets }) => total + packets, 0);
  return { forwarded: sum('forwarded'), routed: sum('routed') };
}

describe('on virtio_net', () => {
  it('runs in native mode, as agent and kernel say', async () => {
    expect(await interfaces(lab)).toEqual(['lan0: native, virtio_net', 'wan0: native, virtio_net']);
    expect(await kernelModes(lab)).toEqual({ lan0: 'native penstock', wan0: 'native penstock' });
    const { stdout } = await lab.penstock(['status', '-o', 'json']);
    const shown = JSON.parse(stdout) as { interfaces: readonly { readonly xdpMode: string }[] };
    expect(shown.interfaces.map(({ xdpMode }) => xdpMode)).toEqual(['native', 'native']);
  });

  it('forwards every packet in the driver, and the stack none, once the neighbours are known', async () => {
    expect(await complaints(traffic, 1)).toEqual([]);
    const before = await snapshot();
    const times = 10;
    expect(await complaints(traffic, times)).toEqual([]);
    const after = await snapshot();
    // A TCP exchange takes nine packets at least, one by UDP two.
    const least = times * everyKind.reduce((sum, { request }) => sum + (request.scheme === 'udp' ? 2 : 9), 0);
    expect(after.routed - before.routed).toBe(0);
    expect(after.reasons.routed - before.reasons.routed).toBe(0);
    expect(after.reasons.forwarded - before.reasons.forwarded).toBeGreaterThanOrEqual(least);
    const grown = (name: 'wan' | 'lan', counter: 'packets' | 'redirected' | 'sent'): number =>
      after[name][counter] - before[name][counter];
    expect(grown('wan', 'packets') + grown('lan', 'packets')).toBeGreaterThanOrEqual(least);
    // What comes in by one card leaves by the other.
    expect(grown('wan', 'redirected') + grown('lan', 'redirected')).toBeGreaterThanOrEqual(least);
    expect(grown('wan', 'sent')).toBeGreaterThanOrEqual(grown('lan', 'redirected'));
    expect(grown('lan', 'sent')).toBeGreaterThanOrEqual(grown('wan', 'redirected'));
    expect(await trackedFlows(lab, 'tcp', ports.b1)).toBe(0);
  });

  it('sends back by the card that a packet came in by', async () => {
    await lab.exec('gateway', ['ip', 'address', 'add', '192.0.2.1/24', 'dev', 'lan0']);
    await lab.exec('switch', ['ip', 'address', 'add', '192.0.2.10/24', 'dev', 'lan']);
    await lab.exec('switch', ['ip', 'route', 'add', '203.0.113.0/24', 'via', '192.0.2.1']);
    await using neighbour = await lab.traffic('switch');
    const kinds = everyKind.filter(({ request }) => !request.address.includes(':'));
    expect(await complaints(neighbour, 1, kinds)).toEqual([]);
    const before = await snapshot();
    expect(await complaints(neighbour, 5, kinds)).toEqual([]);
    const after = await snapshot();
    expect(after.routed - before.routed).toBe(0);
    expect(after.lan.returned - before.lan.returned).toBeGreaterThanOrEqual(5 * 3 * (9 + 2));
  });
});

async function snapshot() {
  return {
    wan: await driverCounters(lab, 'wan0'),
    lan: await driverCounters(lab, 'lan0'),
    routed: await routedByKernel(lab),
    reasons: await outcomes(),
  };
}
