import { Map as PersistentMap } from 'immutable';
import { beforeEach, describe, expect, test } from 'vitest';
import type { Change, OutboundChange } from '../forwarding/change.ts';
import { compile, emptyTable } from '../forwarding/compile.ts';
import { diff } from '../forwarding/diff.ts';
import type { ForwardingTable } from '../forwarding/table.ts';
import {
  assign,
  balancingRule,
  ip,
  loadBalancer,
  members,
  pool,
  singleRule,
} from '../forwarding/testing/declare.ts';
import type { LoadBalancerPorts } from '../ports/assignment.ts';
import type { LoadBalancer } from '../resources/model.ts';
import { CommitFailed } from './dataplane.ts';
import { FakeDataPlane, FakeKernel } from './fake.ts';

function tableOf(...declared: readonly LoadBalancer[]): ForwardingTable {
  const ports = PersistentMap<string, LoadBalancerPorts>(declared.map((each) => [each.name, assign(each)]));
  return compile(emptyTable(), new Map(declared.map((each) => [each.name, each])), ports);
}

const web = loadBalancer('web', {
  backendPools: [pool('pool', ...members(3))],
  inboundNatRules: [singleRule('one', { target: { kind: 'address', address: ip('10.1.0.1') } })],
  loadBalancingRules: [balancingRule('http')],
});
const loaded = tableOf(web);
const moved = tableOf({
  ...web,
  backendPools: [pool('pool', ...members(4))],
  inboundNatRules: [singleRule('one', { target: { kind: 'address', address: ip('10.1.0.2') } })],
});
const change = diff(loaded, moved);
const removal = diff(loaded, emptyTable());
const nothing = diff(loaded, loaded);
const [nat] = change.replaced;
if (nat === undefined) throw new Error('the change replaces an entry');

const stamp = (revision: number) => ({ instance: '00000000000000aa', revision });
const ssh = {
  sourceAddress: ip('198.51.100.1'),
  sourcePort: 40000,
  destinationAddress: ip('203.0.113.1'),
  destinationPort: 2222,
  transport: 'tcp',
} as const;

let plane: FakeDataPlane;

beforeEach(async () => {
  plane = new FakeDataPlane();
  await plane.open();
  await plane.load(loaded, stamp(1));
});

