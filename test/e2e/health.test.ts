// Health probes: who gets new flows, which flows go on, what is told, and what a restart makes of it.
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Answer, GatewayClient, Message } from '../../src/wire/client.ts';
import type { Lab } from '../lab/lab.ts';
import type { Traffic } from '../lab/traffic/traffic.ts';
import { adminState, type Family, front, members, tcp, webAndDns } from './support/declare.ts';
import { Flows, reachAll } from './support/flows.ts';
import { connect, listLoadBalancers, put, revisionOf } from './support/gateway.ts';
import {
  listHealth,
  probe,
  probeProtocol,
  sickServer,
  untilEligible,
  untilHealth,
  words,
} from './support/health.ts';
import { dataplane, upLab } from './support/lab.ts';
import { machines } from './support/outcomes.ts';

let lab: Lab;
let client: GatewayClient;
let traffic: Traffic;

const rules = (over: Message<'LoadBalancingRule'>): Message<'LoadBalancingRule'>[] =>
  webAndDns.map((rule) => ({ ...rule, probe: 'health', ...over }));

function declaration(family: Family, over: Message<'LoadBalancer'> = {}): Message<'LoadBalancer'> {
  return {
    name: 'web',
    frontends: [{ name: 'front', address: front[family] }],
    backendPools: [{ name: 'vms', members: members([1, 2, 3], family) }],
    probes: [probe('health')],
    loadBalancingRules: rules({}),
    ...over,
  };
}

const web = { loadBalancer: 'web', rule: 'web' };
const nodes = ['b1', 'b2', 'b3'] as const;

beforeAll(async () => {
  lab = await upLab({ name: `e2e-health-${process.pid}`, backends: 3, agent: true });
  client = connect(lab);
  traffic = await lab.traffic();
});

afterAll(async () => {
  await traffic?.stop();
  client?.close();
  await lab?.down();
});

beforeEach(async () => {
  for (const node of nodes) await lab.setHealth(node, 200);
  await client.apply({
    changes: { deleteLoadBalancers: (await listLoadBalancers(client)).map(({ name }) => name) },
  });
});

async function newFlows(
  address: string,
  scheme: 'http' | 'udp' = 'http',
  count = 40,
): Promise<ReadonlySet<string>> {
  const request = { scheme, address, port: scheme === 'http' ? 80 : 53, timeout: 1_500 } as const;
  return new Set(machines(await traffic.ask(Array.from({ length: count }, () => request))));
}

