// The compiled program that ships with this package, and which one it is.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { findPackageJSON } from 'node:module';
import { dirname, join } from 'node:path';
import { DataPlaneUnavailable } from '../dataplane.ts';

export interface ProgramObject {
  readonly path: string;
  /** 32 bits of a hash over the file: tells a running program of this build from another's. Never 0. */
  readonly build: number;
}

/** Throws `DataPlaneUnavailable` (BPF_OBJECT_MISSING). */
export function shippedObject(): ProgramObject {
  return objectAt(join(packageDirectory(), 'bpf', 'penstock.bpf.o'));
}

/** Throws `DataPlaneUnavailable` (BPF_OBJECT_MISSING). */
export function objectAt(path: string): ProgramObject {
  try {
    const digest = createHash('sha256').update(readFileSync(path)).digest();
    return { path, build: digest.readUInt32LE() || 1 };
  } catch (error) {
    throw new DataPlaneUnavailable([
      {
        code: 'BPF_OBJECT_MISSING',
        message: `the XDP program cannot be read: ${error instanceof Error ? error.message : String(error)}`,
        remedy: 'install the package again: it brings the program along',
      },
    ]);
  }
}

function packageDirectory(): string {
  const file = findPackageJSON('..', import.meta.url);
  return file === undefined ? '.' : dirname(file);
}
