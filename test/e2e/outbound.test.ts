// Item 7 of what rules mean: machines reach out from a frontend's address, each from ports of its own.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Answer, GatewayClient, Message } from '../../src/wire/client.ts';
import { penstock } from '../lab/agent.ts';
import type { Lab } from '../lab/lab.ts';
import { client as clientNode } from '../lab/topology.ts';
import { slowness } from '../slowness.ts';
import { all, type Family, front, members, otherFront, tcp, webAndDns } from './support/declare.ts';
import { Flows } from './support/flows.ts';
import { connect, failureOf, listFlows, listOutbound, put } from './support/gateway.ts';
import { dataplane, upLab } from './support/lab.ts';
import { start } from './support/python.ts';

const ports = [7_000, 7_001, 7_002];
let lab: Lab;
let client: GatewayClient;

beforeAll(async () => {
  lab = await upLab({ name: `e2e-outbound-${process.pid}`, backends: 3, agent: true });
  client = connect(lab);
  await start(lab, 'client', 'witness.py', ...ports);
});

afterAll(async () => {
  client?.close();
  await lab?.down();
});

function declaration(
  family: Family,
  rule: Message<'OutboundRule'> = {},
  over: Message<'LoadBalancer'> = {},
): Message<'LoadBalancer'> {
  return {
    name: 'web',
    frontends: [
      { name: 'front', address: front[family] },
      { name: 'other', address: otherFront[family] },
    ],
    backendPools: [{ name: 'vms', members: members([1, 2], family) }],
    loadBalancingRules: [...webAndDns],
    outboundRules: [
      { name: 'out', frontends: ['front'], protocol: all, backendPool: 'vms', portsPerMember: 8, ...rule },
    ],
    ...over,
  };
}

/** `203.0.113.10:65528` → its parts. */
function sideOf(text: string): { readonly address: string; readonly port: number } {
  const colon = text.lastIndexOf(':');
  return { address: text.slice(0, colon).replace(/[[\]]/g, ''), port: Number(text.slice(colon + 1)) };
}

const blocks = async () =>
  (await listOutbound(client)).map(
    ({ member, frontendAddress, firstPort, lastPort }) =>
      `${member} ${frontendAddress} ${firstPort}-${lastPort}`,
  );

/** The block of a machine. */
async function blockOf(member: string): Promise<Answer<'OutboundPorts'>> {
  const [found] = await listOutbound(client, { member });
  if (found === undefined) throw new Error(`${member} has no ports`);
  return found;
}

/** Whether what the witness saw is of this block. */
function isOf(block: Answer<'OutboundPorts'>, text: string): boolean {
  const { address, port } = sideOf(text);
  return address === block.frontendAddress && block.firstPort <= port && port <= block.lastPort;
}

/** Levels of a member as `Watch` tells them, until it has told so many. */
async function levels(member: string, count: number, act: () => Promise<void>): Promise<readonly number[]> {
  const found: number[] = [];
  const done = new AbortController();
  const timer = setTimeout(() => done.abort(), 20_000 * slowness);
  try {
    let acting: Promise<void> | undefined;
    for await (const { outboundPorts } of client.watch({ loadBalancer: 'web' }, { signal: done.signal })) {
      acting ??= act();
      if (outboundPorts?.member === member) found.push(outboundPorts.level);
      if (found.length === count) break;
    }
    await acting;
  } catch (error) {
    if (!done.signal.aborted) throw error;
  } finally {
    clearTimeout(timer);
  }
  return found;
}

