// After a restart: from what the kernel's memory holds to what the agent has to know. A commit that was being staged is rolled
// back, one that was published is settled.
import type { Backends } from './backends.ts';
import { machineKey } from './backends.ts';
import { isHandedUp, leadsToMachine } from './entries.ts';
import { kindOf } from './frontends.ts';
import { targetKind, way } from './layout.ts';
import type { Parts } from './parts.ts';
import { Mismatch } from './trouble.ts';
import { WaysBack } from './ways-back.ts';

const portBits = 0xffff;

/** In steps. Nothing may be staged, and a grace period has passed since the last store. Throws `Mismatch`. */
export function* recoverParts(parts: Parts): Generator<void, void, void> {
  yield* recoverBackends(parts);
  parts.rings.recover();
  yield;
  yield* recoverFrontends(parts);
  yield* parts.flowMoves.recover();
  yield* parts.cells.recovered();
  parts.ringPorts.publish();
}

function* recoverBackends({ backends, cells, ways }: Parts): Generator<void, void, void> {
  const { table, machines } = backends;
  const address = new Int32Array(4);
  let used = 0;
  for (let index = 0; index < table.capacity; index += 1) {
    if (index % 16_384 === 16_383) yield;
    const value = backends.recover(index);
    if (value === 0) continue;
    used += 1;
    const shared = (value & way.shared) !== 0;
    if (table.key(index) !== machineKey) {
      // Those that share it are counted one by one.
      if (!shared) ways.uses.recover(index);
      continue;
    }
    if (!machines.mark(value & way.index)) throw new Mismatch(`machine ${value & way.index} is there twice`);
    cells.recover('machine', table.address(index, address));
    if (shared) cells.recover('ring', address);
  }
  table.recount(used);
}

function* recoverFrontends(parts: Parts): Generator<void, void, void> {
  const { frontends, backends, cells, counters, flowMoves, ways } = parts;
  const { table } = frontends;
  const address = new Int32Array(4);
  const hasSiblings = parts.rings.siblings();
  let used = 0;
  for (let index = 0; index < table.capacity; index += 1) {
    if (index % 16_384 === 16_383) yield;
    if (!frontends.recover(index)) continue;
    used += 1;
    const { to, how, counter, serial } = frontends.newest(index);
    if (!counters.mark(counter)) throw new Mismatch(`row ${counter} of the counters is used twice`);
    cells.recover('frontend', table.address(index, address));
    const kind = kindOf(how);
    const key = WaysBack.key(how, table.key(index));
    if (kind === targetKind.balanced) parts.ringPorts.addPort(to, key);
    if (!leadsToMachine(how)) {
      // A change that moves flows may have been published, and the agent gone before all of them were.
      if (hasSiblings(to)) flowMoves.stage(index, serial, to);
      continue;
    }
    if (!backends.machines.has(to)) throw new Mismatch(`frontend ${index} leads to no machine`);
    backends.uses.recover(to);
    if (isHandedUp(kind)) continue;
    if ((key & portBits) === 0) ways.everyPort.recover(to);
    if (kind === targetKind.tracked) ways.uses.recover(wayOf(backends, to, key, address));
  }
  table.recount(used);
}

function wayOf(backends: Backends, machine: number, key: number, address: Int32Array): number {
  const entry = backends.table.find(backends.addressOf(machine, address), key);
  if (entry < 0) throw new Mismatch(`machine ${machine} has no way back`);
  return entry;
}
