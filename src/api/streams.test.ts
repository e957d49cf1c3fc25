// Long answers and long requests: chunks, one revision, cancellation, limits.
import { setTimeout } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { IpAddress } from '../resources/address.ts';
import type { CallFailed } from '../wire/errors.ts';
import { sample, serve } from './testing/serve.ts';

async function all<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of stream) items.push(item);
  return items;
}

async function failureOf(promise: Promise<unknown>): Promise<CallFailed> {
  return await promise.then(
    () => Promise.reject(new Error('succeeded')),
    (error: CallFailed) => error,
  );
}

test('mappings come in chunks of one revision, ranges in the first, counters unless left out', async () => {
  await using served = await serve();
  await served.client.apply({ changes: { putLoadBalancers: [sample('shop', 5_000)] } });
  const chunks = await all(served.client.listPortMappings());
  expect(chunks.map((chunk) => [chunk.revision, chunk.mappings?.length, chunk.ranges?.length])).toEqual([
    [1, 2_000, 1],
    [1, 2_000, 0],
    [1, 1_000, 0],
  ]);
  expect(chunks[0]?.ranges?.[0]).toMatchObject({
    used: 5_000,
    capacity: 10_000,
    free: 5_000,
    nextPort: 6_000,
  });
  expect(chunks[0]?.mappings?.[7]?.counters).toMatchObject({ packets: 1_007, bytes: 2, flows: 1 });
  const [bare] = await all(served.client.listPortMappings({ skipCounters: true, member: 'vm-7' }));
  expect(bare?.mappings).toMatchObject([{ member: 'vm-7', frontendPort: 1_007, backendAddress: '10.0.0.7' }]);
  expect(bare?.mappings?.[0]?.counters ?? undefined).toBeUndefined();
});

test('an empty answer still tells the revision', async () => {
  await using served = await serve();
  expect(await all(served.client.listPortMappings())).toMatchObject([{ revision: 0 }]);
  expect(await all(served.client.listLoadBalancers())).toMatchObject([{ revision: 0 }]);
});

test('filters that cannot be meant are refused, each named', async () => {
  await using served = await serve();
  const request = { memberAddress: '10.0.0', frontendAddress: 'fe80::1%eth0', frontendPort: 65_536 };
  expect(await failureOf(all(served.client.listPortMappings(request)))).toMatchObject({
    codeName: 'INVALID_ARGUMENT',
    violations: [
      { field: 'frontend_port', reason: 'VALUE_OUT_OF_RANGE' },
      { field: 'member_address', reason: 'ADDRESS_INVALID' },
      { field: 'frontend_address', reason: 'ADDRESS_INVALID' },
    ],
  });
});

test('a large load balancer comes in parts that ReplaceAll joins again', async () => {
  await using served = await serve();
  const large = {
    ...sample('large', 4_500),
    loadBalancingRules: [{ name: 'web', frontend: 'fe', backendPool: 'vms' }],
  };
  await served.client.apply({ changes: { putLoadBalancers: [large, sample('small', 1)] } });
  const chunks = await all(served.client.listLoadBalancers({ withCounters: true }));
  expect(chunks.length).toBe(5);
  expect(new Set(chunks.map(({ revision }) => revision))).toEqual(new Set([1]));
  expect(chunks.flatMap(({ ruleCounters }) => ruleCounters ?? [])).toMatchObject([
    { loadBalancer: 'large', rule: 'web', counters: { packets: 3 } },
  ]);
  const members = chunks.flatMap(({ memberCounters }) => memberCounters ?? []);
  expect(members.length).toBe(4_500);
  expect(members[7]).toMatchObject({
    loadBalancer: 'large',
    backendPool: 'vms',
    member: 'vm-7',
    backendAddress: '10.0.0.7',
    counters: { packets: 4 },
  });
  const answer = await served.client.replaceAll([
    ...chunks.map(({ loadBalancers }) => ({ loadBalancers: loadBalancers ?? [] })),
    { commit: {} },
  ]);
  expect(answer.plan).toMatchObject({ assignedTotal: 0, releasedTotal: 0 });
  expect(answer.revision).toBe(2);
  const [joined] = served.gateway.replaced.at(-1) ?? [];
  expect(joined).toMatchObject({ name: 'large', backendPools: [{ name: 'vms' }] });
  expect(joined?.backendPools?.[0]?.members?.length).toBe(4_500);
});

