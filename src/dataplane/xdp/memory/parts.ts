// All that an image is made of: one of each, over the same memory.
import { Backends } from './backends.ts';
import { Cells } from './cells.ts';
import { CounterRows } from './counter-rows.ts';
import { FlowMoves, type Moves } from './flow-moves.ts';
import { Frontends } from './frontends.ts';
import { control } from './layout.ts';
import type { Memory } from './map-memory.ts';
import { RingPorts } from './ring-ports.ts';
import { Rings } from './rings.ts';
import { Serials } from './serials.ts';
import type { OpenStore, Store } from './store.ts';
import type { Epochs } from './versions.ts';
import { WaysBack } from './ways-back.ts';

export interface Parts {
  readonly control: Store;
  readonly epochs: Epochs;
  readonly cells: Cells;
  readonly counters: CounterRows;
  readonly serials: Serials;
  readonly frontends: Frontends;
  readonly backends: Backends;
  readonly ways: WaysBack;
  readonly rings: Rings;
  readonly ringPorts: RingPorts;
  readonly flowMoves: FlowMoves;
}

export function makeParts(memory: Memory, shards: number, open: OpenStore): Parts {
  const store = open(memory.control);
  const epochs: Epochs = { current: store.get(control.epoch / 4) };
  const cells = new Cells(open(memory.addresses), memory.addresses);
  const counters = new CounterRows(open(memory.counters), memory.counters, shards);
  const serials = new Serials(store);
  const frontends = new Frontends(open(memory.frontends), memory.frontends, epochs, cells, counters);
  const backends = new Backends(
    open(memory.backends),
    memory.backends,
    open(memory.machines),
    memory.machines,
    epochs,
    cells,
  );
  const ringPorts = new RingPorts();
  const rings = new Rings(memory, open, epochs, backends, counters, serials, ringPorts);
  return {
    control: store,
    epochs,
    cells,
    counters,
    serials,
    frontends,
    backends,
    ways: new WaysBack(frontends, backends, ringPorts),
    rings,
    ringPorts,
    flowMoves: new FlowMoves(memory.flows, rings),
  };
}

/** Takes back all that is staged. */
export function abortParts(parts: Parts): void {
  const { cells, counters, flowMoves, frontends, backends, ways, rings, ringPorts } = parts;
  flowMoves.abort();
  ways.abort();
  ringPorts.abort();
  rings.abort();
  frontends.abort();
  backends.abort();
  backends.uses.abort();
  backends.ringUses.abort();
  backends.machines.abort();
  counters.abort();
  cells.abort();
}

/** What has to be settled after the grace period. */
export interface Batch {
  readonly frontends: Int32Array;
  readonly backends: Int32Array;
  readonly rings: () => void;
  readonly moves: Moves;
}

/** All that is staged has become visible. */
export function publishParts(parts: Parts): Batch {
  const { cells, counters, flowMoves, frontends, backends, ways, rings, ringPorts } = parts;
  ways.publish();
  ringPorts.publish();
  backends.uses.publish();
  backends.ringUses.publish();
  backends.machines.publish();
  counters.publish();
  cells.publish();
  return {
    frontends: frontends.versions.staged.take(),
    backends: backends.versions.staged.take(),
    rings: rings.publish(),
    moves: flowMoves.publish(),
  };
}

/** After the grace period, in steps. */
export function* settleParts(parts: Parts, batch: Batch): Generator<void, void, void> {
  const { flowMoves, frontends, backends } = parts;
  // While members that have gone can still be told.
  yield* flowMoves.moveAll(batch.moves);
  batch.rings();
  for (let at = 0; at < batch.frontends.length; at += 1) {
    frontends.settle(batch.frontends[at] as number);
    if (at % 1024 === 1023) yield;
  }
  for (let at = 0; at < batch.backends.length; at += 1) {
    backends.settle(batch.backends[at] as number);
    if (at % 1024 === 1023) yield;
  }
}
