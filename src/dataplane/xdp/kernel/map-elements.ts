// A map's elements through system calls, for maps that cannot be mapped: hashes and per-CPU arrays.
import { memory } from './foreign.ts';
import { checked, errnos } from './kernel-error.ts';
import { libbpf } from './library.ts';

/** Microseconds per call. Keys and values are in the layout of the C types. Everything throws `KernelError`. */
export interface MapElements {
  readonly keySize: number;
  readonly valueSize: number;
  readonly entries: number;
  /** Undefined if there is no such element. */
  get(key: Uint8Array): Buffer | undefined;
  put(key: Uint8Array, value: Uint8Array): void;
  /** False if there was none. */
  delete(key: Uint8Array): boolean;
  /** Elements that come or go meanwhile may be missing or named twice, as the kernel walks the buckets. */
  keys(): readonly Buffer[];
}

export function mapElements(
  file: number,
  { keySize, valueSize, entries }: Readonly<Record<'keySize' | 'valueSize' | 'entries', number>>,
): MapElements {
  const mustFit = (what: string, bytes: Uint8Array, size: number): void => {
    if (bytes.length !== size) throw new RangeError(`a ${what} has ${size} bytes, not ${bytes.length}`);
  };
  return {
    keySize,
    valueSize,
    entries,
    get(key) {
      mustFit('key', key, keySize);
      const value = memory(valueSize);
      const result = libbpf().get(file, key, value);
      if (result === -errnos.noEntry) return undefined;
      checked(result, 'cannot read from a BPF map');
      return value;
    },
    put(key, value) {
      mustFit('key', key, keySize);
      mustFit('value', value, valueSize);
      checked(libbpf().put(file, key, value, 0), 'cannot write to a BPF map');
    },
    delete(key) {
      mustFit('key', key, keySize);
      const result = libbpf().remove(file, key);
      if (result === -errnos.noEntry) return false;
      checked(result, 'cannot delete from a BPF map');
      return true;
    },
    keys() {
      const found: Buffer[] = [];
      for (let last: Buffer | null = null; found.length <= 2 * entries; ) {
        const next = memory(keySize);
        const result = libbpf().nextKey(file, last, next);
        if (result === -errnos.noEntry) break;
        checked(result, 'cannot list a BPF map');
        found.push(next);
        last = next;
      }
      return found;
    },
  };
}

/** The sum over all CPUs of each element of a per-CPU array of 64-bit counters. Exact up to 2^53. */
export function perCpuSums(file: number, entries: number): readonly number[] {
  const cpus = checked(libbpf().possibleCpus(), 'cannot tell the number of CPUs');
  const key = memory(4);
  const values = memory(cpus * 8);
  return Array.from({ length: entries }, (_, index) => {
    key.writeUInt32LE(index);
    checked(libbpf().get(file, key, values), 'cannot read from a BPF map');
    let sum = 0;
    for (let cpu = 0; cpu < cpus; cpu += 1) sum += Number(values.readBigUInt64LE(cpu * 8));
    return sum;
  });
}
