// What single changes do to ways back, to serials (by which flows go on or end) and to members.
import { expect, test } from 'vitest';
import type { Change } from '../../../forwarding/change.ts';
import { ip } from '../../../forwarding/testing/declare.ts';
import { Image } from './image.ts';
import { addressBit, control, memberState } from './layout.ts';
import { machineAddresses } from './machine-addresses.ts';
import type { Memory } from './map-memory.ts';
import { balanced, changeOf, frontendAddress, nat, ringOf } from './testing/entries.ts';
import { memoryOf, shapeFor } from './testing/memory.ts';
import { Reader } from './testing/reader.ts';
import { Mismatch } from './trouble.ts';

const stamp = { instance: 'fedcba9876543210', revision: 2 ** 40, sequence: 3 };
const machine = ip('10.0.0.1');

interface Bench {
  readonly memory: Memory;
  readonly image: Image;
  readonly reader: Reader;
  /** Grace periods that were asked for. */
  readonly periods: { count: number };
  readonly commit: (change: Partial<Change>) => Promise<void>;
}

async function bench(gracePeriod = () => Promise.resolve()): Promise<Bench> {
  const memory = memoryOf(shapeFor());
  Image.format(memory, 1);
  const periods = { count: 0 };
  const image = await Image.attach(memory, {
    shards: 2,
    gracePeriod: () => {
      periods.count += 1;
      return gracePeriod();
    },
  });
  const commit = async (change: Partial<Change>) => {
    await image.stage(changeOf(change));
    image.publish(stamp);
  };
  return { memory, image, reader: new Reader(memory), periods, commit };
}

const at = (reader: Reader, port: number) => reader.frontend(frontendAddress, 'tcp', port);

test('who was first owns the answers while it lives; then they are nobody’s, until all are gone', async () => {
  const { reader, commit, memory } = await bench();
  const [first, second] = [nat(101, '10.0.0.1:22'), nat(102, '10.0.0.1:22')];
  await commit({ added: [first] });
  expect(at(reader, 101)?.target.kind).toBe('nat');
  const serial = at(reader, 101)?.target.serial;
  expect(reader.back(machine, 'tcp', 22)).toMatchObject({ shared: false, index: at(reader, 101)?.place });
  await commit({ added: [second] });
  expect(at(reader, 101)?.target).toMatchObject({ kind: 'tracked', serial });
  expect(at(reader, 102)?.target.kind).toBe('tracked');
  expect(reader.back(machine, 'tcp', 22)).toMatchObject({ shared: true, index: at(reader, 101)?.place });
  const other = await Image.attach(memory, { shards: 2, gracePeriod: () => Promise.resolve() });
  await other.stage(changeOf({ removed: [first] }));
  other.publish(stamp);
  expect(reader.back(machine, 'tcp', 22)).toEqual({ place: expect.any(Number), shared: true });
  await other.stage(changeOf({ added: [first] }));
  other.publish(stamp);
  expect(reader.back(machine, 'tcp', 22)?.index).toBeUndefined();
  await other.stage(changeOf({ removed: [first, second], added: [nat(103, '10.0.0.1:22')] }));
  other.publish(stamp);
  expect(at(reader, 103)?.target.kind).toBe('nat');
  expect(reader.back(machine, 'tcp', 22)).toMatchObject({ shared: false, index: at(reader, 103)?.place });
});

test('an any-port mapping and one to a port of the same machine are told apart by tracking', async () => {
  for (const anyPortFirst of [true, false]) {
    const { reader, commit } = await bench();
    const any = {
      ...nat(0, '10.0.0.1:0'),
      endpoint: { address: ip('203.0.113.2'), transport: 'tcp', port: 0 },
    } as const;
    await commit({ added: [anyPortFirst ? any : nat(101, '10.0.0.1:22')] });
    expect((at(reader, 101) ?? reader.frontend(ip('203.0.113.2'), 'tcp', 5))?.target.kind).toBe('nat');
    await commit({ added: [anyPortFirst ? nat(101, '10.0.0.1:22') : any] });
    expect(at(reader, 101)?.target.kind).toBe('tracked');
    expect(reader.frontend(ip('203.0.113.2'), 'tcp', 5)?.target.kind).toBe('tracked');
    expect(reader.back(machine, 'tcp', 0)?.shared).toBe(true);
  }
});

test('a mapping to a port that a balanced rule leads to is tracked, whichever comes first', async () => {
  const parts: readonly Partial<Change>[] = [
    { rings: [{ after: ringOf(1, 2) }] },
    { added: [nat(101, '10.0.0.1:80')] },
    { added: [balanced(80, 80)] },
  ];
  for (const order of [
    [0, 1, 2],
    [1, 0, 2],
    [0, 2, 1],
  ]) {
    const { reader, commit } = await bench();
    for (const index of order) await commit(parts[index] ?? {});
    expect(at(reader, 101)?.target.kind).toBe('tracked');
    await commit({ added: [nat(102, '10.0.0.1:81'), nat(103, '10.0.0.3:80')] });
    expect(at(reader, 102)?.target.kind).toBe('nat');
    expect(at(reader, 103)?.target.kind).toBe('nat');
    await commit({ rings: [{ before: ringOf(1, 2), after: ringOf(1, 3) }] });
    expect(at(reader, 103)?.target.kind).toBe('tracked');
  }
});

