// The demo's hold on the gateway: the command line, shown as a user would type it.
import { execa } from 'execa';
import { penstock } from '../lab/agent.ts';
import type { Lab } from '../lab/lab.ts';
import { block, command } from './screen.ts';

export interface Mapping {
  readonly frontendAddress: string;
  readonly frontendPort: number;
  readonly member: string;
  readonly backendAddress: string;
  readonly backendPort: number;
}

export class Gateway {
  readonly #lab: Lab;

  constructor(lab: Lab) {
    this.#lab = lab;
  }

  /** Runs a command and shows it with what it prints. */
  async show(...args: readonly string[]): Promise<void> {
    command(`penstock ${args.join(' ')}`);
    block(await this.#run(args));
  }

  /** Shows what the gateway says about itself. */
  async showStatus(): Promise<void> {
    command('penstock status');
    block(await this.#run(['status']), 16);
  }

  /** The port mappings of the rule, by port. */
  async mappings(): Promise<readonly Mapping[]> {
    const text = await this.#run(['get', 'mappings', '--lb', 'web', '--no-counters', '-o', 'json']);
    const { mappings } = JSON.parse(text) as { readonly mappings: readonly Mapping[] };
    return mappings.toSorted((one, other) => one.frontendPort - other.frontendPort);
  }

  async #run(args: readonly string[]): Promise<string> {
    const env = { PENSTOCK_ADDRESS: this.#lab.address };
    const { stdout } = await execa(penstock, args, { env, cwd: this.#lab.directory });
    return stdout;
  }
}
