// Loaded programs that outlive the agent, each in a directory of its own.
import { closeSync, rmdirSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { makeDirectory } from './bpf-file-system.ts';
import { describeProgram } from './describe.ts';
import { checked } from './kernel-error.ts';
import { libbpf } from './library.ts';
import type { PinDirectory } from './pin-directory.ts';
import { names, pinnedLinks, withPin } from './pinned-links.ts';
import { type LoadedProgram, programOf } from './program.ts';

export interface PinnedProgram {
  /** Higher than that of every program before. */
  readonly number: number;
  readonly program: LoadedProgram;
}

/**
 * Pins programs and maps, and gives the number of the directory. A process killed on the way leaves what no link runs,
 * and `runningPrograms` removes that. Throws `KernelError`.
 */
export function pinProgram({ programs }: PinDirectory, program: LoadedProgram): PinnedProgram {
  const number = Math.max(0, ...names(programs).map(Number)) + 1;
  const path = join(programs, String(number));
  makeDirectory(path);
  for (const name of program.maps.keys()) pin(program.mapFile(name), join(path, `map-${name}`));
  for (const name of program.programs.keys()) pin(program.programFile(name), join(path, `program-${name}`));
  return { number, program };
}

/** Removes the pins. What is attached, or open in a process, goes on until that ends, too. */
export function unpinProgram({ programs }: Pick<PinDirectory, 'programs'>, number: number): void {
  const path = join(programs, String(number));
  for (const name of names(path)) unlinkSync(join(path, name));
  rmdirSync(path);
}

/**
 * The programs that packets go through, by number: more than one only if the agent was killed while it replaced one,
 * and then the last is complete. Others are removed. Callers close them. Throws `KernelError`.
 */
export async function runningPrograms(directory: PinDirectory): Promise<readonly PinnedProgram[]> {
  const running = new Set(pinnedLinks(directory).map((link) => link.program));
  const found: PinnedProgram[] = [];
  try {
    for (const number of names(directory.programs)
      .map(Number)
      .sort((a, b) => a - b)) {
      const path = join(directory.programs, String(number));
      const ids = names(path)
        .filter((name) => name.startsWith('program-'))
        .map((name) => withPin(join(path, name), describeProgram).id);
      if (ids.some((id) => running.has(id))) found.push({ number, program: await open(path) });
      else unpinProgram(directory, number);
    }
    return found;
  } catch (error) {
    for (const { program } of found) program.close();
    throw error;
  }
}

async function open(path: string): Promise<LoadedProgram> {
  const programs = new Map<string, number>();
  const maps = new Map<string, number>();
  try {
    for (const entry of names(path)) {
      const [, kind, name = ''] = /^(program|map)-(.+)$/.exec(entry) ?? [];
      const file = checked(libbpf().open(join(path, entry)), `cannot open ${join(path, entry)}`);
      (kind === 'program' ? programs : maps).set(name, file);
    }
  } catch (error) {
    for (const file of [...programs.values(), ...maps.values()]) closeSync(file);
    throw error;
  }
  return await programOf({ programs, maps });
}

function pin(file: number, path: string): void {
  checked(libbpf().pin(file, path), `cannot pin ${path}`);
}
