// A map's content as memory of this process: what is stored here, the program reads at once, and the other way round.
import { aside, koffi, type Pointer } from './foreign.ts';
import { KernelError } from './kernel-error.ts';
import { errno, libc } from './libc.ts';

/** An array map (BPF_F_MMAPABLE) in this process' memory. */
export interface MapMemory {
  /**
   * `entries` values, `stride` bytes apart. Atomics works on it. Stays readable after the program is closed, for as long
   * as anybody holds it: a late reader finds what no packet reads any more, and does not crash.
   */
  readonly buffer: ArrayBuffer;
  readonly entries: number;
  /** Of the C type, in bytes. */
  readonly valueSize: number;
  /** From one value to the next, in bytes: the kernel rounds the size up to 8. */
  readonly stride: number;
}

const protReadWrite = 1 | 2;
const mapShared = 1;
/** MAP_FAILED, as koffi gives it. */
const failed = new Set([-1n, 0xffff_ffff_ffff_ffffn]);

/**
 * Unmaps what nobody can read any more. Not by detaching the buffer when the program is closed: from the first detached
 * buffer on, V8 checks at every access of every typed array whether its own is (ArrayBufferDetachingProtector), and all
 * work on the maps takes twice as long.
 */
const mapped = new FinalizationRegistry<{ readonly address: Pointer; readonly length: number }>(
  ({ address, length }) => libc().munmap(address, length),
);

/** Throws `KernelError`. Runs on another thread: the kernel fills in the page tables of the whole map at once. */
export async function mapMemory(file: number, entries: number, valueSize: number): Promise<MapMemory> {
  const stride = Math.ceil(valueSize / 8) * 8;
  // What is behind the last value, up to the end of the page, belongs to the map, too, but to nobody's entry.
  const length = entries * stride;
  const address = await map(file, length);
  const buffer = koffi().view(address, length);
  mapped.register(buffer, { address, length });
  return { buffer, entries, valueSize, stride };
}

async function map(file: number, length: number): Promise<Pointer> {
  const address = await aside(libc().mmap, null, length, protReadWrite, mapShared, file, 0);
  if (!failed.has(address)) return address;
  // Only a call on this thread leaves its reason to us.
  const again = libc().mmap(null, length, protReadWrite, mapShared, file, 0);
  if (failed.has(again)) throw new KernelError(`cannot map ${length} bytes of a BPF map`, errno());
  return again;
}
