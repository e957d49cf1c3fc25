// Compiles this folder's programs, into a directory that is gone after the test.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';

export interface Compiled extends Disposable {
  /** Path of the object. */
  readonly object: string;
}

/** With `defines` as preprocessor macros, such as `BROKEN`. */
export async function compile(source: string, defines: readonly string[] = []): Promise<Compiled> {
  const directory = mkdtempSync(join(tmpdir(), 'penstock-bpf-'));
  const variant = join(directory, source);
  const object = join(directory, source.replace(/\.c$/, '.o'));
  const lines = [
    ...defines.map((name) => `#define ${name}`),
    `#include "${join(import.meta.dirname, source)}"`,
  ];
  writeFileSync(variant, `${lines.join('\n')}\n`);
  const script = join(import.meta.dirname, '../../../../../scripts/build-bpf');
  await execa(script, [variant, object]);
  return { object, [Symbol.dispose]: () => rmSync(directory, { recursive: true }) };
}
