// Which table the memory holds: read and written together with the epoch.
import { control, stampPlaces } from './layout.ts';
import type { Store } from './store.ts';

export interface MemoryStamp {
  /** 16 hexadecimal digits. */
  readonly instance: string;
  readonly revision: number;
  /** Counts commits, so that a foreign one is noticed. */
  readonly sequence: number;
}

/** Written to where packets' epoch does not lead yet. */
export function stageStamp(store: Store, epoch: number, stamp: MemoryStamp): void {
  writeStamp(store, stampPlaces[(epoch & 1) as 0 | 1] / 4, stamp);
}

/** For those who look at the map with other tools. */
export function mirrorStamp(store: Store, stamp: MemoryStamp): void {
  writeStamp(store, control.instance / 4, stamp);
}

/** That of the published epoch; absent where nothing was ever published. */
export function readStamp(store: Store, epoch: number): MemoryStamp | undefined {
  if (epoch === 0) return undefined;
  const at = stampPlaces[(epoch & 1) as 0 | 1] / 4;
  const hex = (word: number) => (store.get(word) >>> 0).toString(16).padStart(8, '0');
  return {
    instance: hex(at + 1) + hex(at),
    revision: readNumber(store, at + 2),
    sequence: readNumber(store, at + 4),
  };
}

function writeStamp(store: Store, at: number, { instance, revision, sequence }: MemoryStamp): void {
  store.put(at, Number.parseInt(instance.slice(-8), 16));
  store.put(at + 1, Number.parseInt(instance.slice(0, -8) || '0', 16));
  writeNumber(store, at + 2, revision);
  writeNumber(store, at + 4, sequence);
}

function writeNumber(store: Store, at: number, value: number): void {
  store.put(at, value % 2 ** 32);
  store.put(at + 1, Math.floor(value / 2 ** 32));
}

function readNumber(store: Store, at: number): number {
  return (store.get(at) >>> 0) + (store.get(at + 1) >>> 0) * 2 ** 32;
}