test('flows end where the target leads elsewhere, and go on where it does not', async () => {
  const { reader, commit } = await bench();
  await commit({ rings: [{ after: ringOf(1, 2) }], added: [nat(101, '10.0.0.1:22'), balanced(80, 8080)] });
  const [mapping, rule] = [at(reader, 101)?.target, at(reader, 80)?.target];
  await commit({
    replaced: [{ before: balanced(80, 8080), after: balanced(80, 8080, { affinity: 'client-ip' }) }],
  });
  expect(at(reader, 80)?.target).toMatchObject({ serial: rule?.serial, affinity: 1 });
  expect(at(reader, 80)?.target.counter).not.toBe(rule?.counter);
  await commit({ replaced: [{ before: balanced(80, 8080), after: balanced(80, 8081) }] });
  expect(at(reader, 80)?.target.serial).not.toBe(rule?.serial);
  await commit({ replaced: [{ before: nat(101, '10.0.0.1:22'), after: nat(101, '10.0.0.2:22') }] });
  expect(at(reader, 101)?.target.serial).not.toBe(mapping?.serial);
  expect(reader.back(machine, 'tcp', 22)).toBeUndefined();
  await commit({ removed: [nat(101, '10.0.0.2:22')] });
  await commit({ added: [nat(101, '10.0.0.1:22')] });
  expect(at(reader, 101)?.target.serial).not.toBe(mapping?.serial);
});

test('members keep their place while they stay, and their flows as long as they may', async () => {
  const { reader, commit } = await bench();
  const members = () => [0, 1, 2, 3].map((index) => reader.member(index));
  await commit({ rings: [{ after: ringOf(1, 2) }] });
  const [one, two] = members();
  expect([one?.state, two?.state]).toEqual([3, 3]);
  const drained = ringOf(1, { host: 2, eligible: false });
  await commit({ rings: [{ before: ringOf(1, 2), after: drained }] });
  expect(members().slice(0, 2)).toEqual([one, two]);
  const down = ringOf(1, { host: 2, eligible: false, keepsUdp: false });
  await commit({
    rings: [{ before: drained, after: down }],
    ending: [{ kind: 'ring-member', ring: 1, backend: ip('10.0.0.2'), udpOnly: true }],
  });
  expect(members()[1]).toEqual({ ...two, state: memberState.tcp });
  expect(reader.machine(ip('10.0.0.2'))?.shared).toBe(true);
  await commit({ rings: [{ before: down, after: ringOf(1) }] });
  expect(members().slice(0, 2)).toEqual([one, { ...two, state: 0 }]);
  expect(reader.machine(ip('10.0.0.2'))).toBeUndefined();
  // Another pool's ring takes over the number: whoever is in both is a new member all the same.
  await commit({
    rings: [{ before: ringOf(1), after: ringOf(1) }],
    ending: [{ kind: 'ring-member', ring: 1, backend: machine, udpOnly: false }],
  });
  const present = members().filter(({ state }) => state !== 0);
  expect(present).toHaveLength(1);
  expect(present[0]?.serial).not.toBe(one?.serial);
  await commit({ rings: [{ before: ringOf(1) }] });
  expect(members().every(({ state }) => state === 0)).toBe(true);
});

test('a bit of an address stands until nobody can need it', async () => {
  const { reader, image, commit, memory } = await bench(
    () => new Promise((resolve) => setTimeout(resolve, 2)),
  );
  await commit({ added: [nat(101, '10.0.0.1:22')], rings: [{ after: ringOf(1) }] });
  expect(reader.bits(frontendAddress)).toBe(addressBit.frontend);
  expect(reader.bits(machine)).toBe(addressBit.machine | addressBit.ring);
  expect([...machineAddresses(memory)]).toEqual([machine]);
  await commit({ rings: [{ before: ringOf(1) }] });
  expect(reader.bits(machine)).toBe(addressBit.machine | addressBit.ring);
  await image.settled();
  expect(reader.bits(machine)).toBe(addressBit.machine);
  await commit({ removed: [nat(101, '10.0.0.1:22')] });
  await image.settled();
  expect(reader.bits(machine) | reader.bits(frontendAddress)).toBe(0);
  expect([...machineAddresses(memory)]).toEqual([]);
});

