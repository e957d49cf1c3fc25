// What the kernel says about a map, a program or a link, by its descriptor (linux/bpf.h: bpf_map_info and its kin).
import { readFileSync } from 'node:fs';
import { memory } from './foreign.ts';
import { checked } from './kernel-error.ts';
import { libbpf } from './library.ts';

export interface MapInfo {
  /** enum bpf_map_type. */
  readonly type: number;
  readonly id: number;
  readonly keySize: number;
  readonly valueSize: number;
  readonly entries: number;
  readonly flags: number;
  /** Memory of the kernel's that it takes up, in bytes; the kernel's own estimate before Linux 6.4. */
  readonly bytes: number;
  /** 0: the map has none. */
  readonly btf: number;
  readonly btfValueType: number;
}

export interface ProgramInfo {
  readonly id: number;
  /** A hash over the instructions: equal for equal programs, whatever their maps and settings. 16 hexadecimal digits. */
  readonly tag: string;
  /** At most 15 characters. */
  readonly name: string;
}

export interface LinkInfo {
  readonly program: number;
  /** 0: the interface is gone, or the link was detached. */
  readonly interfaceIndex: number;
}

export const mapTypes = {
  hash: 1,
  array: 2,
  perCpuHash: 5,
  perCpuArray: 6,
  lruHash: 9,
  arrayOfMaps: 12,
} as const;
export const mapFlags = { mappable: 1 << 10 } as const;

export function describeMap(file: number): MapInfo {
  const info = describe(file, 88, 'map');
  return {
    type: info.readUInt32LE(0),
    id: info.readUInt32LE(4),
    keySize: info.readUInt32LE(8),
    valueSize: info.readUInt32LE(12),
    entries: info.readUInt32LE(16),
    flags: info.readUInt32LE(20),
    bytes: memoryOf(file),
    btf: info.readUInt32LE(64),
    btfValueType: info.readUInt32LE(72),
  };
}

export function describeProgram(file: number): ProgramInfo {
  const info = describe(file, 80, 'program');
  const name = info.subarray(64, 80);
  return {
    id: info.readUInt32LE(4),
    tag: info.toString('hex', 8, 16),
    name: name.toString('utf8', 0, name.indexOf(0)),
  };
}

export function describeLink(file: number): LinkInfo {
  const info = describe(file, 32, 'link');
  return { program: info.readUInt32LE(8), interfaceIndex: info.readUInt32LE(16) };
}

function memoryOf(file: number): number {
  const text = readFileSync(`/proc/self/fdinfo/${file}`, 'utf8');
  return Number(/^memlock:\s*(\d+)$/m.exec(text)?.[1] ?? 0);
}

/** A kernel that knows more than we ask for fills in the beginning. */
function describe(file: number, bytes: number, what: string): Buffer {
  const info = memory(bytes);
  const size = memory(4);
  size.writeUInt32LE(bytes);
  checked(libbpf().describe(file, info, size), `cannot ask about a BPF ${what}`);
  return info;
}
