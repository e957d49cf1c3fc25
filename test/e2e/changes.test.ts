// Machines come, go and move while flows go on: who must notice does at once, and nobody else does.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { GatewayClient, Message } from '../../src/wire/client.ts';
import type { Lab } from '../lab/lab.ts';
import { backend } from '../lab/topology.ts';
import type { Traffic } from '../lab/traffic/traffic.ts';
import {
  addressOf,
  adminState,
  all,
  type Family,
  front,
  members,
  otherFront,
  tcp,
  udp,
  webAndDns,
} from './support/declare.ts';
import { Flows } from './support/flows.ts';
import { connect, failureOf, listMappings, ports, put, revisionOf } from './support/gateway.ts';
import { upLab } from './support/lab.ts';
import { machines } from './support/outcomes.ts';

let lab: Lab;
let client: GatewayClient;
let traffic: Traffic;

interface Range {
  readonly start?: number;
  readonly machines?: number;
}

function declaration(
  family: Family,
  { start = 500, machines: room = 10 }: Range = {},
): Message<'LoadBalancer'> {
  const rule = (name: string, protocol: number, backendPort: number): Message<'InboundNatRule'> => ({
    name,
    frontend: 'front',
    protocol,
    backendPort,
    pool: { backendPool: 'vms', frontendPortRangeStart: start, maximumMachines: room },
  });
  return {
    name: 'lb',
    frontends: [{ name: 'front', address: front[family] }],
    backendPools: [{ name: 'vms', members: members([1, 2, 3], family) }],
    inboundNatRules: [rule('over-tcp', tcp, 80), rule('over-udp', udp, 5300)],
    loadBalancingRules: [...webAndDns],
  };
}

beforeAll(async () => {
  lab = await upLab({ name: `e2e-changes-${process.pid}`, backends: 5, agent: true });
  client = connect(lab);
  traffic = await lab.traffic();
});

afterAll(async () => {
  await traffic?.stop();
  client?.close();
  await lab?.down();
});

async function putMembers(...changed: Message<'Member'>[]) {
  return await client.apply({
    changes: { putMembers: [{ loadBalancer: 'lb', backendPool: 'vms', members: changed }] },
  });
}

async function removeMembers(...ids: string[]) {
  return await client.apply({
    changes: { deleteMembers: [{ loadBalancer: 'lb', backendPool: 'vms', ids }] },
  });
}

async function tcpPorts(): Promise<readonly string[]> {
  return ports(await listMappings(client, { rule: 'over-tcp', skipCounters: true }));
}

