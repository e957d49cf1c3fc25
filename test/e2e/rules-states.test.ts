// What a member's admin state means for flows: which go on, which move, and who gets the new ones.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { GatewayClient, Message } from '../../src/wire/client.ts';
import type { Lab } from '../lab/lab.ts';
import type { Traffic } from '../lab/traffic/traffic.ts';
import { adminState, type Family, front, members, tcp, webAndDns } from './support/declare.ts';
import { Flows, reachAll } from './support/flows.ts';
import { connect, put } from './support/gateway.ts';
import { upLab } from './support/lab.ts';
import { machines } from './support/outcomes.ts';

let lab: Lab;
let client: GatewayClient;
let traffic: Traffic;

function declaration(family: Family): Message<'LoadBalancer'> {
  return {
    name: `web${family}`,
    frontends: [{ name: 'front', address: front[family] }],
    backendPools: [{ name: 'vms', members: members([1, 2, 3], family) }],
    loadBalancingRules: [...webAndDns],
    inboundNatRules: [
      {
        name: 'direct',
        frontend: 'front',
        protocol: tcp,
        backendPort: 80,
        pool: { backendPool: 'vms', frontendPortRangeStart: 500, maximumMachines: 10 },
      },
    ],
  };
}

beforeAll(async () => {
  lab = await upLab({ name: `e2e-rules-states-${process.pid}`, backends: 3, agent: true });
  client = connect(lab);
  traffic = await lab.traffic();
});

afterAll(async () => {
  await traffic?.stop();
  client?.close();
  await lab?.down();
});

/** Sets the state of a member, and leaves all else of it. */
async function setState(name: string, family: Family, state: keyof typeof adminState): Promise<void> {
  const changed = members([1, 2, 3], family)
    .filter(({ id }) => id === name)
    .map((member) => ({ ...member, adminState: adminState[state] }));
  await client.apply({
    changes: { putMembers: [{ loadBalancer: `web${family}`, backendPool: 'vms', members: changed }] },
  });
}

async function newFlows(address: string, scheme: 'http' | 'udp', count = 40): Promise<ReadonlySet<string>> {
  const request = { scheme, address, port: scheme === 'http' ? 80 : 53, timeout: 1_500 } as const;
  return new Set(machines(await traffic.ask(Array.from({ length: count }, () => request))));
}

describe.each([4, 6] as const)('IPv%i', (family) => {
  const here = front[family];

  beforeEach(async () => {
    await put(client, declaration(family));
  });

  it('2: DOWN: TCP goes on, UDP moves at once, new flows go elsewhere, NAT rules do not care', async () => {
    await using flows = await Flows.start(lab);
    const { connection, sender } = await reachAll(flows, here);

    await setState('b2', family, 'down');

    const after = await flows.sent(sender('b2'));
    const others = await flows.sent(sender('b1'));
    expect(await flows.ask(connection('b2'))).toBe('b2');
    expect(await flows.ask(connection('b1'))).toBe('b1');
    expect(await newFlows(here, 'http')).toEqual(new Set(['b1', 'b3']));
    expect(await newFlows(here, 'udp')).toEqual(new Set(['b1', 'b3']));
    const moved = await flows.settled(sender('b2'), after);
    expect(moved).not.toContain('b2');
    expect(moved).not.toContain(null);
    expect(new Set(await flows.settled(sender('b1'), others))).toEqual(new Set(['b1']));
    const direct = await traffic.ask([{ scheme: 'http', address: here, port: 501 }]);
    expect(machines(direct)).toEqual(['b2']);
  });

  it('2: DRAIN: TCP and UDP go on, new flows go elsewhere', async () => {
    await using flows = await Flows.start(lab);
    const { connection, sender } = await reachAll(flows, here);

    await setState('b2', family, 'drain');

    const after = await flows.sent(sender('b2'));
    expect(await newFlows(here, 'http')).toEqual(new Set(['b1', 'b3']));
    expect(await newFlows(here, 'udp')).toEqual(new Set(['b1', 'b3']));
    expect(await flows.ask(connection('b2'))).toBe('b2');
    const kept = await flows.settled(sender('b2'), after);
    expect(new Set(kept)).toEqual(new Set(['b2']));

    await setState('b2', family, 'up');
    expect(await newFlows(here, 'http')).toEqual(new Set(['b1', 'b2', 'b3']));
  });

  it('2: all DOWN: no new flows, established TCP goes on, UDP ends', async () => {
    await using flows = await Flows.start(lab);
    const { connection, sender } = await reachAll(flows, here);

    for (const name of ['b1', 'b2', 'b3']) await setState(name, family, 'down');

    const after = await flows.sent(sender('b3'));
    expect(await newFlows(here, 'http', 4)).toEqual(new Set(['lost (timeout)']));
    expect(await flows.ask(connection('b3'))).toBe('b3');
    expect(new Set(await flows.settled(sender('b3'), after))).toEqual(new Set([null]));
  });
});