describe.each([4, 6] as const)('IPv%i', (family) => {
  const here = front[family];

  it.each([
    ['TCP', { protocol: probeProtocol.tcp, path: '', port: 8080 }],
    ['HTTP', {}],
    ['HTTPS', { protocol: probeProtocol.https, port: 443 }],
  ] as const)('1: %s probes: members get flows once they have answered', async (_name, over) => {
    await put(client, declaration(family, { probes: [probe('health', over)] }));
    const found = await untilEligible(client, web, 'b1', 'b2', 'b3');
    expect(words(found)).toEqual(nodes.map((node) => `${node} Up_Probe_Success`));
    expect(await newFlows(here)).toEqual(new Set(nodes));
  });

  it('2: one member down: TCP goes on, UDP moves at once, new flows go elsewhere; back when it is well', async () => {
    await put(client, declaration(family, { probes: [probe('health', { threshold: 2 })] }));
    await untilEligible(client, web, 'b1', 'b2', 'b3');
    await using flows = await Flows.start(lab);
    const { connection, sender } = await reachAll(flows, here);

    await lab.setHealth('b2', 503);
    const [, down] = await untilEligible(client, web, 'b1', 'b3');

    expect(down).toMatchObject({ reason: 'Down_Probe_HttpStatusCodeError', detail: 'status 503' });
    const after = await flows.sent(sender('b2'));
    const others = await flows.sent(sender('b1'));
    expect(await flows.ask(connection('b2'))).toBe('b2');
    expect(await flows.ask(connection('b1'))).toBe('b1');
    expect(await newFlows(here)).toEqual(new Set(['b1', 'b3']));
    expect(await newFlows(here, 'udp')).toEqual(new Set(['b1', 'b3']));
    const moved = await flows.settled(sender('b2'), after);
    expect(moved).not.toContain('b2');
    expect(moved).not.toContain(null);
    expect(new Set(await flows.settled(sender('b1'), others))).toEqual(new Set(['b1']));

    await lab.setHealth('b2', 200);
    await untilEligible(client, web, 'b1', 'b2', 'b3');
    expect(await newFlows(here)).toEqual(new Set(nodes));
  });

  it('2: all down: no new flows, established TCP goes on, UDP ends', async () => {
    await put(client, declaration(family));
    await untilEligible(client, web, 'b1', 'b2', 'b3');
    await using flows = await Flows.start(lab);
    const { connection, sender } = await reachAll(flows, here);

    for (const node of nodes) await lab.setHealth(node, 500);
    await untilEligible(client, web);

    const after = await flows.sent(sender('b3'));
    expect(await newFlows(here, 'http', 4)).toEqual(new Set(['lost (timeout)']));
    expect(await flows.ask(connection('b3'))).toBe('b3');
    expect(new Set(await flows.settled(sender('b3'), after))).toEqual(new Set([null]));
  });

  it('2: all down in a pool of one: established TCP ends too', async () => {
    await put(
      client,
      declaration(family, { backendPools: [{ name: 'vms', members: members([1], family) }] }),
    );
    await untilEligible(client, web, 'b1');
    await using flows = await Flows.start(lab);
    const { connection } = await reachAll(flows, here, 1);
    await lab.setHealth('b1', 500);
    await untilEligible(client, web);
    expect(await flows.ask(connection('b1'))).not.toBe('b1');
    await lab.setHealth('b1', 200);
    await untilEligible(client, web, 'b1');
    expect(await newFlows(here)).toEqual(new Set(['b1']));
  });

  it('2: ALL_PROBED_UP: all get new flows when none is up, and TCP and UDP go on', async () => {
    await put(client, declaration(family, { loadBalancingRules: rules({ noHealthyBackends: 2 }) }));
    await untilEligible(client, web, 'b1', 'b2', 'b3');
    for (const node of ['b1', 'b2'] as const) await lab.setHealth(node, 500);
    await untilEligible(client, web, 'b3');
    expect(await newFlows(here)).toEqual(new Set(['b3']));
    await using flows = await Flows.start(lab);
    const { connection, sender } = await reachAll(flows, here, 1);
    await lab.setHealth('b3', 500);
    const all = await untilEligible(client, web, 'b1', 'b2', 'b3');
    expect(words(all)).toEqual(nodes.map((node) => `${node} Up_Probe_AllDownIsUp`));
    expect(await newFlows(here)).toEqual(new Set(nodes));
    const after = await flows.sent(sender('b3'));
    expect(await flows.ask(connection('b3'))).toBe('b3');
    expect(new Set(await flows.settled(sender('b3'), after))).toEqual(new Set(['b3']));
  });

  it('2: when_unhealthy REFUSE: no port leads to a machine that is down, and others stay', async () => {
    const nat = (
      name: string,
      start: number,
      over: Message<'InboundNatRule'>,
    ): Message<'InboundNatRule'> => ({
      name,
      frontend: 'front',
      protocol: tcp,
      backendPort: 80,
      pool: { backendPool: 'vms', frontendPortRangeStart: start, maximumMachines: 3 },
      ...over,
    });
    const inboundNatRules = [nat('refusing', 500, { whenUnhealthy: 2 }), nat('forwarding', 600, {})];
    await put(client, declaration(family, { inboundNatRules }));
    await untilEligible(client, web, 'b1', 'b2', 'b3');
    const ask = async (...ports: readonly number[]) =>
      machines(
        await traffic.ask(ports.map((port) => ({ scheme: 'http', address: here, port, timeout: 3_000 }))),
      );
    expect(await ask(500, 501, 502, 601)).toEqual(['b1', 'b2', 'b3', 'b2']);
    await lab.setHealth('b2', 500);
    await untilEligible(client, web, 'b1', 'b3');
    const [first, refused, third, forwarded] = await ask(500, 501, 502, 601);
    expect([first, third, forwarded]).toEqual(['b1', 'b3', 'b2']);
    expect(refused).toMatch(/^lost/);
    await lab.setHealth('b2', 200);
    await untilEligible(client, web, 'b1', 'b2', 'b3');
    expect(await ask(501)).toEqual(['b2']);
  });
});

