// Loads an object file's programs and maps into the kernel. Nothing is attached by it, and no packet sees it.
//
//   const program = await loadProgram({
//     object: 'bpf/penstock.bpf.o',
//     shape: { frontends: 4096, backends: 4096 },            // max_entries; other maps keep the object's own
//     settings: { frontend_mask: 4095, backend_mask: 4095 }, // const volatile variables, by name
//   });
//   const frontends = new DataView(program.memory('frontends').buffer);
//   const { verdict, frame } = program.testRun({ frame: bytes, ifindex: 2 });
//   await gracePeriod();
//   program.close();                                         // and the kernel forgets it, unless it is pinned
import { closeSync } from 'node:fs';
import { DataPlaneUnavailable } from '../../dataplane.ts';
import { describeMap } from './describe.ts';
import { aside, koffi, memory, type Pointer } from './foreign.ts';
import { checked, errnos, KernelError } from './kernel-error.ts';
import { errno, libc } from './libc.ts';
import { libbpf } from './library.ts';
import { withLog } from './log.ts';
import { type LoadedProgram, programOf, settingsMap } from './program.ts';
import { type Settings, settingPlaces, settingsSection, writeSettings } from './settings.ts';

export interface LoadRequest {
  /** Path of the compiled object. */
  readonly object: string;
  /** Entries of maps, by name. Those that are not named are as large as the object says. */
  readonly shape: Readonly<Record<string, number>>;
  /** Constants, by name. Those that are not named are as the object says. */
  readonly settings: Settings;
  /** Maps that the new program shares with another one; their shape is that of the other's. */
  readonly reuse?: { readonly from: LoadedProgram; readonly maps: readonly string[] };
}

/** The kernel does not take the program. The log is the verifier's and libbpf's, in full. */
export class ProgramRefused extends DataPlaneUnavailable {
  readonly log: string;

  constructor(error: KernelError) {
    super([findingOf(error)]);
    this.log = error.log;
    this.cause = error;
  }
}

/**
 * Loads every program of the object. Those of the section `xdp.frags` are left out where the kernel does not take them
 * (before 5.18). Throws `ProgramRefused`, `DataPlaneUnavailable` where libbpf is missing, and `Error` for a map or
 * setting that the object does not have.
 */
export async function loadProgram(request: LoadRequest): Promise<LoadedProgram> {
  try {
    return await attempt(request, true);
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    if (error instanceof FragsRefused) return await loadWithoutFrags(request);
    throw new ProgramRefused(error);
  }
}

/** Something went wrong, and there was a program that may be left out. */
class FragsRefused extends KernelError {}

async function loadWithoutFrags(request: LoadRequest): Promise<LoadedProgram> {
  try {
    return await attempt(request, false);
  } catch (error) {
    throw error instanceof KernelError ? new ProgramRefused(error) : error;
  }
}

function attempt(request: LoadRequest, frags: boolean): Promise<LoadedProgram> {
  return withLog(async (log) => {
    const object = libbpf().objectOpen(request.object, null);
    if (object === null) throw new KernelError(`cannot open ${request.object}`, errno(), log());
    try {
      const optional = programsOf(object).filter((each) => libbpf().programSection(each) === 'xdp.frags');
      if (!frags) for (const each of optional) libbpf().programSetAutoload(each, false);
      prepareMaps(object, request);
      const result = await aside(libbpf().objectLoad, object);
      if (result < 0) {
        const Kind = frags && optional.length > 0 ? FragsRefused : KernelError;
        throw new Kind(`the kernel does not take ${request.object}`, -result, log());
      }
      return await programOf(duplicates(object, frags ? [] : optional));
    } finally {
      libbpf().objectClose(object);
    }
  });
}

function prepareMaps(object: Pointer, { shape, settings, reuse }: LoadRequest): void {
  const maps = mapsOf(object);
  const find = (name: string): Pointer => {
    const map = maps.get(name);
    if (map === undefined) throw new Error(`the object has no map ${name}`);
    return map;
  };
  for (const [name, entries] of Object.entries(shape)) {
    checked(libbpf().mapSetEntries(find(name), entries), `cannot give the map ${name} ${entries} entries`);
  }
  for (const name of reuse?.maps ?? []) {
    const file = reuse?.from.mapFile(name) ?? -1;
    mustFit(name, find(name), file);
    checked(libbpf().mapReuse(find(name), file), `cannot reuse the map ${name}`);
  }
  const constants = maps.get(settingsMap);
  if (constants !== undefined) prepareSettings(object, constants, settings);
  else if (Object.keys(settings).length > 0) throw new Error('the object has no settings');
}

