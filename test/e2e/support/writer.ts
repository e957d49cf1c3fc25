// A caller that changes its own pool without a pause, and knows what it was told.
import type { GatewayClient } from '../../../src/wire/client.ts';
import { CallFailed } from '../../../src/wire/errors.ts';
import { tcp } from './declare.ts';

/** One load balancer with one pool; the pool's machines do not exist. */
export class Writer {
  readonly name: string;
  readonly #number: number;
  /** Ports by member, as acknowledged. */
  readonly #ports = new Map<string, number>();
  /** What was asked and never answered. */
  #open: { readonly add: boolean; readonly id: string } | undefined;
  #made = 0;
  #acknowledged = 0;

  constructor(number: number) {
    this.#number = number;
    this.name = `writer${number}`;
  }

  get acknowledged(): number {
    return this.#acknowledged;
  }

  async begin(client: GatewayClient): Promise<void> {
    const front = { name: 'front', address: `203.0.113.${200 + this.#number}`, addressOwnership: 2 };
    const rule = {
      name: 'ssh',
      frontend: 'front',
      protocol: tcp,
      backendPort: 22,
      pool: { backendPool: 'vms', frontendPortRangeStart: 500, maximumMachines: 50_000 },
    };
    const balanced = {
      name: 'web',
      frontend: 'front',
      protocol: tcp,
      frontendPort: 80,
      backendPort: 80,
      backendPool: 'vms',
    };
    const loadBalancer = {
      name: this.name,
      frontends: [front],
      backendPools: [{ name: 'vms' }],
      inboundNatRules: [rule],
      loadBalancingRules: [balanced],
    };
    await client.apply({ changes: { putLoadBalancers: [loadBalancer] } });
  }

  /** Changes until the agent is gone. */
  async run(client: GatewayClient): Promise<void> {
    for (;;) {
      const oldest = this.#ports.size > 12 ? this.#ports.keys().next().value : undefined;
      try {
        if (oldest === undefined) await this.#add(client, `m${this.#made}`);
        else await this.#remove(client, oldest);
      } catch (error) {
        if (error instanceof CallFailed && error.codeName === 'UNAVAILABLE') return;
        throw error;
      }
      this.#acknowledged += 1;
    }
  }

  /** What the gateway may say after a restart: what was acknowledged, with or without the change that was under way. */
  expected(found: ReadonlyMap<string, number>): ReadonlyMap<string, number> {
    const open = this.#open;
    this.#open = undefined;
    if (open?.add === true) {
      const port = found.get(open.id);
      if (port !== undefined) this.#ports.set(open.id, port);
    } else if (open !== undefined && !found.has(open.id)) this.#ports.delete(open.id);
    return this.#ports;
  }

  async #add(client: GatewayClient, id: string): Promise<void> {
    const number = this.#made++;
    const address = `10.${this.#number + 1}.${1 + Math.floor(number / 250)}.${1 + (number % 250)}`;
    this.#open = { add: true, id };
    const { plan } = await client.apply({
      changes: { putMembers: [{ loadBalancer: this.name, backendPool: 'vms', members: [{ id, address }] }] },
    });
    this.#open = undefined;
    const port = plan?.assigned[0]?.frontendPort;
    if (port === undefined) throw new Error(`${id} got no port`);
    this.#ports.set(id, port);
  }

  async #remove(client: GatewayClient, id: string): Promise<void> {
    this.#open = { add: false, id };
    await client.apply({
      changes: { deleteMembers: [{ loadBalancer: this.name, backendPool: 'vms', ids: [id] }] },
    });
    this.#open = undefined;
    this.#ports.delete(id);
  }
}
