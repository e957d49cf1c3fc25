// Compiles the benches' own BPF programs, in the way in which Penstock's are.
import { join } from 'node:path';
import { execa } from 'execa';
import type { BenchContext } from '../bench.ts';

const script = join(import.meta.dirname, '../../../scripts/build-bpf');

/** The compiled object's path; `name` is a file of programs/. */
export async function compileProgram(context: BenchContext, name: string): Promise<string> {
  const object = join(await context.directory(), `${name}.o`);
  await execa(script, [join(import.meta.dirname, 'programs', `${name}.c`), object]);
  return object;
}
