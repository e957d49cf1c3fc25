// Why a change cannot be staged.
import type { MapName } from './map-memory.ts';
import type { Shape } from './shape.ts';

/** A map is too small. Nothing is staged. */
export class DoesNotFit extends Error {
  override readonly name = 'DoesNotFit';
  readonly map: MapName;
  /** Maps of this shape hold what is there and the change. */
  readonly wanted: Shape;

  constructor(map: MapName, wanted: Shape) {
    super(`the map ${map} is too small`);
    this.map = map;
    this.wanted = wanted;
  }
}

/** The memory is not what it should be: another layout, or not what the change starts from. Loading mends it. */
export class Mismatch extends Error {
  override readonly name = 'Mismatch';
}

/** Thrown inside: a map is full. */
export class Full extends Error {
  override readonly name = 'Full';
  readonly map: MapName;

  constructor(map: MapName) {
    super(`the map ${map} is full`);
    this.map = map;
  }
}

/** Thrown inside: packets may still read what the last change replaced. */
export class NotSettled extends Error {
  override readonly name = 'NotSettled';

  constructor() {
    super('a grace period has to pass first');
  }
}