const here = front[4];

describe('admin states', () => {
  it('2: count more than the probe: UP gets flows although it is down, DOWN gets none although it is up', async () => {
    await put(client, declaration(4));
    await untilEligible(client, web, 'b1', 'b2', 'b3');
    await lab.setHealth('b1', 500);
    await untilEligible(client, web, 'b2', 'b3');
    const [b1, b2] = members([1, 2]);
    const changed = [
      { ...b1, adminState: adminState.up },
      { ...b2, adminState: adminState.down },
    ];
    await client.apply({
      changes: { putMembers: [{ loadBalancer: 'web', backendPool: 'vms', members: changed }] },
    });
    expect(words(await listHealth(client, web))).toEqual([
      'b1 Up_Admin',
      'b2 Down_Admin',
      'b3 Up_Probe_Success',
    ]);
    expect(await newFlows(here)).toEqual(new Set(['b1', 'b3']));
  });
});

describe('rules with several probes', () => {
  it('1: judge the same pool differently, and probe each machine once for all rules that ask the same', async () => {
    const probes = [probe('deep'), probe('shallow', { protocol: probeProtocol.tcp, path: '' })];
    const [http, dns] = webAndDns;
    const loadBalancingRules = [
      { ...http, probe: 'deep' },
      { ...http, name: 'again', frontendPort: 81, probe: 'deep' },
      { ...dns, probe: 'shallow' },
    ];
    await put(client, declaration(4, { probes, loadBalancingRules }));
    await untilEligible(client, web, 'b1', 'b2', 'b3');
    expect((await client.getStatus()).probes).toMatchObject({ targets: 6 });
    await lab.setHealth('b3', 404);
    await untilEligible(client, web, 'b1', 'b2');
    expect(await newFlows(here)).toEqual(new Set(['b1', 'b2']));
    expect(await newFlows(here, 'udp')).toEqual(new Set(nodes));
    await untilEligible(client, { loadBalancer: 'web', rule: 'again' }, 'b1', 'b2');
    expect((await client.getStatus()).probes).toMatchObject({ targets: 6, up: 5, down: 1, unknown: 0 });
  });
});

describe('members', () => {
  it('1: that come get no flows before their first answer, and flows right after it', async () => {
    await put(client, declaration(4, { backendPools: [{ name: 'vms', members: members([1, 2]) }] }));
    await untilEligible(client, web, 'b1', 'b2');
    await lab.stopServers('b3');
    await client.apply({
      changes: { putMembers: [{ loadBalancer: 'web', backendPool: 'vms', members: members([3]) }] },
    });
    const [, , newcomer] = await listHealth(client, web);
    expect(newcomer).toMatchObject({ member: 'b3', eligible: false });
    await untilHealth(client, web, ([, , b3]) => b3?.reason === 'Down_Probe_HttpEndpointUnreachable');
    expect(await newFlows(here)).toEqual(new Set(['b1', 'b2']));
    await lab.startServers('b3');
    await untilEligible(client, web, 'b1', 'b2', 'b3');
    expect(await newFlows(here)).toEqual(new Set(nodes));
  });

  it('1: that get flows keep them when their rule takes a probe or another one, until that has asked', async () => {
    await put(client, declaration(4, { probes: [], loadBalancingRules: rules({ probe: '' }) }));
    await using flows = await Flows.start(lab);
    const { connection, sender } = await reachAll(flows, here);
    for (const path of ['/health', '/other']) {
      const after = await flows.sent(sender('b2'));
      await put(client, declaration(4, { probes: [probe('health', { path })] }));
      expect(await newFlows(here)).toEqual(new Set(nodes));
      await untilHealth(client, web, (all) => all.every(({ reason }) => reason === 'Up_Probe_Success'));
      expect(new Set(await flows.settled(sender('b2'), after))).toEqual(new Set(['b2']));
    }
    expect(await flows.ask(connection('b2'))).toBe('b2');
  });
});

