// How large every map is, and what that costs: see bpf/README.md for the same as formulas.
import {
  backend,
  bucket,
  cells,
  cellsPerValue,
  contestedMax,
  control,
  counter,
  device,
  devicesMax,
  flowWays,
  frontend,
  machine,
  member,
  ring,
  route,
  routesMax,
  slots,
  slotsPerUnit,
  stamps,
  stampsPerValue,
} from './layout.ts';
import type { MapName } from './map-memory.ts';

/** Sizes that can be chosen. */
export interface Shape {
  /** Places: powers of two. */
  readonly frontends: number;
  readonly backends: number;
  readonly machines: number;
  readonly rings: number;
  readonly members: number;
  /** Units of 16 slots. */
  readonly slots: number;
  /** Targets and members that can be counted. */
  readonly rows: number;
  /** Counters of each row, a power of two: that of a CPU is its number modulo this. */
  readonly shards: number;
  /** Values of 64 cells, a power of two. */
  readonly addresses: number;
  /** Buckets of 7 flows, a power of two. */
  readonly flows: number;
  /** Values of 32 stamps, a power of two. */
  readonly seen: number;
}

/** What the maps have to hold. */
export interface Needs {
  readonly mappings: number;
  readonly machines: number;
  readonly rings: number;
  /** In all rings. */
  readonly members: number;
  /** Units of 16 slots, of all rings. */
  readonly units: number;
}

export const noNeeds: Needs = { mappings: 0, machines: 0, rings: 0, members: 0, units: 0 };

export interface Sizing {
  /** Flows that are tracked at a time. Default: 262,144. */
  readonly flows?: number;
  /** Processors that packets may arrive at. */
  readonly cpus: number;
  /** Bytes of counters above which processors share them. Default: 128 MiB. */
  readonly counterBytes?: number;
}

/** A buckets' worth of flows beyond which new ones would often find no room. */
const flowsPerBucket = 5;
/** Of the largest ring. */
const largestUnits = Math.ceil(65_537 / slotsPerUnit);

/** Maps with room for twice what they have to hold, and for the change from one to the next. */
export function defaultShape(needs: Needs, sizing: Sizing): Shape {
  const { mappings, machines, rings, members, units } = needs;
  const flows = powerOfTwo((sizing.flows ?? 262_144) / flowsPerBucket);
  const rows = Math.max(4096, Math.ceil(mappings * 1.5) + members * 2);
  return {
    frontends: powerOfTwo(Math.max(4096, mappings * 2)),
    backends: powerOfTwo(Math.max(4096, (mappings + machines) * 1.75)),
    machines: Math.max(1024, Math.ceil(machines * 1.5)),
    rings: Math.max(64, rings * 2),
    members: Math.max(1024, members * 2),
    slots: units * 2 + largestUnits * 2,
    rows,
    shards: shardsFor(rows, sizing),
    addresses: powerOfTwo(Math.max(65_536, machines * 4 + mappings)) / cellsPerValue,
    flows,
    seen: powerOfTwo(Math.max(65_536, flows * flowWays)) / stampsPerValue,
  };
}

function shardsFor(rows: number, { cpus, counterBytes = 128 * 2 ** 20 }: Sizing): number {
  let shards = powerOfTwo(cpus);
  while (shards > 1 && rows * shards * counter.size > counterBytes) shards /= 2;
  return shards;
}

/** The larger one of each size; where rows become many, processors share their counters. */
export function union(shape: Shape, other: Shape): Shape {
  const larger = Object.entries(shape).map(([key, size]) => [key, Math.max(size, other[key as keyof Shape])]);
  return fitted({ ...(Object.fromEntries(larger) as unknown as Shape), shards: shape.shards });
}

/** The same with one map twice as large. */
export function doubled(shape: Shape, map: MapName): Shape {
  const key = map === 'counters' ? 'rows' : map;
  return key in shape ? fitted({ ...shape, [key]: shape[key as keyof Shape] * 2 }) : shape;
}

function fitted(shape: Shape): Shape {
  return { ...shape, shards: shardsFor(shape.rows, { cpus: shape.shards }) };
}

/** `max_entries` of every array. */
export function entriesOf(shape: Shape): Readonly<Record<MapName, number>> {
  const { rows, shards, ...maps } = shape;
  return {
    ...maps,
    counters: rows * shards,
    control: 1,
    routes: 2 * routesMax,
    contested: contestedMax,
    devices: devicesMax,
  };
}

/** Bytes of a value of every array. */
export const valueSizes: Readonly<Record<MapName, number>> = {
  control: control.size,
  frontends: frontend.size,
  backends: backend.size,
  machines: machine.size,
  rings: ring.size,
  members: member.size,
  slots: slots.size,
  counters: counter.size,
  routes: route.size,
  addresses: cells.size,
  flows: bucket.size,
  seen: stamps.size,
  contested: cells.size,
  devices: device.size,
};

function powerOfTwo(atLeast: number): number {
  let power = 1;
  while (power < atLeast) power *= 2;
  return power;
}
