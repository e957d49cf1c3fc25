// Flows of a rule that comes to another ring of its pool go on, to the same machine, and those of the other rules stay.
import { expect, test } from 'vitest';
import type { Change } from '../../../forwarding/change.ts';
import { ringNumber } from '../../../forwarding/ring-numbers.ts';
import type { Ring, RingMember } from '../../../forwarding/table.ts';
import { ip } from '../../../forwarding/testing/declare.ts';
import { listFlows } from './flow-list.ts';
import { Image } from './image.ts';
import { flowKind } from './layout.ts';
import { balanced, changeOf, ringOf } from './testing/entries.ts';
import { memberOfFlow, noteFlow } from './testing/flows.ts';
import { memoryOf, shapeFor } from './testing/memory.ts';
import { Reader } from './testing/reader.ts';

const stamp = { instance: '0123456789abcdef', revision: 1, sequence: 1 };
const options = { shards: 1, gracePeriod: () => Promise.resolve() };
const [shared, own, others] = [ringNumber(1, 0), ringNumber(1, 1), ringNumber(2, 0)];

type Host = Partial<RingMember> & { readonly host: number };

function ring(number: number, ...hosts: readonly (number | Host)[]): Ring {
  return { ...ringOf(...hosts), number };
}

/** Rules on ports 80 and 81 share a ring. Both have a flow to machine 2, at places 0 and 1. */
async function world() {
  const memory = memoryOf(shapeFor({ mappings: 4, machines: 4, rings: 3, members: 8, units: 300 }));
  Image.format(memory, 1);
  const image = await Image.attach(memory, options);
  const reader = new Reader(memory);
  const added = [80, 81].map((port) => balanced(port, 8080, { ring: shared }));
  const backendsAdded = [1, 2].map((host) => ip(`10.0.0.${host}`));
  await image.stage(changeOf({ added, rings: [{ after: ring(shared, 1, 2) }], backendsAdded }));
  image.publish(stamp);
  await image.settled();
  const note = (place: number, port: number, kind?: number) =>
    noteFlow(memory, reader, place, { port, machine: '10.0.0.2', ...(kind !== undefined && { kind }) });
  note(0, 80);
  note(1, 81);
  const member = (place: number) => memberOfFlow(memory, reader, place);
  const ringIndex = (port: number) =>
    reader.frontend(balanced(port, 0).endpoint.address, 'tcp', port)?.target.to;
  const commit = async (change: Partial<Change>) => {
    await image.stage(changeOf(change));
    await image.moveFlows();
    image.publish(stamp);
    await image.settled();
  };
  /** Of flows that packets would follow. */
  const count = async () => (await listFlows(memory, { wanted: () => true, most: 9 })).flows.length;
  return { memory, image, commit, note, member, ringIndex, count };
}

function moving(port: number, before: number, after: number): Change['replaced'] {
  return [{ before: balanced(port, 8080, { ring: before }), after: balanced(port, 8080, { ring: after }) }];
}

test('to a new ring: when it is there, and packets that have not seen it are through', async () => {
  const { image, member, ringIndex, note } = await world();
  const before = ringIndex(80);
  await image.stage(changeOf({ rings: [{ after: ring(own, 1, 2) }], replaced: moving(81, shared, own) }));
  expect([member(0)?.ring, member(1)?.ring]).toEqual([before, before]);
  // It begins by what was before.
  note(2, 81);
  image.publish(stamp);
  await image.settled();
  expect(ringIndex(81)).not.toBe(before);
  expect([member(0), member(1), member(2)]).toEqual([
    { machine: '10.0.0.2', ring: before },
    { machine: '10.0.0.2', ring: ringIndex(81) },
    { machine: '10.0.0.2', ring: ringIndex(81) },
  ]);
});

test('to a ring that is there, from one that goes: before it is gone', async () => {
  const { image, member, ringIndex, note } = await world();
  const apart = changeOf({ rings: [{ after: ring(own, 1, 2) }], replaced: moving(81, shared, own) });
  await image.stage(apart);
  image.publish(stamp);
  await image.settled();
  await image.stage(changeOf({ rings: [{ before: ring(own, 1, 2) }], replaced: moving(81, own, shared) }));
  await image.moveFlows();
  expect(member(1)).toEqual({ machine: '10.0.0.2', ring: ringIndex(80) });
  note(2, 81);
  note(3, 81, flowKind.back);
  image.publish(stamp);
  await image.settled();
  for (const place of [0, 1, 2]) expect(member(place)).toEqual({ machine: '10.0.0.2', ring: ringIndex(80) });
});