describe.each([4, 6] as const)('IPv%i', (family) => {
  const here = front[family];

  beforeEach(async () => {
    // Former ports are remembered per rule: begin without any.
    await client.replaceAll([{ commit: {} }]);
    await put(client, declaration(family));
  });

  /** The id of a connection or sender through the balanced ports that has reached this machine. */
  async function balanced(flows: Flows, kind: 'tcp' | 'udp', machine: string): Promise<string> {
    for (let count = 0; count < 80; count += 1) {
      const id = `${kind}-${machine}-${count}`;
      if (kind === 'tcp') {
        await flows.open(id, here, 80);
        if ((await flows.ask(id)) === machine) return id;
      } else {
        await flows.send(id, here, 53);
        if ((await flows.firstAnswer(id)) === machine) return id;
      }
    }
    throw new Error(`no flow reaches ${machine}`);
  }

  it('scaling out and in: flows of the machines that stay lose nothing', async () => {
    await using flows = await Flows.start(lab);
    await flows.open('nat', here, 500);
    await flows.send('nat-udp', here, 500, 3);
    const lasting = await balanced(flows, 'tcp', 'b1');
    const sender = await balanced(flows, 'udp', 'b1');

    await putMembers(...members([4, 5], family));
    expect(await tcpPorts()).toEqual(['b1:500', 'b2:501', 'b3:502', 'b4:503', 'b5:504']);
    const asked = await traffic.ask([503, 504].map((port) => ({ scheme: 'http', address: here, port })));
    expect(machines(asked)).toEqual(['b4', 'b5']);
    await removeMembers('b2', 'b4');
    await putMembers(...members([2], family));
    await removeMembers('b3', 'b5');
    expect(await tcpPorts()).toEqual(['b1:500', 'b2:501']);

    expect(await flows.ask('nat')).toBe('b1');
    expect(await flows.ask(lasting)).toBe('b1');
    expect(new Set(await flows.settled('nat-udp'))).toEqual(new Set(['b1']));
    expect(new Set(await flows.settled(sender))).toEqual(new Set(['b1']));
  });

  it('a machine that goes takes its flows along, and no others', async () => {
    await using flows = await Flows.start(lab);
    await flows.open('nat', here, 501);
    expect(await flows.ask('nat')).toBe('b2');
    await flows.send('nat-udp', here, 501);
    expect(await flows.firstAnswer('nat-udp')).toBe('b2');
    const [ending, staying] = [await balanced(flows, 'tcp', 'b2'), await balanced(flows, 'tcp', 'b3')];
    const [moving, sender] = [await balanced(flows, 'udp', 'b2'), await balanced(flows, 'udp', 'b3')];

    await removeMembers('b2');

    const [gone, moved] = [await flows.sent('nat-udp'), await flows.sent(moving)];
    expect(['silence', 'closed']).toContain(await flows.ask('nat', 400));
    expect(['silence', 'closed']).toContain(await flows.ask(ending, 400));
    expect(await flows.ask(staying)).toBe('b3');
    expect(new Set(await flows.settled('nat-udp', gone))).toEqual(new Set([null]));
    const answers = await flows.settled(moving, moved);
    expect(answers).not.toContain('b2');
    expect(answers).not.toContain(null);
    expect(new Set(await flows.settled(sender))).toEqual(new Set(['b3']));
  });

  it('a machine that moves keeps its port, and its sender reaches the new address', async () => {
    await using flows = await Flows.start(lab);
    await flows.send('moving', here, 501);
    await flows.send('staying', here, 502);
    expect(await flows.firstAnswer('moving')).toBe('b2');
    expect(await flows.firstAnswer('staying')).toBe('b3');
    await flows.open('connection', here, 501);
    expect(await flows.ask('connection')).toBe('b2');

    await putMembers({ id: 'b2', address: addressOf(backend(5), family) });

    const moved = await flows.sent('moving');
    expect(await tcpPorts()).toEqual(['b1:500', 'b2:501', 'b3:502']);
    expect(machines(await traffic.ask([{ scheme: 'http', address: here, port: 501 }]))).toEqual(['b5']);
    expect(['silence', 'closed']).toContain(await flows.ask('connection', 400));
    expect(new Set(await flows.settled('moving', moved))).toEqual(new Set(['b5']));
    expect(new Set(await flows.settled('staying'))).toEqual(new Set(['b3']));
  });

  it('a rule that goes ends its flows, and no others', async () => {
    await using flows = await Flows.start(lab);
    await flows.open('nat', here, 500);
    await flows.send('nat-udp', here, 500);
    await flows.open('balanced', here, 80);
    await flows.send('balanced-udp', here, 53);
    const machine = await flows.firstAnswer('balanced-udp');
    expect([await flows.firstAnswer('nat-udp'), await flows.ask('nat')]).toEqual(['b1', 'b1']);
    expect(await flows.ask('balanced')).toMatch(/^b/);
    const { inboundNatRules, loadBalancingRules, ...rest } = declaration(family);

    await put(client, { ...rest, inboundNatRules: inboundNatRules?.slice(0, 1), loadBalancingRules });

    const natGone = await flows.sent('nat-udp');
    expect(new Set(await flows.settled('nat-udp', natGone))).toEqual(new Set([null]));
    expect(await flows.ask('nat')).toBe('b1');
    expect(new Set(await flows.settled('balanced-udp'))).toEqual(new Set([machine]));

    await put(client, { ...rest, inboundNatRules });

    const gone = await flows.sent('balanced-udp');
    expect(new Set(await flows.settled('balanced-udp', gone))).toEqual(new Set([null]));
    expect(['silence', 'closed']).toContain(await flows.ask('balanced', 400));
    expect(await flows.ask('nat')).toBe('b1');
  });

  it('a whole address that moves to another machine takes its senders along', async () => {
    const whole = (machine: number): Message<'LoadBalancer'> => ({
      name: 'whole',
      frontends: [{ name: 'front', address: otherFront[family] }],
      inboundNatRules: [
        {
          name: 'all',
          frontend: 'front',
          protocol: all,
          single: { address: addressOf(backend(machine), family) },
        },
      ],
    });
    await using flows = await Flows.start(lab);
    await flows.send('early', otherFront[family], 5301);
    await flows.send('other', here, 500);
    await put(client, whole(4));
    await flows.send('sender', otherFront[family], 5300);
    await flows.open('connection', otherFront[family], 8080);
    expect([await flows.firstAnswer('sender'), await flows.ask('connection')]).toEqual(['b4', 'b4']);
    expect(await flows.firstAnswer('early')).toBe('b4');

    await put(client, whole(5));

    const moved = await flows.sent('sender');
    expect(new Set(await flows.settled('sender', moved))).toEqual(new Set(['b5']));
    expect(['silence', 'closed']).toContain(await flows.ask('connection', 400));
    await flows.open('again', otherFront[family], 80);
    expect(await flows.ask('again')).toBe('b5');
    await client.apply({ changes: { deleteLoadBalancers: ['whole'] } });
    const gone = await flows.sent('sender');
    expect(new Set(await flows.settled('sender', gone))).toEqual(new Set([null]));
    expect(new Set(await flows.settled('other'))).toEqual(new Set(['b1']));
  });

  it('an affinity or a weight that changes lets established flows go on', async () => {
    await using flows = await Flows.start(lab);
    await flows.open('connection', here, 80);
    await flows.send('sender', here, 53);
    const [machine, answering] = [await flows.ask('connection'), await flows.firstAnswer('sender')];
    const declared = declaration(family);
    const heavy = members([1, 2, 3], family).map((member) => ({
      ...member,
      weight: member.id === 'b3' ? 500 : 1,
    }));
    await put(client, {
      ...declared,
      backendPools: [{ name: 'vms', members: heavy }],
      loadBalancingRules: declared.loadBalancingRules?.map((rule) => ({ ...rule, sessionPersistence: 2 })),
    });
    expect(await flows.ask('connection')).toBe(machine);
    expect(new Set(await flows.settled('sender'))).toEqual(new Set([answering]));
  });

  it.each([
    ['CLIENT_IP', 2],
    ['CLIENT_IP_PROTOCOL', 3],
  ])(
    '4: %s: a client keeps its machine while others go, come back and change',
    async (_, sessionPersistence) => {
      const declared = declaration(family);
      await put(client, {
        ...declared,
        loadBalancingRules: declared.loadBalancingRules?.map((rule) => ({ ...rule, sessionPersistence })),
      });
      const where = async (scheme: 'http' | 'udp') => {
        const port = scheme === 'http' ? 80 : 53;
        const asked = machines(await traffic.ask(Array(12).fill({ scheme, address: here, port })));
        expect(new Set(asked).size).toBe(1);
        return asked[0] ?? '';
      };
      const mine = [await where('http'), await where('udp')];
      if (sessionPersistence === 2) expect(mine[0]).toBe(mine[1]);
      const others = members([1, 2, 3], family).filter(({ id }) => !mine.includes(id ?? ''));
      expect(others).not.toEqual([]);
      const [other] = others;
      await putMembers({ ...other, adminState: adminState.down });
      expect([await where('http'), await where('udp')]).toEqual(mine);
      await removeMembers(other?.id ?? '');
      expect([await where('http'), await where('udp')]).toEqual(mine);
      await putMembers({ ...other });
      expect([await where('http'), await where('udp')]).toEqual(mine);
      // Its own: it goes to another, and comes back.
      await removeMembers(mine[0] ?? '');
      expect(await where('http')).not.toBe(mine[0]);
      await putMembers(...members([1, 2, 3], family));
      expect([await where('http'), await where('udp')]).toEqual(mine);
    },
  );

  it('a sender that knocked before its port was there is let in', async () => {
    await using flows = await Flows.start(lab);
    await flows.send('early', here, 503);
    await flows.send('early-single', here, 7000);
    expect(new Set(await flows.settled('early'))).toEqual(new Set([null]));
    await putMembers(...members([4], family));
    const single: Message<'InboundNatRule'> = {
      name: 'single',
      frontend: 'front',
      protocol: udp,
      backendPort: 5301,
      single: { frontendPort: 7000, address: addressOf(backend(5), family) },
    };
    const declared = declaration(family);
    await put(client, {
      ...declared,
      backendPools: [{ name: 'vms', members: members([1, 2, 3, 4], family) }],
      inboundNatRules: [...(declared.inboundNatRules ?? []), single],
    });
    await expect.poll(async () => (await flows.answers('early')).at(-5)).toBe('b4');
    await expect.poll(async () => (await flows.answers('early-single')).at(-5)).toBe('b5');
  });
});

