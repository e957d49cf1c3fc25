// Where the demo plays: a lab in network namespaces, or machines of their own.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { penstock } from '../lab/agent.ts';
import type { Lab } from '../lab/lab.ts';
import type { DataPlane } from '../lab/record.ts';
import type { Backend } from '../lab/topology.ts';
import type { Traffic } from '../lab/traffic/traffic.ts';
import { slowness } from '../slowness.ts';

export interface Site {
  readonly dataplane: DataPlane;
  readonly backends: readonly Backend[];
  /** Adds the first machine that is free, with its servers. */
  addBackend(): Promise<Backend>;
  /** Takes a machine away at once, as if it lost its power. */
  removeBackend(node: Backend['node']): Promise<void>;
  traffic(): Promise<Traffic>;
  /** Puts a file where `penstock` finds it by its name alone. */
  put(name: string, text: string): Promise<void>;
  /** Runs Penstock's command line against the gateway's agent; gives what it prints. */
  penstock(args: readonly string[]): Promise<string>;
  /** How many times slower than usual it may be: so much less load is sent, and so much more patience is had. */
  readonly slowness: number;
}

export class LabSite implements Site {
  readonly #lab: Lab;

  constructor(lab: Lab) {
    this.#lab = lab;
  }

  readonly slowness = slowness;

  get dataplane(): DataPlane {
    return this.#lab.dataplane;
  }

  get backends(): readonly Backend[] {
    return this.#lab.backends;
  }

  async addBackend(): Promise<Backend> {
    return await this.#lab.addBackend();
  }

  async removeBackend(node: Backend['node']): Promise<void> {
    await this.#lab.removeBackend(node);
  }

  async traffic(): Promise<Traffic> {
    return await this.#lab.traffic();
  }

  async put(name: string, text: string): Promise<void> {
    await writeFile(join(this.#lab.directory, name), text);
  }

  async penstock(args: readonly string[]): Promise<string> {
    const env = { PENSTOCK_ADDRESS: this.#lab.address };
    return (await execa(penstock, args, { env, cwd: this.#lab.directory })).stdout;
  }
}