test('one load balancer by name, or NOT_FOUND', async () => {
  await using served = await serve();
  await served.client.apply({ changes: { putLoadBalancers: [sample('a', 1), sample('b', 1)] } });
  const [chunk] = await all(served.client.listLoadBalancers({ name: 'b' }));
  expect(chunk?.loadBalancers).toMatchObject([
    { name: 'b', inboundNatRules: [{ name: 'ssh', protocol: 1 }] },
  ]);
  const failed = await failureOf(all(served.client.listLoadBalancers({ name: 'c' })));
  expect(failed).toMatchObject({
    codeName: 'NOT_FOUND',
    reason: 'NOT_FOUND',
    violations: [{ field: 'name' }],
  });
});

test('ReplaceAll without a commit, or with something after it, changes nothing', async () => {
  await using served = await serve();
  const chunk = { loadBalancers: [sample('a', 1)] };
  const failures = [
    await failureOf(served.client.replaceAll([chunk])),
    await failureOf(served.client.replaceAll([])),
    await failureOf(served.client.replaceAll([{ ...chunk, commit: {} }, chunk])),
  ];
  for (const failed of failures)
    expect(failed).toMatchObject({ codeName: 'INVALID_ARGUMENT', reason: 'REQUEST_INVALID' });
  expect(served.gateway.replaced).toEqual([]);
});

test('ReplaceAll that breaks off, on either side, changes nothing', async () => {
  await using served = await serve();
  const source = async function* () {
    yield { loadBalancers: [sample('a', 1)] };
    throw new Error('the file ended early');
  };
  await expect(served.client.replaceAll(source())).rejects.toThrow('the file ended early');
  const controller = new AbortController();
  const endless = async function* () {
    for (;;) {
      yield { loadBalancers: [sample('a', 1)] };
      await setTimeout(5);
    }
  };
  const cancelled = failureOf(served.client.replaceAll(endless(), { signal: controller.signal }));
  await setTimeout(50);
  controller.abort();
  expect((await cancelled).codeName).toBe('CANCELLED');
  expect(served.gateway.replaced).toEqual([]);
});

test('ReplaceAll is bounded, and what a stream held is free again when it ends', async () => {
  await using served = await serve({ replaceAllLimits: { bytes: 1_000_000, items: 1_000, quiet: 60_000 } });
  const endless = function* () {
    for (let index = 0; ; index += 1) yield { loadBalancers: [sample(`lb-${index}`, 100)] };
  };
  expect(await failureOf(served.client.replaceAll(endless()))).toMatchObject({
    codeName: 'RESOURCE_EXHAUSTED',
    reason: 'LIMIT_EXCEEDED',
  });
  expect(served.gateway.replaced).toEqual([]);
  expect((await served.client.replaceAll([{ loadBalancers: [sample('a', 900)], commit: {} }])).revision).toBe(
    1,
  );
});

test('ReplaceAll gives up on a stream that goes quiet', async () => {
  await using served = await serve({ replaceAllLimits: { bytes: 1_000_000, items: 1_000, quiet: 50 } });
  const quiet = async function* () {
    yield { loadBalancers: [sample('a', 1)] };
    await setTimeout(300);
    yield { commit: {} };
  };
  const failed = await failureOf(served.client.replaceAll(quiet()));
  expect(failed).toMatchObject({ codeName: 'DEADLINE_EXCEEDED', reason: 'STREAM_QUIET' });
  expect(served.gateway.replaced).toEqual([]);
});

test('what stands twice in one chunk is not joined', async () => {
  await using served = await serve();
  await served.client.replaceAll([
    { loadBalancers: [sample('a', 1), sample('a', 1)], commit: { validateOnly: true } },
  ]);
  expect(served.gateway.replaced.at(-1)?.map(({ name }) => name)).toEqual(['a', 'a']);
});