describe('the fake data plane', () => {
  test('forwards what it was given', async () => {
    expect(plane.lookup(ssh)).toMatchObject({ address: '10.1.0.1', port: 22 });
    expect(plane.lookup({ ...ssh, destinationPort: 80 })?.port).toBe(8080);
    expect(plane.lookup({ ...ssh, destinationPort: 81 })).toBeUndefined();
    await plane.commit(change, stamp(2));
    expect(plane.lookup(ssh)?.address).toBe('10.1.0.2');
    expect(plane.stamps).toEqual([stamp(1), stamp(2)]);
    expect(plane.ended).toEqual([{ kind: 'nat', endpoint: nat.before.endpoint, backend: '10.1.0.1' }]);
    await plane.commit(diff(moved, emptyTable()), stamp(3));
    expect(plane.kernel.entries.size + plane.kernel.rings.size + plane.kernel.backends.size).toBe(0);
  });

  const [ring] = loaded.loadBalancers.get('web')?.rings.values() ?? [];
  if (ring === undefined) throw new Error('the table has a ring');
  const shorter = { ...ring, slots: ring.slots.slice(1) };
  const refused: readonly (readonly [string, Change, RegExp])[] = [
    ['an entry that exists', { ...nothing, added: [nat.before] }, /exists already/],
    [
      'a removal of nothing',
      { ...nothing, removed: [{ ...nat.before, endpoint: { ...nat.before.endpoint, port: 9 } }] },
      /does not exist/,
    ],
    ['a removal of something else', { ...nothing, removed: [nat.after] }, /leads elsewhere/],
    [
      'a replacement of something else',
      { ...nothing, replaced: [{ before: nat.after, after: nat.before }] },
      /leads elsewhere/,
    ],
    ['an endpoint named twice', { ...removal, added: [nat.after] }, /named twice/],
    ['a backend that is not there', { ...change, backendsAdded: [] }, /not among the backends/],
    ['a backend that stays', { ...change, backendsRemoved: [] }, /nothing leads to it/],
    [
      'a backend that is there',
      { ...change, backendsAdded: [...change.backendsAdded, ip('10.0.0.0')] },
      /exists already/,
    ],
    ['an address that is there', { ...nothing, localAddressesAdded: [ip('203.0.113.1')] }, /exists already/],
    [
      'an address that is not there',
      { ...nothing, localAddressesRemoved: [ip('203.0.113.2')] },
      /does not exist/,
    ],
    ['an entry without its ring', { ...removal, removed: [], rings: removal.rings }, /still lead to it/],
    ['a ring that is there', { ...nothing, rings: [{ after: ring }] }, /exists already/],
    [
      'a ring that was another',
      { ...nothing, rings: [{ before: shorter, after: ring }] },
      /not what the change says/,
    ],
    [
      'a ring with slots missing',
      { ...nothing, rings: [{ before: ring, after: shorter }] },
      /slots instead of/,
    ],
    [
      'a ring that does not exist',
      {
        ...nothing,
        added: [
          {
            endpoint: { ...nat.before.endpoint, port: 9 },
            target: { kind: 'balanced', ring: 9, affinity: 'five-tuple', port: 0, masquerade: false },
          },
        ],
      },
      /ring 9 does not exist/,
    ],
  ];
  test.each(refused)('refuses %s, and applies nothing', async (_, wrong, log) => {
    const before = [
      new Map(plane.kernel.entries),
      new Map(plane.kernel.rings),
      new Set(plane.kernel.backends),
    ];
    const failure = await plane.commit(wrong, stamp(2)).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(CommitFailed);
    expect(failure instanceof CommitFailed ? failure.log : '').toMatch(log);
    expect([plane.kernel.entries, plane.kernel.rings, plane.kernel.backends]).toEqual(before);
    expect(plane.stamps).toEqual([stamp(1)]);
    await plane.commit(change, stamp(2));
  });

  test('fails when it is told to, once', async () => {
    plane.failNext();
    plane.failNext(new Error('no space'));
    await expect(plane.commit(change, stamp(2))).rejects.toThrow(CommitFailed);
    await expect(plane.load(moved, stamp(2))).rejects.toThrow('no space');
    expect(plane.lookup(ssh)?.address).toBe('10.1.0.1');
    await plane.commit(change, stamp(2));
  });

  test('notices damage, and is repaired by a load', async () => {
    expect(await plane.verify()).toEqual({ kind: 'intact' });
    plane.damage();
    expect((await plane.verify()).kind).toBe('damaged');
    expect(plane.lookup(ssh)).toBeUndefined();
    await expect(plane.commit(change, stamp(2))).rejects.toThrow(CommitFailed);
    await plane.load(moved, stamp(2));
    expect(await plane.verify()).toEqual({ kind: 'intact' });
    expect(plane.lookup(ssh)?.address).toBe('10.1.0.2');
  });

  test('leaves the kernel to the next agent', async () => {
    await plane.close();
    await expect(plane.commit(change, stamp(2))).rejects.toThrow('not open');
    const next = new FakeDataPlane({ kernel: plane.kernel });
    expect((await next.open()).stamp).toEqual(stamp(1));
    await next.commit(change, stamp(2));
    expect((await plane.verify()).kind).toBe('damaged');
    await next.flush();
    expect((await new FakeDataPlane({ kernel: next.kernel }).open()).stamp).toBeUndefined();
  });

  test('is not flushed before it is open, as no plane is', async () => {
    await expect(new FakeDataPlane().flush()).rejects.toThrow('not open');
  });

  test('refuses changes before the first load', async () => {
    const fresh = new FakeDataPlane({ kernel: new FakeKernel() });
    await fresh.open();
    await expect(fresh.commit(nothing, stamp(1))).rejects.toThrow(CommitFailed);
  });

  test('counts since an entry has its target', async () => {
    const counted = { packets: 4, bytes: 400, flows: 1 };
    plane.setCounters(nat.before.endpoint, counted);
    const answer = await plane.counters([nat.before, nat.after]);
    expect([...answer]).toEqual([[nat.before, counted]]);
    await plane.load(loaded, stamp(2));
    expect((await plane.counters([nat.before])).get(nat.before)).toEqual(counted);
    await plane.commit(change, stamp(3));
    expect((await plane.counters([nat.after])).get(nat.after)).toEqual({ packets: 0, bytes: 0, flows: 0 });
  });

  test('counts by member of a ring, as long as a member has its address', async () => {
    const counted = { packets: 4, bytes: 400, flows: 1 };
    const [first, second] = ring.members;
    if (first === undefined || second === undefined) throw new Error('the ring has members');
    plane.setMemberCounters(ring.number, first.id, counted);
    plane.setMemberCounters(ring.number, second.id, counted);
    await plane.load(loaded, stamp(2));
    const stranger = { ...second, address: ip('10.1.0.99') };
    const movedRing = { ...ring, members: [first, stranger, ...ring.members.slice(2)] };
    const gone = second.address;
    await plane.commit(
      {
        ...nothing,
        rings: [{ before: ring, after: movedRing }],
        backendsAdded: [stranger.address],
        backendsRemoved: plane.kernel.entries
          .values()
          .some(({ target }) => target.kind === 'nat' && target.address === gone)
          ? []
          : [gone],
      },
      stamp(3),
    );
    const answer = await plane.memberCounters(movedRing);
    expect(answer.get(first)).toEqual(counted);
    expect(answer.get(stranger)).toEqual({ packets: 0, bytes: 0, flows: 0 });
  });

  test('holds outbound entries, and refuses those that contradict it', async () => {
    const entry = (machine: string, first: number) => ({
      machine: ip(machine),
      transport: 'tcp' as const,
      address: ip('203.0.113.1'),
      first,
      last: first + 7,
    });
    const [one, two] = [entry('10.0.0.1', 40_000), entry('10.0.0.2', 40_008)];
    const commit = (...outbound: readonly OutboundChange[]) =>
      plane.commit({ ...nothing, outbound }, stamp(2));
    await commit({ after: one }, { after: two });
    await expect(commit({ after: one })).rejects.toMatchObject({
      log: expect.stringMatching(/exists already/),
    });
    await expect(commit({ before: entry('10.0.0.1', 1_536) })).rejects.toMatchObject({
      log: expect.stringMatching(/is not what the change says it was/),
    });
    await expect(commit({ before: two, after: entry('10.0.0.2', 40_000) })).rejects.toMatchObject({
      log: expect.stringMatching(/10.0.0.1 and 10.0.0.2 share ports/),
    });
    await expect(commit({ after: { ...one, machine: ip('fd00::1') } })).rejects.toMatchObject({
      log: expect.stringMatching(/of two families/),
    });
    await commit({ before: one }, { before: two, after: entry('10.0.0.2', 40_000) });
    expect([...plane.kernel.outbound.values()]).toEqual([entry('10.0.0.2', 40_000)]);
  });

  test('reports what it was told to', async () => {
    expect(await plane.report()).toEqual({ interfaces: [], maps: [], reasons: [], notes: [] });
    plane.planeReport = { ...plane.planeReport, notes: ['in memory'] };
    expect((await plane.report()).notes).toEqual(['in memory']);
  });
});