describe('a range of ports', () => {
  beforeEach(async () => {
    await client.replaceAll([{ commit: {} }]);
    await put(client, declaration(4));
  });

  it('shrinks only around its machines, unless they may be moved', async () => {
    await removeMembers('b1');
    const revision = await revisionOf(client);
    const smaller = {
      ...declaration(4, { machines: 2 }),
      backendPools: [{ name: 'vms', members: members([2, 3]) }],
    };

    const refused = await failureOf(put(client, smaller));

    expect([refused.codeName, refused.reason]).toEqual(['FAILED_PRECONDITION', 'PORT_RANGE_IN_USE']);
    expect(refused.message).toContain('b3');
    expect(await revisionOf(client)).toBe(revision);
    expect(await tcpPorts()).toEqual(['b2:501', 'b3:502']);

    await using flows = await Flows.start(lab);
    await flows.send('staying', front[4], 501);
    expect(await flows.firstAnswer('staying')).toBe('b2');
    const { plan } = await client.apply({ changes: { putLoadBalancers: [smaller] }, allowRemap: true });
    expect(
      plan?.remapped.map(({ before, after }) => [
        before?.rule,
        before?.member,
        before?.frontendPort,
        after?.frontendPort,
      ]),
    ).toEqual([
      ['over-tcp', 'b3', 502, 500],
      ['over-udp', 'b3', 502, 500],
    ]);
    const asked = await traffic.ask([500, 501].map((port) => ({ scheme: 'http', address: front[4], port })));
    expect(machines(asked)).toEqual(['b3', 'b2']);
    expect(new Set(await flows.settled('staying'))).toEqual(new Set(['b2']));
  });

  it('grows in place, and every flow goes on', async () => {
    await using flows = await Flows.start(lab);
    await flows.send('sender', front[4], 502);
    expect(await flows.firstAnswer('sender')).toBe('b3');
    await put(client, declaration(4, { machines: 1000 }));
    await put(client, declaration(4, { start: 400, machines: 1100 }));
    expect(await tcpPorts()).toEqual(['b1:500', 'b2:501', 'b3:502']);
    expect(new Set(await flows.settled('sender'))).toEqual(new Set(['b3']));
  });

  it('gives a machine that comes back the port that it had', async () => {
    await removeMembers('b1', 'b2');
    expect(await tcpPorts()).toEqual(['b3:502']);
    await putMembers(...members([2]));
    expect(await tcpPorts()).toEqual(['b2:501', 'b3:502']);
    await putMembers(...members([4]));
    expect(await tcpPorts()).toEqual(['b4:500', 'b2:501', 'b3:502']);
    await putMembers(...members([1]));
    expect(await tcpPorts()).toEqual(['b4:500', 'b2:501', 'b3:502', 'b1:503']);
  });

  it('does not care in which order its machines are named', async () => {
    const reordered = { ...declaration(4), backendPools: [{ name: 'vms', members: members([3, 1, 5, 2]) }] };
    await put(client, reordered);
    expect(await tcpPorts()).toEqual(['b1:500', 'b2:501', 'b3:502', 'b5:503']);
  });
});