test('a commit waits for a grace period only where the one before touched the same', async () => {
  const waiting: (() => void)[] = [];
  const { image, commit } = await bench(() => new Promise((resolve) => waiting.push(resolve)));
  await commit({ added: [nat(101, '10.0.0.1:22')] });
  await commit({ added: [nat(102, '10.0.0.2:22')] });
  let staged = false;
  const third = commit({ removed: [nat(101, '10.0.0.1:22')] }).then(() => {
    staged = true;
  });
  await new Promise(setImmediate);
  expect(staged).toBe(false);
  const release = setInterval(() => {
    for (const resolve of waiting.splice(0)) resolve();
  }, 1);
  await third;
  await image.settled();
  clearInterval(release);
  expect(image.census.needs()).toMatchObject({ mappings: 1, machines: 1 });
});

test('a grace period that fails is tried again', async () => {
  let fails = true;
  const { image, commit } = await bench(() => (fails ? Promise.reject(new Error('no')) : Promise.resolve()));
  await commit({ added: [nat(101, '10.0.0.1:22')] });
  await expect(image.settled()).rejects.toThrow('no');
  await expect(image.stage(changeOf({ removed: [nat(101, '10.0.0.1:22')] }))).rejects.toThrow('no');
  fails = false;
  await commit({ removed: [nat(101, '10.0.0.1:22')] });
  await image.settled();
  expect(image.census.needs().mappings).toBe(0);
});

test('what does not start from what is there is refused, with nothing staged', async () => {
  const { image, commit } = await bench();
  await commit({ added: [nat(101, '10.0.0.1:22')] });
  const used = image.census.fill();
  for (const change of [
    { added: [nat(102, '10.0.0.1:23'), nat(101, '10.0.0.1:22')] },
    { added: [nat(102, '10.0.0.1:23')], removed: [nat(103, '10.0.0.1:22')] },
    { added: [balanced(80, 80)] },
    { rings: [{ before: ringOf(1) }] },
  ]) {
    await expect(image.stage(changeOf(change))).rejects.toThrow(Mismatch);
    expect(image.census.fill()).toEqual(used);
  }
  expect(() => image.publish(stamp)).toThrow('nothing is staged');
  await image.stage(changeOf({}));
  await expect(image.stage(changeOf({}))).rejects.toThrow('staged already');
  image.abort();
});

test('epochs begin anew before they end, and the stamp stays', async () => {
  const { memory, image, commit } = await bench();
  await commit({ added: [nat(101, '10.0.0.1:22')] });
  await image.settled();
  new Int32Array(memory.control.buffer)[control.epoch / 4] = 0x7fffffef;
  const options = { shards: 2, gracePeriod: () => Promise.resolve() };
  const late = await Image.attach(memory, options);
  expect(late.stamp).toEqual(stamp);
  for (const port of [102, 103, 104]) {
    await late.stage(changeOf({ added: [nat(port, `10.0.0.1:${port}`)] }));
    expect(late.stamp).toEqual(stamp);
    late.publish(stamp);
    for (const shown of [101, port]) expect(at(new Reader(memory), shown)?.target.kind).toBe('nat');
  }
  expect(late.epoch).toBeLessThan(10);
});

test('counters are the sum of what CPUs counted, and begin anew with the target', async () => {
  const { memory, reader, image, commit } = await bench();
  const [entry, other] = [nat(101, '10.0.0.1:22'), nat(101, '10.0.0.1:23')];
  await commit({ added: [entry], rings: [{ after: ringOf(1) }] });
  const counters = new BigUint64Array(memory.counters.buffer);
  const row = (at(reader, 101)?.target.counter ?? 0) * 2 * 4;
  counters.set([1n, 2n ** 33n, 3n, 0n, 10n, 20n, 30n], row);
  expect(image.census.counters(entry)).toEqual({ packets: 11, bytes: 2 ** 33 + 20, flows: 33 });
  expect(image.census.counters(other)).toBeUndefined();
  const member = reader.member(0).counter * 2 * 4;
  counters.set([5n, 50n, 1n, 0n, 1n, 10n, 0n], member);
  const [first, absent] = ringOf(1, 9).members;
  expect([...image.census.memberCounters(ringOf(1, 9))]).toEqual([
    [first, { packets: 6, bytes: 60, flows: 1 }],
  ]);
  expect(absent?.address).toBe('10.0.0.9');
  // What members got is part of what rules got.
  expect(image.census.translated()).toBe(11);
  await commit({ replaced: [{ before: entry, after: other }] });
  expect(image.census.counters(other)).toEqual({ packets: 0, bytes: 0, flows: 0 });
});

test('memory of another layout, or that contradicts itself, is refused', async () => {
  const { memory, image, reader, commit } = await bench();
  const options = { shards: 2, gracePeriod: () => Promise.resolve() };
  await expect(Image.attach(memoryOf(shapeFor()), options)).rejects.toThrow(Mismatch);
  await commit({ added: [nat(101, '10.0.0.1:22'), nat(102, '10.0.0.2:22')] });
  await image.settled();
  const place = at(reader, 101)?.place ?? 0;
  const words = new Int32Array(memory.frontends.buffer, place * 64, 16);
  words.set([77, 77], 6);
  words.set([77], 10);
  await expect(Image.attach(memory, options)).rejects.toThrow(Mismatch);
});
