// What a caller can ask of a change (once only, only if, only try), and what a watcher is told of it.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Answer, GatewayClient, Message } from '../../src/wire/client.ts';
import { CallFailed } from '../../src/wire/errors.ts';
import { Lab } from '../lab/lab.ts';
import { slowness } from '../slowness.ts';
import { members, tcp } from './support/declare.ts';
import { connect, failureOf, listMappings, ports, put, revisionOf } from './support/gateway.ts';
import { ruleset } from './support/kernel.ts';

let lab: Lab;
let client: GatewayClient;

/** A load balancer with one NAT rule for a pool; each number has an address of its own. */
function small(number: number, machines: readonly number[]): Message<'LoadBalancer'> {
  return {
    name: `lb${number}`,
    frontends: [{ name: 'front', address: `203.0.113.${100 + number}`, addressOwnership: 2 }],
    backendPools: [{ name: 'vms', members: members(machines) }],
    inboundNatRules: [
      {
        name: 'ssh',
        frontend: 'front',
        protocol: tcp,
        backendPort: 22,
        pool: { backendPool: 'vms', frontendPortRangeStart: 500, maximumMachines: 100 },
      },
    ],
  };
}

function add(number: number, machine: number): Message<'ChangeSet'> {
  return { putMembers: [{ loadBalancer: `lb${number}`, backendPool: 'vms', members: members([machine]) }] };
}

beforeAll(async () => {
  lab = await Lab.up({ name: `e2e-requests-${process.pid}`, backends: 0, agent: true });
  client = connect(lab);
  await put(client, small(1, [1, 2]), small(2, [1]));
});

afterAll(async () => {
  client?.close();
  await lab?.down();
});

describe('request_id', () => {
  it('makes a repeat give the first answer, and change nothing', async () => {
    const request = { changes: add(1, 3), requestId: 'once' };
    const first = await client.apply(request);
    expect(first.plan?.assigned).toMatchObject([{ member: 'b3', frontendPort: 502 }]);
    await client.apply({ changes: add(1, 4) });
    const before = [await revisionOf(client), await ruleset(lab)];
    const second = await client.apply(request);
    expect({ ...second, plan: { ...second.plan, commitTime: null } }).toEqual({
      ...first,
      plan: { ...first.plan, commitTime: null },
    });
    expect(await client.apply({ changes: add(1, 5), requestId: 'once' })).toEqual(second);
    expect([await revisionOf(client), await ruleset(lab)]).toEqual(before);
  });

  it('is remembered over a kill', async () => {
    const request = { changes: add(1, 6), requestId: 'lasting' };
    const first = await client.apply(request);
    await lab.killAgent();
    await lab.startAgent();
    const second = await client.apply(request);
    expect([second.revision, second.plan?.assigned]).toEqual([first.revision, first.plan?.assigned]);
    expect(await revisionOf(client)).toBe(first.revision);
  });

  it('of a change that was refused is free again', async () => {
    const requestId = 'again';
    await failureOf(client.apply({ changes: { deleteLoadBalancers: ['nobody'] }, requestId }));
    const { plan } = await client.apply({ changes: add(1, 7), requestId });
    expect(plan?.assignedTotal).toBe(1);
  });

  it('holds many at once to one change', async () => {
    const before = await revisionOf(client);
    const request = { changes: add(1, 8), requestId: 'many' };
    const answers = await Promise.all(Array.from({ length: 8 }, () => client.apply(request)));
    expect(new Set(answers.map(({ revision }) => revision))).toEqual(new Set([before + 1]));
    expect(await revisionOf(client)).toBe(before + 1);
  });
});

describe('expected_revision', () => {
  it('lets one of many writers win', async () => {
    const expectedRevision = await revisionOf(client);
    const attempts = await Promise.allSettled(
      [9, 10, 11, 12].map((machine) => client.apply({ changes: add(1, machine), expectedRevision })),
    );
    const refused = attempts.flatMap((attempt) => (attempt.status === 'rejected' ? [attempt.reason] : []));
    expect(refused).toHaveLength(3);
    for (const error of refused) {
      expect(error).toBeInstanceOf(CallFailed);
      expect(error).toMatchObject({ codeName: 'ABORTED', reason: 'STALE_REVISION' });
    }
    expect(await revisionOf(client)).toBe(expectedRevision + 1);
  });
});

