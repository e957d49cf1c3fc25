// Compiles this folder's programs, into a directory that is gone after the test.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';

export interface Compiled extends Disposable {
  /** Path of the object. */
  readonly object: string;
}

/** `defines` are given to the compiler, such as `BROKEN`. */
export async function compile(source: string, defines: readonly string[] = []): Promise<Compiled> {
  const directory = mkdtempSync(join(tmpdir(), 'penstock-bpf-'));
  const object = join(directory, source.replace(/\.c$/, '.o'));
  const multiarch = { x64: 'x86_64', arm64: 'aarch64' }[process.arch as 'x64' | 'arm64'];
  await execa('clang', [
    ...['-O2', '-g', '-target', 'bpf', '-Wall', '-Werror', `-I/usr/include/${multiarch}-linux-gnu`],
    ...defines.map((define) => `-D${define}`),
    ...['-c', join(import.meta.dirname, source), '-o', object],
  ]);
  return { object, [Symbol.dispose]: () => rmSync(directory, { recursive: true }) };
}
