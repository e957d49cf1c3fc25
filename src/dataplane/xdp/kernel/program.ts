// A program in the kernel with its maps, whether it was just loaded or found running.
import { closeSync } from 'node:fs';
import {
  describeMap,
  describeProgram,
  type MapInfo,
  mapFlags,
  mapTypes,
  type ProgramInfo,
} from './describe.ts';
import { type MapElements, mapElements, perCpuSums } from './map-elements.ts';
import { type MapMemory, mapMemory } from './map-memory.ts';
import { runningSettings, type Settings } from './settings.ts';
import { type TestResult, type TestRun, testRun } from './test-run.ts';

/** One object's programs and maps. The kernel keeps them for as long as this is open, or they are pinned or attached. */
export interface LoadedProgram {
  /** By name: `penstock`, and `penstock_frags` where the kernel takes frames of several buffers. */
  readonly programs: ReadonlyMap<string, ProgramInfo>;
  readonly maps: ReadonlyMap<string, MapInfo>;
  /** The constants that it was loaded with. */
  readonly settings: Settings;

  /** An array map in memory. The same answer every time. Throws if there is no such map, or it cannot be mapped. */
  memory(map: string): MapMemory;
  /** Any map, by system calls. */
  elements(map: string): MapElements;
  /** The sum over all CPUs of each element of a per-CPU array of 64-bit counters. */
  perCpuSums(map: string): readonly number[];
  /** Sends a frame through a program, `penstock` unless named. Changes maps as a packet would. */
  testRun(run: TestRun & { readonly program?: string }): TestResult;

  /** Descriptors, which stay the program's own. */
  programFile(program: string): number;
  mapFile(map: string): number;

  /** Lets go of descriptors and memory. What is attached or pinned goes on, and so does memory that somebody still holds. */
  close(): void;
}

export interface Files {
  readonly programs: ReadonlyMap<string, number>;
  readonly maps: ReadonlyMap<string, number>;
}

/** The map of constants is known by this name, whatever the object's is. */
export const settingsMap = 'rodata';

/** Takes descriptors over, also when it throws. */
export async function programOf({ programs, maps }: Files): Promise<LoadedProgram> {
  const memories = new Map<string, MapMemory>();
  const close = (): void => {
    memories.clear();
    for (const file of [...programs.values(), ...maps.values()]) closeSync(file);
  };
  try {
    const infos = new Map([...maps].map(([name, file]) => [name, describeMap(file)] as const));
    for (const [name, { type, flags, entries, valueSize }] of infos) {
      if (type !== mapTypes.array || (flags & mapFlags.mappable) === 0 || name === settingsMap) continue;
      memories.set(name, await mapMemory(found(maps, name, 'map'), entries, valueSize));
    }
    return withFiles({ programs, maps }, infos, memories, close);
  } catch (error) {
    close();
    throw error;
  }
}

function withFiles(
  { programs, maps }: Files,
  infos: ReadonlyMap<string, MapInfo>,
  memories: ReadonlyMap<string, MapMemory>,
  close: () => void,
): LoadedProgram {
  let open = true;
  const programFile = (name: string): number => found(mustBeOpen(programs), name, 'program');
  const mapFile = (name: string): number => found(mustBeOpen(maps), name, 'map');
  /** A closed descriptor's number may belong to another file by now. */
  function mustBeOpen<Value>(value: Value): Value {
    if (!open) throw new Error('the program is closed');
    return value;
  }
  return {
    programs: new Map([...programs].map(([name, file]) => [name, describeProgram(file)])),
    maps: infos,
    settings: settingsOf(maps, infos),
    memory: (map) => found(mustBeOpen(memories), map, 'map in memory'),
    elements: (map) => mapElements(mapFile(map), found(infos, map, 'map')),
    perCpuSums: (map) => perCpuSums(mapFile(map), found(infos, map, 'map').entries),
    testRun: ({ program = 'penstock', ...run }) => testRun(programFile(program), run),
    programFile,
    mapFile,
    close() {
      if (open) close();
      open = false;
    },
  };
}

function settingsOf(maps: ReadonlyMap<string, number>, infos: ReadonlyMap<string, MapInfo>): Settings {
  const file = maps.get(settingsMap);
  const info = infos.get(settingsMap);
  if (file === undefined || info === undefined || info.btf === 0) return {};
  return runningSettings(file, info.valueSize, info.btf, info.btfValueType);
}

function found<Value>(from: ReadonlyMap<string, Value>, name: string, what: string): Value {
  const value = from.get(name);
  if (value === undefined) throw new Error(`the object has no ${what} ${name}`);
  return value;
}