describe('validate_only', () => {
  it('says what the change then does', async () => {
    const changes = { putLoadBalancers: [small(1, [2, 20, 21])], deleteLoadBalancers: ['lb2'] };
    const before = await ruleset(lab);
    const tried = await client.apply({ changes, validateOnly: true });
    expect(await ruleset(lab)).toBe(before);
    const done = await client.apply({ changes });
    expect(done.revision).toBe(tried.revision + 1);
    const timeless = ({ plan }: Answer<'ApplyResponse'>) =>
      JSON.stringify({ ...plan, commitTime: null }).replaceAll(/"assigned":\{[^}]*\}/g, '');
    expect(timeless(done)).toBe(timeless(tried));
    expect(tried.plan?.releasedTotal).toBeGreaterThan(1);
  });
});

/** Reads so many events, then stops watching. */
async function events(
  count: number,
  request: Message<'WatchRequest'>,
  act: () => Promise<unknown> = async () => {},
): Promise<readonly Answer<'Event'>[]> {
  const found: Answer<'Event'>[] = [];
  for await (const event of client.watch(request, { timeout: 10_000 * slowness })) {
    found.push(event);
    if (found.length === 1) await act();
    if (found.length === count) break;
  }
  return found;
}

function assigned(event: Answer<'Event'> | undefined): readonly string[] {
  return ports(event?.applied?.assigned ?? []);
}

describe('watch', () => {
  it('begins with all mappings, and goes on with what changes', async () => {
    const all = ports(await listMappings(client, { skipCounters: true }));
    const revision = await revisionOf(client);
    const [snapshot, first, second] = await events(3, {}, async () => {
      await client.apply({ changes: add(1, 30) });
      await client.apply({
        changes: { deleteMembers: [{ loadBalancer: 'lb1', backendPool: 'vms', ids: ['b30'] }] },
      });
    });
    expect(snapshot?.revision).toBe(revision);
    expect(assigned(snapshot)).toEqual(all);
    expect(snapshot?.applied?.assignedTotal).toBe(all.length);
    expect([first?.revision, second?.revision]).toEqual([revision + 1, revision + 2]);
    expect(assigned(first)).toEqual(ports(second?.applied?.released ?? []));
    expect(assigned(first)[0]).toMatch(/^b30:/);
  });

  it('of one load balancer keeps quiet about the others', async () => {
    await put(client, small(3, [1]));
    const [snapshot, event] = await events(2, { loadBalancer: 'lb3' }, async () => {
      await client.apply({ changes: add(1, 31) });
      await client.apply({ changes: add(3, 2) });
    });
    expect(assigned(snapshot)).toEqual(['b1:500']);
    expect(assigned(event)).toEqual(['b2:501']);
  });

  it('after a revision tells what came since, without a gap', async () => {
    const afterRevision = await revisionOf(client);
    for (const machine of [32, 33, 34]) await client.apply({ changes: add(1, machine) });
    const seen = await events(3, { afterRevision });
    expect(seen.map(({ revision }) => revision - afterRevision)).toEqual([1, 2, 3]);
    expect(seen.map((event) => assigned(event)[0]?.split(':')[0])).toEqual(['b32', 'b33', 'b34']);
  });

  it('after a revision that is too old says so, and what to do', async () => {
    await client.apply({ changes: add(1, 35) });
    const old = (await revisionOf(client)) - 1;
    await lab.stopAgent();
    await lab.startAgent();
    const failure = await failureOf(events(1, { afterRevision: old }));
    expect([failure.codeName, failure.reason]).toEqual(['OUT_OF_RANGE', 'REVISION_UNAVAILABLE']);
    expect(failure.metadata.oldest).toBe(String(old + 1));
    expect(failure.message).toContain('watch from 0');
  });

  it('after a revision that is yet to come says so: the gateway may have begun anew', async () => {
    const current = await revisionOf(client);
    const failure = await failureOf(events(1, { afterRevision: current + 1 }));
    expect([failure.codeName, failure.reason]).toEqual(['OUT_OF_RANGE', 'REVISION_UNAVAILABLE']);
    expect(failure.metadata.current).toBe(String(current));
  });

  it('ends with a word when the agent stops', async () => {
    const begun = Promise.withResolvers<void>();
    const watching = failureOf(events(2, {}, async () => begun.resolve()));
    await begun.promise;
    await lab.stopAgent();
    const failure = await watching;
    await lab.startAgent();
    expect([failure.codeName, failure.reason]).toEqual(['UNAVAILABLE', 'STOPPING']);
  });
});
