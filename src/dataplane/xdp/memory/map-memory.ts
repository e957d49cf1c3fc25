// A BPF array as this folder sees it: bytes. The kernel's folder maps real ones, unit tests make them of nothing.

/** A map that the agent writes through memory. */
export interface MapMemory {
  /** At least `entries * valueSize` bytes. */
  readonly buffer: ArrayBuffer;
  readonly entries: number;
  /** Bytes per entry, a multiple of 8: values follow each other without a gap. */
  readonly valueSize: number;
}

/** The arrays of `bpf/abi.h` that the agent maps into its memory. */
export const mapNames = [
  'control',
  'frontends',
  'backends',
  'machines',
  'rings',
  'members',
  'slots',
  'counters',
  'routes',
  'addresses',
  'flows',
  'seen',
  'contested',
  'devices',
] as const;

export type MapName = (typeof mapNames)[number];

/** Every array of one generation of maps. */
export type Memory = Readonly<Record<MapName, MapMemory>>;
