// Memory without a kernel behind it.
import type { MapName, Memory } from '../map-memory.ts';
import { defaultShape, entriesOf, type Needs, noNeeds, type Shape, valueSizes } from '../shape.ts';

/** Zeroed memory of a shape. */
export function memoryOf(shape: Shape): Memory {
  const maps = Object.entries(entriesOf(shape)) as [MapName, number][];
  return Object.fromEntries(
    maps.map(([map, entries]) => {
      const valueSize = valueSizes[map];
      return [map, { buffer: new ArrayBuffer(entries * valueSize), entries, valueSize }];
    }),
  ) as unknown as Memory;
}

/** Small in what does not matter here. */
export function shapeFor(needs: Partial<Needs> = {}, over: Partial<Shape> = {}): Shape {
  return { ...defaultShape({ ...noNeeds, ...needs }, { cpus: 2, flows: 64 }), ...over };
}