test('Watch begins with all mappings and goes on with what changes', async () => {
  await using served = await serve();
  await served.client.apply({ changes: { putLoadBalancers: [sample('shop', 2_500), sample('other', 1)] } });
  const events = served.client.watch({ loadBalancer: 'shop' })[Symbol.asyncIterator]();
  const snapshot = [(await events.next()).value, (await events.next()).value];
  expect(
    snapshot.map((event) => [
      event?.revision,
      event?.applied?.assigned?.length,
      event?.applied?.assignedTotal,
    ]),
  ).toEqual([
    [1, 2_000, 2_500],
    [1, 500, 2_500],
  ]);
  const next = events.next();
  await served.client.apply({ changes: { putLoadBalancers: [sample('other', 2)] } });
  await served.client.apply({ changes: { putLoadBalancers: [sample('shop', 2_501)] } });
  expect((await next).value).toMatchObject({ revision: 3, applied: { assigned: [{ member: 'vm-2500' }] } });
  served.gateway.publish({
    kind: 'warning',
    revision: 3,
    time: 0,
    warning: { code: 'W', message: 'm', remedy: 'r' },
  });
  expect((await events.next()).value?.warning).toMatchObject({ code: 'W', message: 'm', remedy: 'r' });
  await events.return?.();
  await expect.poll(() => served.gateway.followers).toBe(0);
});

test('Watch of nothing tells the revision first', async () => {
  await using served = await serve();
  for await (const event of served.client.watch()) {
    expect(event).toMatchObject({ revision: 0, kind: 'applied' });
    break;
  }
  await expect.poll(() => served.gateway.followers).toBe(0);
});

test('a client that stops reading stops the making of chunks, and holds nobody up', async () => {
  await using served = await serve();
  const names = Array.from({ length: 20 }, (_, index) => `lb-${index}`);
  const chunks = names.map((name) => ({ loadBalancers: [sample(name, 10_000)] }));
  await served.client.replaceAll([...chunks, { commit: {} }]);
  const stream = served.client.listPortMappings()[Symbol.asyncIterator]();
  expect((await stream.next()).value?.mappings?.length).toBe(2_000);
  await setTimeout(200);
  expect(await served.client.getStatus({ timeout: 1_000 })).toMatchObject({ portMappings: 200_000 });
  // What the client and both sockets hold, of 100.
  const made = served.gateway.counterReads;
  expect(made).toBeLessThan(60);
  await stream.return?.();
  await setTimeout(100);
  expect(served.gateway.counterReads).toBeLessThanOrEqual(made + 2);
});

const balanced = (name: string, members: number) => ({
  ...sample(name, members),
  loadBalancingRules: [
    { name: 'web', frontend: 'fe', protocol: 1, frontendPort: 80, backendPort: 80, backendPool: 'vms' },
  ],
});

test('health comes in chunks, of those that are asked for; no time where nothing is known', async () => {
  await using served = await serve();
  const putLoadBalancers = [balanced('shop', 4_500), balanced('other', 2)];
  await served.client.apply({ changes: { putLoadBalancers } });
  const chunks = await all(served.client.listMemberHealth());
  expect(chunks.map(({ members }) => members.length)).toEqual([2_000, 2_000, 502]);
  const [one] = await all(served.client.listMemberHealth({ loadBalancer: 'other' }));
  expect(one?.members).toMatchObject([
    { loadBalancer: 'other', rule: 'web', member: 'vm-0', eligible: true, reason: 'Up_Probe_Success' },
    { member: 'vm-1', backendAddress: '10.0.0.1', eligible: false, reason: 'NA' },
  ]);
  expect(one?.members[0]?.since?.seconds).toBeGreaterThan(0);
  expect(one?.members[1]?.since ?? undefined).toBeUndefined();
  expect(await all(served.client.listMemberHealth({ loadBalancer: 'nowhere' }))).toEqual([]);
});

test('flows come in chunks, at most so many as are asked for, and the last says whether there are more', async () => {
  await using served = await serve();
  await served.client.apply({
    changes: { putLoadBalancers: [balanced('shop', 4_500), balanced('other', 2)] },
  });
  const chunks = await all(served.client.listFlows({ limit: 3_000 }));
  expect(chunks.map(({ flows, more }) => [flows.length, more])).toEqual([
    [2_000, false],
    [1_000, false],
    [0, true],
  ]);
  const usual = await all(served.client.listFlows());
  expect(usual.flatMap(({ flows }) => flows)).toHaveLength(1_000);
  const few = await all(served.client.listFlows({ loadBalancer: 'other', rule: 'web', peerAddress: '::1' }));
  expect(few.flatMap(({ flows }) => flows)).toHaveLength(2);
  expect(few.at(-1)?.more).toBe(false);
  expect(few[0]?.flows[0]).toMatchObject({ member: 'vm-0', protocol: 2, direction: 1, state: 2, bytes: 200 });
  expect(served.gateway.flowQueries.at(-1)).toEqual({
    filter: { loadBalancer: 'other', rule: 'web', peerAddress: '::1' },
    most: 1_000,
  });
});