describe('what machines may do to a probe', () => {
  const port = 9_000;
  const limits = { port, interval: { seconds: 1 }, timeout: { nanos: 500_000_000 } };

  it.each([
    ['status 503', 'Down_Probe_HttpStatusCodeError', 'status 503'],
    ['status 301', 'Down_Probe_HttpStatusCodeError', 'status 301'],
    ['silent', 'Down_Probe_HttpEndpointUnreachable', 'no answer within 0.5 s'],
    ['drip', 'Down_Probe_HttpEndpointUnreachable', 'no end of the answer within 0.5 s'],
    ['garbage', 'Down_Probe_HttpEndpointUnreachable', expect.stringContaining('not HTTP')],
    ['hang-up', 'Down_Probe_HttpEndpointUnreachable', expect.stringContaining('connection')],
    ['endless-header', 'Down_Probe_HttpEndpointUnreachable', 'the header of the answer is too long'],
  ])('1: %s: it is down, with the reason; and up again when it is well', async (way, reason, detail) => {
    await using server = await sickServer(lab, 'b1', port, 'well');
    const backendPools = [{ name: 'vms', members: members([1]) }];
    await put(client, declaration(4, { backendPools, probes: [probe('health', limits)] }));
    await untilEligible(client, web, 'b1');
    await server.become(way);
    const [sick] = await untilHealth(client, web, ([one]) => one?.eligible === false);
    expect(sick).toMatchObject({ reason, detail });
    await server.become('well');
    await untilEligible(client, web, 'b1');
  });

  it('1: endless answers: a body is read up to a bound and a 200 counts; the agent stays as small as it was', async () => {
    await using server = await sickServer(lab, 'b1', port, 'endless-body');
    const backendPools = [{ name: 'vms', members: members([1]) }];
    const probes = [probe('health', { ...limits, timeout: { seconds: 1 } })];
    await put(client, declaration(4, { backendPools, probes }));
    await untilEligible(client, web, 'b1');
    const before = await residentMemory();
    for (const way of ['endless-body', 'endless-header', 'drip', 'garbage']) {
      await server.become(way);
      await sleep(3_000);
    }
    expect((await residentMemory()) - before).toBeLessThan(100 * 2 ** 20);
    expect((await client.getStatus()).warnings.map(({ code }) => code)).not.toContain('CHECK_FAILED');
  });

  it('1: a machine that is gone: no connection in time', async () => {
    const gone = await lab.addBackend();
    const backendPools = [
      { name: 'vms', members: [{ id: gone.node, address: gone.address }, ...members([1])] },
    ];
    const probes = [probe('health', { ...limits, port: 80 })];
    await put(client, declaration(4, { backendPools, probes }));
    await untilEligible(client, web, gone.node, 'b1');
    await lab.removeBackend(gone.node);
    const [lost] = await untilEligible(client, web, 'b1');
    expect(lost?.reason).toBe('Down_Probe_HttpEndpointUnreachable');
    expect(await newFlows(here)).toEqual(new Set(['b1']));
  });

  it('1: a certificate that nobody vouches for fails a probe that verifies, and no other', async () => {
    const https = { protocol: probeProtocol.https, port: 443 };
    await put(client, declaration(4, { probes: [probe('health', { ...https, verifyCertificate: true })] }));
    const found = await untilHealth(client, web, (all) =>
      all.every(({ reason }) => reason === 'Down_Probe_HttpEndpointUnreachable'),
    );
    for (const { detail } of found) expect(detail).toContain('certificate');
    await put(client, declaration(4, { probes: [probe('health', https)] }));
    await untilEligible(client, web, 'b1', 'b2', 'b3');
  });

  it('2: flapping: it is kept down until it has been well for a while, and that shows', async () => {
    await put(client, declaration(4));
    await untilEligible(client, web, 'b1', 'b2', 'b3');
    for (let flaps = 0; flaps < 3; flaps += 1) {
      await lab.setHealth('b2', 500);
      await untilEligible(client, web, 'b1', 'b3');
      await lab.setHealth('b2', 200);
      if (flaps < 2) await untilEligible(client, web, 'b1', 'b2', 'b3');
    }
    const [, flapping] = await untilHealth(
      client,
      web,
      ([, b2]) => b2?.reason === 'Down_Probe_ApproachingHealthyThreshold',
    );
    expect(flapping).toMatchObject({ eligible: false, flapping: true });
    expect((await client.getStatus()).probes).toMatchObject({ flapping: 1 });
    await untilEligible(client, web, 'b1', 'b2', 'b3');
  });
});

