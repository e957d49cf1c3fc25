// What a bench is, and what it is given: a place to register whatever has to be gone afterwards.
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Lab, type LabOptions } from '../lab/lab.ts';
import { existingNamespaces } from '../lab/namespaces.ts';
import type { Figure } from './figures.ts';

export interface Bench {
  readonly name: string;
  /** One line for the list of benches. */
  readonly summary: string;
  run(context: BenchContext): Promise<readonly Figure[]>;
}

/** Where state directories are made: the file system hierarchy keeps it on disk, while /run and /tmp may be memory. */
const diskDirectory = '/var/tmp';

/** Everything taken from a context goes when the bench ends, whichever way it ends. */
export class BenchContext implements AsyncDisposable {
  /** Fewer samples and smaller tables: to see that a bench works, not for figures. */
  readonly quick: boolean;
  /** By name; undefined while a lab is being raised. */
  readonly #labs = new Map<string, Lab | undefined>();
  readonly #stack = new AsyncDisposableStack();
  #over = false;

  constructor(quick: boolean) {
    this.quick = quick;
  }

  /** Tells what is going on, beside the table. */
  note(text: string): void {
    process.stderr.write(`  ${text}\n`);
  }

  /** Raises a lab whose name begins with `bench`. */
  async lab(name: string, options: Omit<LabOptions, 'name'> = {}): Promise<Lab> {
    if (this.#over) throw new Error('The bench has been interrupted.');
    const full = `bench-${name}`;
    this.#labs.set(full, undefined);
    const lab = await Lab.up({ ...options, name: full });
    this.#labs.set(full, lab);
    return lab;
  }

  /** An empty directory on a disk. */
  async directory(): Promise<string> {
    const path = await mkdtemp(join(diskDirectory, 'penstock-bench-'));
    this.defer(() => rm(path, { recursive: true, force: true }));
    return path;
  }

  use<Resource extends AsyncDisposable | Disposable>(resource: Resource): Resource {
    return this.#stack.use(resource);
  }

  defer(cleanUp: () => Promise<void> | void): void {
    this.#stack.defer(cleanUp);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over = true;
    // First the labs: with their processes gone, nothing else waits for anything.
    for (const [name, lab] of this.#labs) await removeLab(name, lab);
    this.#labs.clear();
    await this.#stack.disposeAsync();
  }
}

/** A lab that is being raised, or taken down by its own signal handler, resists for a moment. */
async function removeLab(name: string, lab: Lab | undefined): Promise<void> {
  for (let attempts = 0; attempts < 5; attempts += 1) {
    await (lab?.down() ?? Lab.remove(name)).catch(() => undefined);
    if ((await existingNamespaces(name)).length === 0) return;
    await sleep(200);
  }
  throw new Error(`Lab "${name}" cannot be taken down.`);
}
