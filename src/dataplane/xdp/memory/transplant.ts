// Into larger maps, beside those that the running program reads: nothing is forgotten, and flows go on.
//
// What flows refer to stays where it is (machines, members, rings, rows of counters: the same index in a larger array), but for
// frontends: of their index, higher bits are new. So a larger `frontends` needs a `flows` of its own, as the two programs
// would not mean the same by an index; and a `backends` of its own, which names frontends.

import { machineKey } from './backends.ts';
import { Image, type ImageOptions } from './image.ts';
import { backend, cellsPerValue, machine, way } from './layout.ts';
import type { MapMemory, MapName, Memory } from './map-memory.ts';
import { copyCounters } from './move-counters.ts';
import { copyFlows, followFlows } from './move-flows.ts';
import { moveTable } from './move-table.ts';
import { inSteps } from './steps.ts';
import { keyAt, keyBits } from './table.ts';

export interface Transplanted {
  readonly image: Image;
  /**
   * To be called once the new program runs everywhere and a grace period has passed: takes along what packets have put
   * into the old flow table since. Until then, those few flows are nftables'.
   */
  readonly follow: () => Promise<void>;
}

/** Maps that are copied as they are, to the same indices. */
const kept: readonly MapName[] = ['control', 'rings', 'members', 'slots', 'routes', 'devices'];

/**
 * An image over `memory`, of which each map is either zeroed and no smaller than that of `from`, or the very same. Between
 * this and the switch to the new program nothing may be staged in either; packets counted by the old program in that time
 * are lost to the counters of the new. Throws `RangeError` for maps that cannot take over.
 */
export async function transplant(from: Image, memory: Memory, options: ImageOptions): Promise<Transplanted> {
  await from.settled();
  const old = from.memory;
  const fresh = (map: MapName) => memory[map].buffer !== old[map].buffer;
  const [before, after] = [from.census.shape.shards, options.shards];
  const roomIn = (of: Memory, map: MapName, shards: number) =>
    of[map].entries / (map === 'counters' ? shards : 1);
  for (const map of Object.keys(memory) as MapName[]) {
    if (roomIn(memory, map, after) < roomIn(old, map, before))
      throw new RangeError(`${map} would be smaller`);
  }
  if (after > before || (after < before && !fresh('counters'))) {
    throw new RangeError('counters would be shared out otherwise');
  }
  if (fresh('frontends') && !(fresh('backends') && fresh('flows'))) {
    throw new RangeError('frontends cannot move without backends and flows');
  }
  for (const map of kept) if (fresh(map)) copy(old[map], memory[map]);
  if (fresh('counters')) await inSteps(copyCounters(old.counters, before, memory.counters, after));
  if (fresh('machines')) copyMachines(old.machines, memory.machines);
  if (fresh('seen')) repeat(old.seen, memory.seen);
  const moved = fresh('frontends') ? await inSteps(moveTable(old.frontends, memory.frontends)) : noMoves;
  if (fresh('backends')) {
    await inSteps(moveTable(old.backends, memory.backends));
    await inSteps(renameOwners(memory.backends, moved));
  }
  if (fresh('contested') || fresh('backends')) contest(old, memory);
  const copied = fresh('flows') ? await inSteps(copyFlows(old.flows, memory.flows, moved)) : undefined;
  return {
    image: await Image.attach(memory, options),
    follow: async () => {
      if (copied !== undefined) await inSteps(followFlows(old.flows, memory.flows, moved, copied));
    },
  };
}

const noMoves = new Int32Array();

function copy(from: MapMemory, to: MapMemory): void {
  const bytes = from.entries * from.valueSize;
  new Uint8Array(to.buffer).set(new Uint8Array(from.buffer, 0, bytes));
}

/** Addresses alone: the program finds next hops anew. */
function copyMachines(from: MapMemory, to: MapMemory): void {
  const stride = machine.size / 4;
  const before = new Int32Array(from.buffer, 0, from.entries * stride);
  const after = new Int32Array(to.buffer, 0, to.entries * stride);
  for (let at = 0; at < before.length; at += stride) {
    for (let word = 0; word < 4; word += 1) after[at + word] = before[at + word] as number;
  }
}

/** A larger map that is indexed by a hash: each value stands wherever it may be looked for. */
function repeat(from: MapMemory, to: MapMemory): void {
  const values = new Uint8Array(from.buffer, 0, from.entries * from.valueSize);
  const target = new Uint8Array(to.buffer, 0, to.entries * to.valueSize);
  for (let at = 0; at < target.length; at += values.length) target.set(values, at);
}

function* renameOwners(backends: MapMemory, moved: Int32Array): Generator<void, void, void> {
  if (moved.length === 0) return;
  const stride = backend.size / 4;
  const words = new Int32Array(backends.buffer, 0, backends.entries * stride);
  for (let at = 0; at < words.length; at += stride) {
    if (at % (8192 * stride) === 0) yield;
    const key = (words[at + keyAt] as number) & keyBits;
    if (key === 0 || key === machineKey) continue;
    const place = at + backend.ways / 4 + ((words[at + backend.version / 4] as number) & 1);
    const value = words[place] as number;
    const owner = value & way.index;
    if (owner !== way.nobody) words[place] = (value & ~way.index) | (moved[owner] as number);
  }
}

/** Contested stays what was, at whatever index it may be now: a cell too many costs a look into the flow table. */
function contest(old: Memory, memory: Memory): void {
  const before = new Uint8Array(old.contested.buffer, 0, old.contested.entries * cellsPerValue);
  const after = new Uint8Array(memory.contested.buffer, 0, memory.contested.entries * cellsPerValue);
  for (let cell = 0; cell < before.length; cell += 1) {
    if (before[cell] === 0) continue;
    for (let other = cell % old.backends.entries; other < after.length; other += old.backends.entries) {
      after[other] = before[cell] as number;
    }
  }
}