describe.each([4, 6] as const)('IPv%i', (family) => {
  const witness = family === 4 ? clientNode.address : clientNode.address6;

  beforeEach(async () => {
    await client.replaceAll([{ commit: {} }]);
  });

  it('7: each machine reaches out from its own ports of the frontend, by TCP and UDP', async () => {
    await put(client, declaration(family));
    await using inbound = await Flows.start(lab);
    await inbound.open('in', front[family], 80);
    const machine = await inbound.ask('in');
    for (const node of ['b1', 'b2'] as const) {
      const block = await blockOf(node);
      await using flows = await Flows.start(lab, node);
      await flows.open('tcp', witness, 7_000);
      await flows.send('udp', witness, 7_001);
      const seen = [await flows.ask('tcp'), (await flows.firstAnswer('udp')) ?? ''];
      expect(seen.map((text) => isOf(block, text))).toEqual([true, true]);
      const listed = await listFlows(client, { rule: 'out', member: node });
      expect(
        listed.map(({ direction, protocol, peerPort }) => [direction, protocol, peerPort]).toSorted(),
      ).toEqual([
        [2, 1, 7_000],
        [2, 2, 7_001],
      ]);
      expect(listed[0]).toMatchObject({
        frontendAddress: front[family],
        peerAddress: witness,
        keptBy: 'conntrack',
      });
      expect(await blockOf(node)).toMatchObject({ flows: 2, used: 1, level: 1 });
    }
    // One that no rule names comes as it is.
    await using others = await Flows.start(lab, 'b3');
    await others.open('tcp', witness, 7_000);
    expect(sideOf(await others.ask('tcp')).address).toBe(members([3], family)[0]?.address);
    expect(await inbound.ask('in')).toBe(machine);
  });

  it('7: several frontends, without ports that inbound rules use, by the table of defaults', async () => {
    await put(
      client,
      declaration(
        family,
        { frontends: ['front', 'other'], portsPerMember: 32_000 },
        {
          backendPools: [{ name: 'vms', members: members([1, 2, 3], family) }],
          loadBalancingRules: [
            {
              name: 'high',
              frontend: 'front',
              protocol: tcp,
              frontendPort: 65_535 - 1,
              backendPort: 80,
              backendPool: 'vms',
            },
          ],
        },
      ),
    );
    // An eight of the first address is a rule's, so that there is room for one there, and two on the other.
    expect(await blocks()).toEqual([
      `b1 ${front[family]} 33528-65527`,
      `b2 ${otherFront[family]} 33536-65535`,
      `b3 ${otherFront[family]} 1536-33535`,
    ]);
    for (const node of ['b1', 'b3'] as const) {
      await using flows = await Flows.start(lab, node);
      await flows.open('tcp', witness, 7_000);
      expect(isOf(await blockOf(node), await flows.ask('tcp'))).toBe(true);
    }
    await client.replaceAll([{ commit: {} }]);
    await put(client, declaration(family, { portsPerMember: 0 }));
    expect((await listOutbound(client)).map(({ firstPort, lastPort }) => lastPort - firstPort + 1)).toEqual([
      1_024, 1_024,
    ]);
  });

  it('7: running out is told at 75 % and when all are in use; other destinations have all ports anew', async () => {
    await put(client, declaration(family));
    await using flows = await Flows.start(lab, 'b1');
    const open = async (from: number, to: number, port: number): Promise<void> => {
      for (let count = from; count < to; count += 1) await flows.open(`${port}-${count}`, witness, port);
    };
    await open(0, 5, 7_000);
    expect(await blockOf('b1')).toMatchObject({ used: 5, flows: 5, level: 1 });
    expect(await levels('b1', 1, () => open(5, 6, 7_000))).toEqual([2]);
    expect(await levels('b1', 1, () => open(6, 8, 7_000))).toEqual([3]);
    const host = family === 4 ? witness : `[${witness}]`;
    expect(await blockOf('b1')).toMatchObject({ used: 8, level: 3, busiest: `${host}:7000/tcp` });
    await expect(flows.open('ninth', witness, 7_000)).rejects.toThrow(/timeout|ETIMEDOUT/);
    await open(0, 8, 7_001);
    const seen = new Set<number>();
    for (let count = 0; count < 8; count += 1) seen.add(sideOf(await flows.ask(`7001-${count}`)).port);
    expect(seen.size).toBe(8);
    const { warnings } = await client.getStatus();
    expect(warnings.map(({ code }) => code)).toContain('OUTBOUND_PORTS_EXHAUSTED');
    await using spared = await Flows.start(lab, 'b2');
    await spared.open('tcp', witness, 7_000);
    expect(isOf(await blockOf('b2'), await spared.ask('tcp'))).toBe(true);
  });

  it('7: ports stay while the pool grows and shrinks and the agent is killed; flows never notice', async () => {
    await put(client, declaration(family));
    const before = await blocks();
    await using flows = await Flows.start(lab, 'b1');
    await flows.open('tcp', witness, 7_000);
    await flows.send('udp', witness, 7_001);
    const [seen, sent] = [await flows.ask('tcp'), await flows.firstAnswer('udp')];

    await client.apply({
      changes: { putMembers: [{ loadBalancer: 'web', backendPool: 'vms', members: members([3], family) }] },
    });
    expect((await blocks()).slice(0, 2)).toEqual(before);
    await lab.killAgent();
    await lab.startAgent();
    client.close();
    client = connect(lab);
    expect((await blocks()).slice(0, 2)).toEqual(before);
    await client.apply({
      changes: { deleteMembers: [{ loadBalancer: 'web', backendPool: 'vms', ids: ['b2'] }] },
    });
    expect((await blocks())[0]).toBe(before[0]);

    expect(await flows.ask('tcp')).toBe(seen);
    expect(new Set(await flows.settled('udp'))).toEqual(new Set([sent]));
    await flows.open('more', witness, 7_002);
    expect(isOf(await blockOf('b1'), await flows.ask('more'))).toBe(true);
  });

  it('7 and 10: a machine or rule that goes takes its outbound flows along at once, and only those', async () => {
    await put(client, declaration(family));
    await using leaving = await Flows.start(lab, 'b1');
    await using staying = await Flows.start(lab, 'b2');
    for (const flows of [leaving, staying]) {
      await flows.open('tcp', witness, 7_000);
      await flows.send('udp', witness, 7_001);
      expect(sideOf(await flows.ask('tcp')).address).toBe(front[family]);
      expect(sideOf((await flows.firstAnswer('udp')) ?? '').address).toBe(front[family]);
    }
    const seen = await staying.ask('tcp');

    await client.apply({
      changes: { deleteMembers: [{ loadBalancer: 'web', backendPool: 'vms', ids: ['b1'] }] },
    });

    const address = members([1], family)[0]?.address ?? '';
    expect(await listFlows(client, { memberAddress: address })).toEqual([]);
    const gone = await leaving.sent('udp');
    expect(['silence', 'closed']).toContain(await leaving.ask('tcp', 400));
    // What it sends from now on has its own address again.
    const answers = await leaving.settled('udp', gone);
    expect(
      new Set(answers.filter((text) => text !== null).map((text) => sideOf(text).address)),
    ).not.toContain(front[family]);
    expect(await staying.ask('tcp')).toBe(seen);

    await put(
      client,
      declaration(
        family,
        {},
        { outboundRules: [], backendPools: [{ name: 'vms', members: members([2], family) }] },
      ),
    );

    expect(await listFlows(client, {})).toEqual([]);
    expect(['silence', 'closed']).toContain(await staying.ask('tcp', 400));
    expect(await listOutbound(client)).toEqual([]);
  });

  it('7: a rule that comes gets flows which went nowhere without it', async () => {
    await put(client, declaration(family, {}, { outboundRules: [] }));
    await lab.exec('client', ['ip', `-${family}`, 'route', 'replace', 'unreachable', 'default']);
    try {
      await using flows = await Flows.start(lab, 'b1');
      await flows.send('udp', witness, 7_001);
      expect(new Set(await flows.settled('udp'))).toEqual(new Set([null]));
      await put(client, declaration(family));
      await expect
        .poll(async () => sideOf((await flows.answers('udp')).at(-5) ?? '').address)
        .toBe(front[family]);
    } finally {
      const gateway = family === 4 ? '198.51.100.1' : '2001:db8:c::1';
      await lab.exec('client', ['ip', `-${family}`, 'route', 'replace', 'default', 'via', gateway]);
      if (family === 6)
        await lab.exec('client', ['ip', '-6', 'route', 'del', 'unreachable', 'default'], { reject: false });
    }
  });
});

