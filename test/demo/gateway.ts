// The demo's hold on the gateway: the command line, shown as a user would type it.
import { block, command } from './screen.ts';
import type { Site } from './site.ts';

export interface Mapping {
  readonly frontendAddress: string;
  readonly frontendPort: number;
  readonly member: string;
  readonly backendAddress: string;
  readonly backendPort: number;
}

export class Gateway {
  readonly #site: Site;

  constructor(site: Site) {
    this.#site = site;
  }

  /** Runs a command and shows it with what it prints. */
  async show(...args: readonly string[]): Promise<void> {
    command(`penstock ${args.join(' ')}`);
    block(await this.#site.penstock(args));
  }

  /** Shows what the gateway says about itself. */
  async showStatus(): Promise<void> {
    command('penstock status');
    block(await this.#site.penstock(['status']), 16);
  }

  /** The port mappings of the rule, by port. */
  async mappings(): Promise<readonly Mapping[]> {
    const text = await this.#site.penstock(['get', 'mappings', '--lb', 'web', '--no-counters', '-o', 'json']);
    const { mappings } = JSON.parse(text) as { readonly mappings: readonly Mapping[] };
    return mappings.toSorted((one, other) => one.frontendPort - other.frontendPort);
  }
}