function prepareSettings(object: Pointer, map: Pointer, settings: Settings): void {
  const btf = libbpf().objectBtf(object);
  const section = btf === null ? undefined : settingsSection(btf);
  const size = memory(8);
  const content = libbpf().mapInitialValue(map, size);
  if (btf === null || section === undefined || content === null) {
    throw new Error('the object has no type information: compile it with -g');
  }
  const bytes = new Uint8Array(koffi().view(content, Number(size.readBigUInt64LE(0))));
  writeSettings(bytes, settingPlaces(btf, section), settings);
}

/** libbpf itself would take the other map's layout for the object's. */
function mustFit(name: string, map: Pointer, file: number): void {
  const other = describeMap(file);
  const bpf = libbpf();
  const fits =
    bpf.mapType(map) === other.type &&
    bpf.mapFlags(map) === other.flags &&
    bpf.mapKeySize(map) === other.keySize &&
    bpf.mapValueSize(map) === other.valueSize;
  if (!fits) throw new Error(`the map ${name} has another layout than the one to be reused`);
}

/** Descriptors that outlive the object. */
function duplicates(object: Pointer, left: readonly Pointer[]): Parameters<typeof programOf>[0] {
  const programs = new Map<string, number>();
  const maps = new Map<string, number>();
  try {
    for (const each of programsOf(object)) {
      if (!left.includes(each))
        programs.set(libbpf().programName(each), duplicate(libbpf().programFile(each)));
    }
    for (const [name, map] of mapsOf(object)) maps.set(name, duplicate(libbpf().mapFile(map)));
    return { programs, maps };
  } catch (error) {
    for (const file of [...programs.values(), ...maps.values()]) closeSync(file);
    throw error;
  }
}

function duplicate(file: number): number {
  const closeOnExec = 1030;
  const copy = libc().duplicate(file, closeOnExec, 0);
  if (copy < 0) throw new KernelError('cannot duplicate a BPF descriptor', errno());
  return copy;
}

function programsOf(object: Pointer): readonly Pointer[] {
  const programs: Pointer[] = [];
  for (let last: Pointer | null = null; ; programs.push(last)) {
    last = libbpf().objectNextProgram(object, last);
    if (last === null) return programs;
  }
}

/** The compiler's own maps are called after the object (`penstock.rodata`), and go by what is behind the dot here. */
function mapsOf(object: Pointer): ReadonlyMap<string, Pointer> {
  const maps = new Map<string, Pointer>();
  for (let last: Pointer | null = null; ; ) {
    last = libbpf().objectNextMap(object, last);
    if (last === null) return maps;
    const name = libbpf().mapName(last);
    maps.set(name.slice(name.lastIndexOf('.') + 1), last);
  }
}

function findingOf(error: KernelError): ConstructorParameters<typeof DataPlaneUnavailable>[0][number] {
  if (error.errno === errnos.notPermitted) {
    return {
      code: 'BPF_NOT_PERMITTED',
      message: error.message,
      remedy: 'run the agent as root',
    };
  }
  if (error.errno === errnos.noEntry) {
    return {
      code: 'BPF_OBJECT_MISSING',
      message: error.message,
      remedy: 'install the package again: it brings the object along',
    };
  }
  return {
    code: 'XDP_PROGRAM_REFUSED',
    message: `${error.message}: ${lastWords(error.log)}`,
    remedy: 'boot Linux 6.1 or later; with one, report this with the full log',
  };
}

/** The verifier gives its reason before its statistics. */
function lastWords(log: string): string {
  const lines = log.split('\n');
  const end = lines.findIndex((line) => /^processed \d+ insns/.test(line));
  return (end > 0 ? lines[end - 1] : lines.find((line) => line !== '')) ?? 'no reason given';
}
