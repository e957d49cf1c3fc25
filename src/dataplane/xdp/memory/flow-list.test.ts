// Which entries of the flow table are live: as a packet would find them.
import { expect, test } from 'vitest';
import { ip } from '../../../forwarding/testing/declare.ts';
import { listFlows } from './flow-list.ts';
import { Image } from './image.ts';
import { flowKind, flowState } from './layout.ts';
import type { Memory } from './map-memory.ts';
import { balanced, changeOf, frontendAddress, nat, ringOf } from './testing/entries.ts';
import { type Noted, noteFlow } from './testing/flows.ts';
import { memoryOf, shapeFor } from './testing/memory.ts';
import { Reader } from './testing/reader.ts';

const stamp = { instance: '0123456789abcdef', revision: 1, sequence: 1 };
const options = { shards: 1, gracePeriod: () => Promise.resolve() };
async function world() {
  const memory = memoryOf(shapeFor({ mappings: 4, machines: 4, rings: 1, members: 4, units: 100 }));
  Image.format(memory, 1);
  const image = await Image.attach(memory, options);
  const ring = ringOf(1, 2);
  const added = [nat(500, '10.0.0.1:22'), nat(0, '10.0.0.3:0', { transport: 'udp' }), balanced(80, 8080)];
  const backends = [ip('10.0.0.1'), ip('10.0.0.2'), ip('10.0.0.3')];
  await image.stage(changeOf({ added, rings: [{ after: ring }], backendsAdded: backends }));
  image.publish(stamp);
  await image.settled();
  return { memory, image, reader: new Reader(memory), ring };
}

async function listed(memory: Memory, most = 100): Promise<readonly string[]> {
  const { flows, more } = await listFlows(memory, { wanted: () => true, most });
  const words = flows.map(({ peer, state }) => `${peer.port - 40_000} ${state}`);
  return more ? [...words, 'more'] : words;
}

test('tells all of a flow', async () => {
  const { memory, reader } = await world();
  noteFlow(memory, reader, 3, { kind: flowKind.nat, port: 53, protocol: 17, machine: '10.0.0.3' });
  const { flows } = await listFlows(memory, { wanted: () => true, most: 1 });
  expect(flows).toEqual([
    {
      direction: 'inbound',
      transport: 'udp',
      peer: { address: '198.51.100.7', port: 40_003 },
      frontend: { address: frontendAddress, port: 53 },
      machine: { address: '10.0.0.3', port: 8080 },
      anyPort: true,
      state: 'established',
      keptBy: 'xdp',
      packets: 0,
      bytes: 0,
    },
  ]);
});

test('leaves out what is over, what is no flow of a frontend, and what a packet would take for dead', async () => {
  const { memory, reader } = await world();
  const cases: readonly Noted[] = [
    {},
    // Open for five days, also when the clock has come round in between.
    { age: 400_000 },
    { age: 403_000 },
    { state: flowState.fresh },
    { state: flowState.fresh, age: 60 },
    { state: flowState.closing, age: 3 },
    { state: flowState.leaving, age: 60 },
    { state: flowState.busy },
    { state: flowState.empty },
    { kind: flowKind.direct },
    { kind: flowKind.back },
    { frontendSerial: 77 },
    { memberSerial: 77 },
    { kind: flowKind.nat, port: 500 },
  ];
  for (const [place, noted] of cases.entries()) noteFlow(memory, reader, place, noted);
  expect(await listed(memory)).toEqual([
    '0 established',
    '1 established',
    '3 new',
    '5 closing',
    '13 established',
  ]);
  expect(await listed(memory, 2)).toEqual(['0 established', '1 established', 'more']);
});

test('a packet that comes meanwhile does not make its flow an old one', async () => {
  const { memory, reader } = await world();
  const udp = { kind: flowKind.nat, port: 53, protocol: 17, machine: '10.0.0.3' };
  for (const place of [0, 1]) noteFlow(memory, reader, place, udp);
  const wanted = () => {
    noteFlow(memory, reader, 1, { ...udp, age: -1 });
    return true;
  };
  const { flows } = await listFlows(memory, { wanted, most: 9 });
  expect(flows.map(({ peer }) => peer.port)).toEqual([40_000, 40_001]);
});

test('flows of a member that goes are gone with the commit, and those of the others stay', async () => {
  const { memory, image, reader, ring } = await world();
  noteFlow(memory, reader, 0, { machine: '10.0.0.1' });
  noteFlow(memory, reader, 1, { machine: '10.0.0.2' });
  const after = ringOf(2);
  await image.stage(
    changeOf({
      rings: [{ before: ring, after }],
      ending: [{ kind: 'ring-member', ring: 1, backend: ip('10.0.0.1'), udpOnly: false }],
    }),
  );
  expect(await listed(memory)).toEqual(['0 established', '1 established']);
  image.publish({ ...stamp, revision: 2, sequence: 2 });
  expect(await listed(memory)).toEqual(['1 established']);
  await image.settled();
  expect(await listed(memory)).toEqual(['1 established']);
});