test('a question about flows that cannot be meant is refused, with every field', async () => {
  await using served = await serve();
  const asked = { memberAddress: 'x', frontendAddress: '1.2.3', peerAddress: '::g', frontendPort: 70_000 };
  const failure = await all(served.client.listFlows({ ...asked, limit: 100_001 })).catch((error) => error);
  expect(failure.violations.map(({ field }: { field: string }) => field)).toEqual([
    'frontend_port',
    'limit',
    'member_address',
    'frontend_address',
    'peer_address',
  ]);
});

const outboundMember = {
  loadBalancer: 'shop',
  rule: 'out',
  backendPool: 'vms',
  member: 'vm-0',
  backendAddress: '10.0.0.1' as IpAddress,
  protocol: 'all',
  block: { member: 'vm-0', address: '203.0.113.1' as IpAddress, first: 65_528, last: 65_535, since: 5_000 },
  flows: 9,
  used: 6,
  busiest: '198.51.100.7:443/tcp',
  level: 'low',
} as const;

test('outbound ports come in chunks of one revision, with all that is known of them', async () => {
  await using served = await serve();
  served.gateway.outbound = Array.from({ length: 2_500 }, () => outboundMember);
  const asked = { loadBalancer: 'shop', rule: 'out', member: 'vm-0', memberAddress: '10.0.0.1' };
  const chunks = await all(served.client.listOutboundPorts({ ...asked, frontendAddress: '203.0.113.1' }));
  expect(served.gateway.outboundQueries).toEqual([{ ...asked, frontendAddress: '203.0.113.1' }]);
  expect(chunks.map(({ members }) => members.length)).toEqual([2_000, 500]);
  expect(chunks[0]?.members[0]).toMatchObject({
    member: 'vm-0',
    backendAddress: '10.0.0.1',
    protocol: 3,
    frontendAddress: '203.0.113.1',
    firstPort: 65_528,
    lastPort: 65_535,
    assigned: { seconds: 5 },
    flows: 9,
    used: 6,
    level: 2,
    busiest: '198.51.100.7:443/tcp',
  });
  served.gateway.outbound = [];
  expect(await all(served.client.listOutboundPorts())).toMatchObject([{ revision: 0, members: [] }]);
  const wrong = all(served.client.listOutboundPorts({ memberAddress: 'x', frontendAddress: 'y' }));
  const failure = await wrong.catch((error) => error);
  expect(failure.violations.map(({ field }: { field: string }) => field)).toEqual([
    'member_address',
    'frontend_address',
  ]);
});

test('Watch tells of outbound ports of the load balancer asked for', async () => {
  await using served = await serve();
  const events = served.client.watch({ loadBalancer: 'shop' })[Symbol.asyncIterator]();
  await events.next();
  const next = events.next();
  await expect.poll(() => served.gateway.followers).toBe(1);
  const event = { kind: 'outbound', revision: 3, time: 7_000 } as const;
  served.gateway.publish({ ...event, member: { ...outboundMember, loadBalancer: 'other' } });
  served.gateway.publish({ ...event, member: outboundMember });
  expect((await next).value).toMatchObject({
    revision: 3,
    outboundPorts: { loadBalancer: 'shop', member: 'vm-0', level: 2, used: 6 },
  });
  await events.return?.();
});

test('Watch tells of health, one event for each member of the load balancer asked for', async () => {
  await using served = await serve();
  const events = served.client.watch({ loadBalancer: 'shop' })[Symbol.asyncIterator]();
  await events.next();
  const next = events.next();
  const common = { rule: 'web', backendAddress: '10.0.0.1', detail: 'status 503', flapping: true };
  const down = {
    ...common,
    eligible: false,
    reason: 'Down_Probe_HttpStatusCodeError',
    since: 5_000,
  } as const;
  const members = ['other', 'shop', 'shop'].map((loadBalancer, index) => ({
    ...down,
    loadBalancer,
    member: `vm-${index}`,
  }));
  await expect.poll(() => served.gateway.followers).toBe(1);
  served.gateway.publish({ kind: 'health', revision: 0, time: 0, members });
  expect((await next).value?.health).toMatchObject({ member: 'vm-1', detail: 'status 503', flapping: true });
  expect((await events.next()).value?.health).toMatchObject({ member: 'vm-2', since: { seconds: 5 } });
  await events.return?.();
});