describe('the agent', () => {
  it('2: keeps what it knew over a restart and over a kill: nobody gets or loses flows by it', async () => {
    await put(client, declaration(4));
    await untilEligible(client, web, 'b1', 'b2', 'b3');
    await lab.setHealth('b2', 500);
    await untilEligible(client, web, 'b1', 'b3');
    const revision = await revisionOf(client);
    await using flows = await Flows.start(lab);
    const { connection, sender } = await reachAll(flows, here, 2);
    for (const end of ['stopAgent', 'killAgent'] as const) {
      const after = await flows.sent(sender('b1'));
      await lab[end]();
      expect(await newFlows(here)).toEqual(new Set(['b1', 'b3']));
      await lab.startAgent();
      expect((await listHealth(client, web)).map(({ member, eligible }) => `${member} ${eligible}`)).toEqual([
        'b1 true',
        'b2 false',
        'b3 true',
      ]);
      expect(await newFlows(here)).toEqual(new Set(['b1', 'b3']));
      expect(await flows.ask(connection('b1'))).toBe('b1');
      expect(new Set(await flows.settled(sender('b1'), after))).toEqual(new Set(['b1']));
    }
    expect(await revisionOf(client)).toBe(revision);
    const log = await readFile(lab.agentLog, 'utf8');
    expect(log.split('the kernel runs the stored revision; nothing to do').length - 1).toBe(2);
    await lab.setHealth('b2', 200);
    await untilEligible(client, web, 'b1', 'b2', 'b3');
  });

  it('1: tells in Watch, on the command line and in status; and makes no revision of it', async () => {
    await put(client, declaration(4));
    await untilEligible(client, web, 'b1', 'b2', 'b3');
    const revision = await revisionOf(client);
    const watching = new AbortController();
    const seen: Answer<'Event'>[] = [];
    const end = (async () => {
      for await (const event of client.watch({}, { signal: watching.signal })) seen.push(event);
    })().catch(() => {});
    while (seen.length === 0) await sleep(10);
    await lab.setHealth('b3', 503);
    await untilEligible(client, web, 'b1', 'b2');
    while (seen.filter(({ health }) => health).length < 2) await sleep(10);
    watching.abort();
    await end;
    const told = seen.flatMap(({ health }) => (health ? [health] : []));
    expect(told.map(({ rule, member, eligible, reason }) => [rule, member, eligible, reason])).toEqual([
      ['web', 'b3', false, 'Down_Probe_HttpStatusCodeError'],
      ['dns', 'b3', false, 'Down_Probe_HttpStatusCodeError'],
    ]);
    expect(await revisionOf(client)).toBe(revision);

    const { stdout: table } = await lab.penstock(['get', 'health', '--lb', 'web', '--rule', 'web']);
    expect(table).toMatch(/web +web +b3 +no +Down_Probe_HttpStatusCodeError +\d+s +status 503/);
    const { stdout: json } = await lab.penstock(['get', 'health', '-o', 'json']);
    const { members: listed }: { members: readonly Message<'MemberHealth'>[] } = JSON.parse(json);
    expect(listed).toHaveLength(6);
    expect(listed[2]).toMatchObject({ member: 'b3', reason: 'Down_Probe_HttpStatusCodeError' });
    const { stdout: status } = await lab.penstock(['status']);
    expect(status).toMatch(/probes +3 targets: 2 up, 1 down/);
    const { stdout: yaml } = await lab.penstock(['get', 'lb', 'web', '-o', 'yaml']);
    expect(yaml).toContain('interval: 1s');
    const again = await lab.penstock(['diff', '-f', '-'], { input: yaml });
    expect(again.exitCode).toBe(0);
  });
});

/** Bytes that the agent's process holds. */
async function residentMemory(): Promise<number> {
  const { stdout } = await lab.exec('gateway', [
    'sh',
    '-c',
    `cat /proc/$(pgrep -f -- '--state-directory ${lab.stateDirectory}' | head -1)/status`,
  ]);
  return Number(/VmRSS:\s+(?<kib>\d+)/.exec(stdout)?.groups?.kib) * 1_024;
}

it(`runs on ${dataplane}`, async () => {
  expect((await client.getStatus()).dataPlane).toBe(dataplane);
});