test('those of a machine that the ring lacks end, and a rule that comes to another pool takes none along', async () => {
  const { memory, image, member, ringIndex } = await world();
  const before = ringIndex(80);
  await image.stage(
    changeOf({
      rings: [{ after: ring(own, 1) }, { after: ring(others, 2) }],
      replaced: [...moving(81, shared, own), ...moving(80, shared, others)],
    }),
  );
  image.publish(stamp);
  await image.settled();
  expect(member(0)?.ring).toBe(before);
  const { flows } = await listFlows(memory, { wanted: () => true, most: 9 });
  expect(flows).toEqual([]);
});

test('a change that is taken back moves none', async () => {
  const { image, member, ringIndex } = await world();
  await image.stage(changeOf({ rings: [{ after: ring(own, 1, 2) }], replaced: moving(81, shared, own) }));
  image.abort();
  await image.stage(changeOf({}));
  image.publish(stamp);
  await image.settled();
  expect(member(1)).toEqual({ machine: '10.0.0.2', ring: ringIndex(81) });
});

test('a change that is taken back moves none to a ring that is there either', async () => {
  const { image, commit, member, ringIndex } = await world();
  await commit({ rings: [{ after: ring(own, 1, 2) }], replaced: moving(81, shared, own) });
  const before = ringIndex(81);
  await image.stage(changeOf({ rings: [{ before: ring(own, 1, 2) }], replaced: moving(81, own, shared) }));
  image.abort();
  expect(member(1)).toEqual({ machine: '10.0.0.2', ring: before });
});

test('to a ring where their machine has drained: they end, but not before the change is visible', async () => {
  const { image, commit, member, ringIndex, count } = await world();
  const drained = { host: 2, eligible: false, keepsUdp: false, drained: true as const };
  await commit({ rings: [{ after: ring(own, 1, 2) }], replaced: moving(81, shared, own) });
  await commit({ rings: [{ before: ring(own, 1, 2), after: ring(own, 1, drained) }] });
  await image.stage(changeOf({ replaced: moving(80, shared, own) }));
  await image.moveFlows();
  expect(member(0)).toEqual({ machine: '10.0.0.2', ring: ringIndex(80) });
  image.publish(stamp);
  await image.settled();
  expect(await count()).toBe(0);
});

test('one that ends by the change stays behind, although its machine is there under another name', async () => {
  const { commit, count } = await world();
  await commit({ rings: [{ after: ring(own, 1, 2) }] });
  const renamed = [1, { host: 2, id: 'another' }] as const;
  const selector = { kind: 'ring-member', backend: ip('10.0.0.2'), udpOnly: false } as const;
  await commit({
    rings: [shared, own].map((number) => ({ before: ring(number, 1, 2), after: ring(number, ...renamed) })),
    replaced: moving(81, shared, own),
    ending: [
      { ...selector, ring: shared },
      { ...selector, ring: own },
      { ...selector, ring: own, from: shared },
    ],
  });
  expect(await count()).toBe(0);
});

test('a change waits until those of the change before are moved: their old ring may go with it', async () => {
  const { image, member, ringIndex } = await world();
  await image.stage(changeOf({ rings: [{ after: ring(own, 1, 2) }], replaced: moving(81, shared, own) }));
  image.publish(stamp);
  await image.stage(changeOf({ rings: [{ before: ring(shared, 1, 2) }], replaced: moving(80, shared, own) }));
  expect(member(1)).toEqual({ machine: '10.0.0.2', ring: ringIndex(81) });
  await image.moveFlows();
  image.publish(stamp);
  expect(member(0)).toEqual({ machine: '10.0.0.2', ring: ringIndex(81) });
});

test('one that has ended already does not come to life again', async () => {
  const { commit, count } = await world();
  await commit({ rings: [{ after: ring(own, 1, 2) }] });
  await commit({ rings: [{ before: ring(shared, 1, 2), after: ring(shared, 1) }] });
  expect(await count()).toBe(0);
  await commit({ replaced: moving(81, shared, own) });
  expect(await count()).toBe(0);
});

test('what an agent that was killed has left where it was, the next one moves', async () => {
  const { memory, image, member, ringIndex } = await world();
  await image.stage(changeOf({ rings: [{ after: ring(own, 1, 2) }], replaced: moving(81, shared, own) }));
  image.publish(stamp);
  expect(member(1)?.ring).toBe(ringIndex(80));
  await Image.attach(memory, options);
  expect([member(0)?.ring, member(1)?.ring]).toEqual([ringIndex(80), ringIndex(81)]);
});
