// The API over a real socket: answers, refusals, failures, health and reflection.
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client, credentials, Metadata, type MethodDefinition, status } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { service as healthService } from 'grpc-health-check';
import { expect, test } from 'vitest';
import { CommitFailed } from '../dataplane/dataplane.ts';
import { StoreFailed } from '../store/store.ts';
import type { CallFailed } from '../wire/errors.ts';
import { gatewayService } from '../wire/service.ts';
import { sample, serve } from './testing/serve.ts';

async function failureOf(promise: Promise<unknown>): Promise<CallFailed> {
  return await promise.then(
    () => Promise.reject(new Error('succeeded')),
    (error: CallFailed) => error,
  );
}

async function drain(stream: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of stream);
}

test('Apply changes, and answers with the plan', async () => {
  await using served = await serve();
  const answer = await served.client.apply({
    changes: { putLoadBalancers: [sample('shop', 2)] },
    requestId: 'r1',
  });
  expect(answer.revision).toBe(1);
  expect(answer.plan?.assigned?.map(({ member, frontendPort }) => [member, frontendPort])).toEqual([
    ['vm-0', 1000],
    ['vm-1', 1001],
  ]);
  expect(answer.plan?.commitTime).toMatchObject({ seconds: 0, nanos: 1_500_000 });
  expect(answer.plan?.assigned?.[0]?.assigned).toMatchObject({ seconds: 1_704_164_645, nanos: 678_000_000 });
  expect(served.gateway.applied[0]?.options.requestId).toBe('r1');
});

test('validate_only reaches the gateway', async () => {
  await using served = await serve();
  const changes = { putLoadBalancers: [sample('shop', 2)] };
  expect((await served.client.apply({ changes, validateOnly: true })).plan?.assignedTotal).toBe(2);
  expect((await served.client.getStatus()).loadBalancers).toBe(0);
});

test('a request without an id has none, and not an empty one', async () => {
  await using served = await serve();
  await served.client.apply({ expectedRevision: 0 });
  expect(served.gateway.applied[0]?.options).toEqual({ validateOnly: false, allowRemap: false });
});

test('GetStatus says what the gateway runs', async () => {
  await using served = await serve();
  expect(await served.client.getStatus({ timeout: 5_000 })).toMatchObject({
    version: '1.2.3',
    dataPlane: 'fake',
    warnings: [{ code: 'SAMPLE', message: 'a sample', remedy: 'nothing' }],
    hostSettings: [{ name: 'net.ipv4.ip_forward', value: '1', valueBefore: '0' }],
    hostAddresses: [{ address: '203.0.113.1', interface: 'lo', added: true }],
    interfaces: [
      { name: 'eth0', xdpMode: 'generic', driver: 'tun', reason: 'the driver has no XDP', programId: 7 },
    ],
    maps: [
      { name: 'frontends', bytes: 4096, capacity: 64, used: 3 },
      { name: 'reasons', bytes: 256, capacity: 0, used: 0 },
    ],
    mapBytes: 4352,
    flowTable: { capacity: 7, used: 2, open: 1 },
    packetReasons: [{ reason: 'hop-limit', outcome: 'handed-up', packets: 5 }],
    notes: ['a sample'],
  });
});

test('a refusal carries its reason, its figures and every field', async () => {
  await using served = await serve();
  const exhausted = await failureOf(
    served.client.apply({ changes: { putLoadBalancers: [sample('shop', 5, 1_001)] } }),
  );
  expect(exhausted).toMatchObject({
    codeName: 'FAILED_PRECONDITION',
    reason: 'PORT_RANGE_EXHAUSTED',
    metadata: { needed: '5', available: '2', violations_total: '1' },
    violations: [{ field: 'put_load_balancers[0].inbound_nat_rules[0].pool.frontend_port_range_end' }],
  });
  const wrong = { ...sample('shop', 1), frontends: [{ name: 'a', address: 'x' }, { name: 'b' }] };
  const invalid = await failureOf(served.client.apply({ changes: { putLoadBalancers: [wrong] } }));
  expect(invalid).toMatchObject({ code: status.INVALID_ARGUMENT, metadata: { violations_total: '2' } });
  expect(invalid.violations).toHaveLength(2);
  const stale = await failureOf(served.client.apply({ expectedRevision: 7 }));
  expect(stale).toMatchObject({ codeName: 'ABORTED', reason: 'STALE_REVISION' });
});

test('a failed store or kernel is UNAVAILABLE, and says that nothing was applied', async () => {
  await using served = await serve();
  served.gateway.fault = new StoreFailed('disk full', 'make room');
  const store = await failureOf(served.client.apply({}));
  expect(store).toMatchObject({
    codeName: 'UNAVAILABLE',
    reason: 'STORE_FAILED',
    metadata: { remedy: 'make room' },
  });
  expect(store.message).toContain('nothing was applied');
  served.gateway.fault = new CommitFailed('no such table', 'the whole secret log');
  const commit = await failureOf(served.client.apply({}));
  expect(commit).toMatchObject({ codeName: 'UNAVAILABLE', reason: 'COMMIT_FAILED' });
  expect(commit.message).not.toContain('secret');
});

