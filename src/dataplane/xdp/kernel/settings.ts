// The program's constants (.rodata), by name: where each stands is read from the object's own type information (BTF).
import { koffi, memory, type Pointer } from './foreign.ts';
import { libbpf } from './library.ts';

/** The constants of a loaded program, or those to be set. Whole numbers from 0 on; booleans are 0 and 1. */
export type Settings = Readonly<Record<string, number>>;

interface Place {
  readonly offset: number;
  readonly bytes: 1 | 2 | 4 | 8;
}

const kinds = { struct: 4, dataSection: 15 } as const;
/** struct btf_type, and the entries of a struct and of a data section (linux/btf.h). */
const typeBytes = 12;
const entryBytes = 12;

/**
 * Where each constant of the section stands. The members of a constant that is a struct go by their own names. What is
 * not a whole number (an array) is left out.
 */
export function settingPlaces(btf: Pointer, section: number): ReadonlyMap<string, Place> {
  const places = new Map<string, Place>();
  const add = (name: string, type: number, offset: number): void => {
    const bytes = Number(libbpf().btfSize(btf, type));
    if (bytes === 1 || bytes === 2 || bytes === 4 || bytes === 8) places.set(name, { offset, bytes });
  };
  for (const variable of entries(btf, section)) {
    // A section's entry is { type, offset, size }, and its type a variable, which has a name and a type.
    const { name, reference } = typeAt(btf, variable[0]);
    const type = skipQualifiers(btf, reference);
    if (typeAt(btf, type).kind !== kinds.struct) add(name, type, variable[1]);
    // A struct's is { name, type, offset in bits }.
    else {
      for (const member of entries(btf, type)) {
        add(libbpf().btfName(btf, member[0]) ?? '', member[1], variable[1] + member[2] / 8);
      }
    }
  }
  return places;
}

/** The type id of the section with the constants; undefined if the object has none. */
export function settingsSection(btf: Pointer): number | undefined {
  const id = libbpf().btfFind(btf, '.rodata', kinds.dataSection);
  return id < 0 ? undefined : id;
}

/** Throws on a name that the program does not have, and on a value that does not fit. */
export function writeSettings(
  into: Uint8Array,
  places: ReadonlyMap<string, Place>,
  settings: Settings,
): void {
  const view = new DataView(into.buffer, into.byteOffset, into.byteLength);
  for (const [name, value] of Object.entries(settings)) {
    const place = places.get(name);
    if (place === undefined) throw new Error(`the program has no setting ${name}`);
    const { offset, bytes } = place;
    if (!Number.isSafeInteger(value) || value < 0 || value >= 2 ** (8 * bytes)) {
      throw new Error(`the setting ${name} has ${bytes} bytes, which do not hold ${value}`);
    }
    if (bytes === 8) view.setBigUint64(offset, BigInt(value), true);
    else if (bytes === 4) view.setUint32(offset, value, true);
    else if (bytes === 2) view.setUint16(offset, value, true);
    else view.setUint8(offset, value);
  }
}

export function readSettings(from: Buffer, places: ReadonlyMap<string, Place>): Settings {
  const settings: Record<string, number> = {};
  for (const [name, { offset, bytes }] of places) {
    settings[name] = bytes === 8 ? Number(from.readBigUInt64LE(offset)) : from.readUIntLE(offset, bytes);
  }
  return settings;
}

/** The settings of the .rodata map of a program that the kernel runs. */
export function runningSettings(file: number, valueSize: number, btfId: number, section: number): Settings {
  const btf = libbpf().btfFromKernel(btfId);
  if (btf === null) return {};
  try {
    const content = memory(valueSize);
    if (libbpf().get(file, memory(4), content) < 0) return {};
    return readSettings(content, settingPlaces(btf, section));
  } finally {
    libbpf().btfFree(btf);
  }
}

/** CONST, VOLATILE and TYPEDEF: `const volatile __u32` is three of them before the number itself. */
function skipQualifiers(btf: Pointer, id: number): number {
  const { kind, reference } = typeAt(btf, id);
  return kind === 8 || kind === 9 || kind === 10 ? skipQualifiers(btf, reference) : id;
}

function typeAt(btf: Pointer, id: number): { name: string; kind: number; count: number; reference: number } {
  const bytes = read(pointerTo(btf, id), typeBytes);
  const info = bytes.readUInt32LE(4);
  return {
    name: libbpf().btfName(btf, bytes.readUInt32LE(0)) ?? '',
    kind: (info >>> 24) & 31,
    count: info & 0xffff,
    // A size, for those types that refer to no other.
    reference: bytes.readUInt32LE(8),
  };
}

function entries(btf: Pointer, id: number): readonly (readonly [number, number, number])[] {
  const { count } = typeAt(btf, id);
  const bytes = read(pointerTo(btf, id) + BigInt(typeBytes), count * entryBytes);
  return Array.from({ length: count }, (_, i) => [
    bytes.readUInt32LE(i * entryBytes),
    bytes.readUInt32LE(i * entryBytes + 4),
    bytes.readUInt32LE(i * entryBytes + 8),
  ]);
}

function pointerTo(btf: Pointer, id: number): Pointer {
  const type = libbpf().btfType(btf, id);
  if (type === null) throw new Error(`the object's type information has no type ${id}`);
  return type;
}

/** A copy: the original goes with its object. */
function read(at: Pointer, bytes: number): Buffer {
  return bytes === 0 ? Buffer.alloc(0) : Buffer.from(new Uint8Array(koffi().view(at, bytes)).slice());
}
