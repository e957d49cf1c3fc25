// What the reference says about a flow, from the same declaration that the agent was sent.
import { compile, emptyTable } from '../../../src/forwarding/compile.ts';
import type { FiveTuple } from '../../../src/forwarding/hash.ts';
import { lookup } from '../../../src/forwarding/lookup.ts';
import type { ForwardingTable } from '../../../src/forwarding/table.ts';
import { assignPorts, emptyPorts } from '../../../src/ports/assign.ts';
import { parseAddress } from '../../../src/resources/address.ts';
import { applyChangeSet, emptyConfiguration } from '../../../src/resources/configuration.ts';
import type { LoadBalancerDraft } from '../../../src/resources/draft.ts';
import type { Backend } from '../../lab/topology.ts';

/** A flow as the client sees it. */
export interface Flow {
  readonly source: string;
  readonly sourcePort: number;
  readonly destination: string;
  readonly port: number;
  readonly transport: FiveTuple['transport'];
}

export class Reference {
  readonly #table: ForwardingTable;
  readonly #machines: readonly Backend[];

  constructor(loadBalancers: readonly LoadBalancerDraft[], machines: readonly Backend[]) {
    const proposed = applyChangeSet(emptyConfiguration, { putLoadBalancers: loadBalancers });
    const { ports } = assignPorts(proposed, emptyPorts, { allowRemap: false, now: 0 });
    const changed = new Map([...proposed.changed].map(([name, { after }]) => [name, after]));
    this.#table = compile(emptyTable(), changed, ports);
    this.#machines = machines;
  }

  /** `machine:port`, as `reached` has it; undefined where nothing leads. */
  predict(flow: Flow): string | undefined {
    const [sourceAddress, destinationAddress] = [flow.source, flow.destination].map(parseAddress);
    if (sourceAddress === undefined || destinationAddress === undefined) throw new Error('no address');
    const destination = lookup(this.#table, {
      sourceAddress,
      sourcePort: flow.sourcePort,
      destinationAddress,
      destinationPort: flow.port,
      transport: flow.transport,
    });
    if (destination === undefined) return undefined;
    const machine = this.#machines.find(({ address, address6 }) =>
      [address, address6].includes(destination.address),
    );
    return `${machine?.node ?? destination.address}:${destination.port}`;
  }
}