test('the unexpected is INTERNAL with an id that is in the log, and shows nothing of the inside', async () => {
  await using served = await serve();
  served.gateway.fault = new TypeError('secret is not a function');
  const failed = await failureOf(served.client.apply({}));
  expect(failed).toMatchObject({ codeName: 'INTERNAL', reason: 'INTERNAL' });
  expect(failed.message).not.toContain('secret');
  expect(failed.metadata.id).toMatch(/^[0-9a-f-]{36}$/);
  expect(served.log.find((line) => line.id === failed.metadata.id)).toMatchObject({
    level: 50,
    method: 'Apply',
  });
});

test('the log has calls at debug and refusals at info, without what they hold', async () => {
  await using served = await serve();
  await served.client.getStatus();
  await failureOf(served.client.apply({ changes: { putLoadBalancers: [sample('payload', 5, 1_001)] } }));
  expect(served.log).toContainEqual(
    expect.objectContaining({ level: 20, method: 'GetStatus', status: 'OK' }),
  );
  const info = served.log.filter((line) => Number(line.level) >= 30 && line.method === 'Apply');
  expect(info).toMatchObject([{ level: 30, status: 'FAILED_PRECONDITION', reason: 'PORT_RANGE_EXHAUSTED' }]);
  expect(JSON.stringify(info)).not.toContain('machines');
});

test('bytes that are no message are refused and change nothing', async () => {
  await using served = await serve();
  const raw = new Client(served.address, credentials.createInsecure());
  const inputs = {
    truncated: '0aff7f00',
    'invalid UTF-8 in request_id': '2202c328',
    'a group that does not end': '0b0b0b',
    'wire type 7': '0f',
    'length beyond the end': '0a05',
  };
  for (const [what, hex] of Object.entries(inputs)) {
    const code = await new Promise((resolve) => {
      const bytes = Buffer.from(hex, 'hex');
      const { path } = gatewayService.apply;
      raw.makeUnaryRequest(
        path,
        () => bytes,
        () => null,
        null,
        (error) => resolve(error?.code),
      );
    });
    expect(code, what).toBe(status.INVALID_ARGUMENT);
  }
  raw.close();
  expect(served.gateway.applied).toEqual([]);
});

test('a message above 4 MB is refused by gRPC', async () => {
  await using served = await serve();
  const failed = await failureOf(served.client.apply({ requestId: 'x'.repeat(5_000_000) }));
  expect(failed.codeName).toBe('RESOURCE_EXHAUSTED');
  expect(served.gateway.applied).toEqual([]);
});

test('methods of later versions say so', async () => {
  await using served = await serve();
  const raw = new Client(served.address, credentials.createInsecure());
  const { path, requestSerialize, responseDeserialize } = gatewayService.sync;
  const call = raw.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, new Metadata());
  call.resume();
  const error = await new Promise<{ code?: number }>((resolve) => call.on('error', resolve));
  expect(error.code).toBe(status.UNIMPLEMENTED);
  raw.close();
});

test('health follows setServing', async () => {
  await using served = await serve();
  const raw = new Client(served.address, credentials.createInsecure());
  const definition = healthService.Check;
  if (definition === undefined) throw new Error('no Check');
  const check = (service: string) =>
    new Promise((resolve, reject) => {
      raw.makeUnaryRequest(
        definition.path,
        definition.requestSerialize,
        definition.responseDeserialize,
        { service },
        (error, value) => (error === null ? resolve(value) : reject(error)),
      );
    });
  expect(await check('')).toMatchObject({ status: 'SERVING' });
  expect(await check('penstock.v1.Gateway')).toMatchObject({ status: 'SERVING' });
  served.api.setServing(false);
  expect(await check('penstock.v1.Gateway')).toMatchObject({ status: 'NOT_SERVING' });
  await expect(check('unknown')).rejects.toMatchObject({ code: status.NOT_FOUND });
  raw.close();
});

test.each(['v1', 'v1alpha'])('reflection %s names the services', async (version) => {
  await using served = await serve();
  const service = reflectionMethod(version);
  const raw = new Client(served.address, credentials.createInsecure());
  const call = raw.makeBidiStreamRequest(
    service.path,
    service.requestSerialize,
    service.responseDeserialize,
    new Metadata(),
  );
  const answer = new Promise((resolve, reject) => call.on('data', resolve).on('error', reject));
  call.write({ listServices: '*' });
  expect(await answer).toMatchObject({
    listServicesResponse: {
      service: expect.arrayContaining([{ name: 'penstock.v1.Gateway' }, { name: 'grpc.health.v1.Health' }]),
    },
  });
  call.end();
  raw.close();
});

test('stop ends what watches', async () => {
  const served = await serve();
  const watching = failureOf(drain(served.client.watch()));
  await served.client.getStatus();
  await served[Symbol.asyncDispose]();
  expect((await watching).codeName).toBe('UNAVAILABLE');
});

function reflectionMethod(version: string): MethodDefinition<object, object> {
  const build = dirname(dirname(fileURLToPath(import.meta.resolve('@grpc/reflection'))));
  const proto = join(build, 'proto/grpc/reflection', version, 'reflection.proto');
  const service = loadSync(proto)[`grpc.reflection.${version}.ServerReflection`];
  if (service === undefined || 'format' in service || service.ServerReflectionInfo === undefined) {
    throw new Error('no reflection');
  }
  return service.ServerReflectionInfo;
}