it('7: refused with the figures, the field and the reason; nothing of it applies', async () => {
  await client.replaceAll([{ commit: {} }]);
  await put(client, declaration(4));
  const before = await blocks();
  const failure = await failureOf(put(client, declaration(4, { portsPerMember: 40_000 })));
  expect(failure.reason).toBe('OUTBOUND_PORTS_EXHAUSTED');
  expect(failure.violations).toMatchObject([{ field: 'put_load_balancers[0].outbound_rules[0]' }]);
  expect(failure.message).toMatch(/80,000 ports \(2 members × 40,000\).*room for 1 members?.*64,000/);
  expect(await blocks()).toEqual(before);
});

it('7: a file declares them, `get outbound` and `get flows` show them, `status` says who does it', async () => {
  await client.replaceAll([{ commit: {} }]);
  const file = join(lab.directory, 'outbound.yaml');
  await writeFile(
    file,
    `name: shop
frontends:
  - { name: public, address: ${front[4]} }
backendPools:
  - { name: vms, members: [{ id: b1, address: 10.0.0.4 }, { id: b2, address: 10.0.0.5 }] }
outboundRules:
  - { name: out, frontends: [public], protocol: ALL, backendPool: vms, portsPerMember: 64 }
`,
  );
  const run = async (...args: readonly string[]) =>
    await lab.exec('gateway', [penstock, ...args], { env: { PENSTOCK_ADDRESS: lab.address } });
  expect((await run('apply', '-f', file)).stdout).toMatch(
    /outbound ports of 2 members new, 0 released, 0 changed/,
  );
  expect((await run('diff', '-f', file)).exitCode).toBe(0);
  await using flows = await Flows.start(lab, 'b1');
  await flows.open('tcp', clientNode.address, 7_000);
  const { stdout } = await run('get', 'outbound');
  expect(stdout).toMatch(
    /shop +out +b1 +10\.0\.0\.4 +203\.0\.113\.10:65472-65535\/all +1 +1 of 64 +normal +198\.51\.100\.10:7000\/tcp/,
  );
  expect((await run('get', 'flows', '--lb', 'shop')).stdout).toMatch(
    /shop +out +OUT +198\.51\.100\.10:7000 /,
  );
  const { stdout: status } = await run('status');
  expect(status).toMatch(/1 outbound/);
  expect(/XDP hands connections that machines begin/.test(status)).toBe(dataplane === 'xdp');
  expect((await run('get', 'load-balancers', 'shop')).stdout).toMatch(
    /out +203\.0\.113\.10 +pool vms, all +64/,
  );
});
