// What a lab leaves on disk while it is up, so that another process can use it and take it down.
import { constants } from 'node:fs';
import { access, mkdir, readdir, readFile, rename, rm, rmdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Process } from './processes.ts';

export type DataPlane = 'nftables' | 'xdp';

export interface Services {
  readonly http: readonly number[];
  readonly https: readonly number[];
  readonly udp: readonly number[];
}

export interface LabRecord {
  readonly name: string;
  readonly dataplane: DataPlane;
  /** The agent's `--flowtable`. */
  readonly flowtable: 'auto' | 'off';
  /** Numbers of the machines. */
  readonly backends: readonly number[];
  readonly services: Services;
  /** The process that the lab ends with; null for a lab that stays until it is taken down. */
  readonly owner: Process | null;
  readonly agent: Process | null;
}

const root = await access('/run', constants.W_OK).then(
  () => '/run/penstock-lab',
  () => join(process.env.XDG_RUNTIME_DIR ?? tmpdir(), 'penstock-lab'),
);

/** Holds everything of a lab: state, sockets, logs. */
export function runtimeDirectory(name: string): string {
  return join(root, name);
}

/** Takes the name; false when a lab has it. */
export async function claim(record: LabRecord): Promise<boolean> {
  await mkdir(root, { recursive: true });
  try {
    await mkdir(runtimeDirectory(record.name), { mode: 0o750 });
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw error;
  }
  await write(record);
  return true;
}

export async function write(record: LabRecord): Promise<void> {
  const file = join(runtimeDirectory(record.name), 'lab.json');
  await writeFile(`${file}.new`, `${JSON.stringify(record)}\n`);
  await rename(`${file}.new`, file);
}

export async function read(name: string): Promise<LabRecord | undefined> {
  const text = await readFile(join(runtimeDirectory(name), 'lab.json'), 'utf8').catch(() => undefined);
  return text === undefined ? undefined : (JSON.parse(text) as LabRecord);
}

export async function names(): Promise<readonly string[]> {
  return (await readdir(root).catch(() => [])).toSorted();
}

export async function erase(name: string): Promise<void> {
  await rm(runtimeDirectory(name), { recursive: true, force: true });
  // Refused while another lab is up.
  await rmdir(root).catch(() => undefined);
}
