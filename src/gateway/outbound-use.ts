// How much of their ports machines use: a port serves one flow to each destination, so the busiest destination counts.
import type { LiveFlow } from '../dataplane/live-flow.ts';
import { sourceKey } from '../resources/address.ts';

export interface OutboundUse {
  readonly flows: number;
  /** Ports in use towards the destination that has most of them. */
  readonly used: number;
  /** That destination, `198.51.100.7:443/tcp`; empty where there are no flows. */
  readonly busiest: string;
}

export const unused: OutboundUse = { flows: 0, used: 0, busiest: '' };

/** Counts flows as they are read, so that no list of them is held. */
export class UseCounter {
  /** By `sourceKey`, then by destination. */
  readonly #counts = new Map<string, Map<string, number>>();

  add({ machine, transport, peer }: LiveFlow): void {
    const key = sourceKey(machine.address, transport);
    const host = peer.address.includes(':') ? `[${peer.address}]` : peer.address;
    const destination = `${host}:${peer.port}/${transport}`;
    const counts = this.#counts.get(key) ?? new Map<string, number>();
    this.#counts.set(key, counts);
    counts.set(destination, (counts.get(destination) ?? 0) + 1);
  }

  /** By `sourceKey`; a machine without flows is absent. */
  get use(): ReadonlyMap<string, OutboundUse> {
    return new Map(this.#counts.entries().map(([key, counts]) => [key, useOf(counts)]));
  }
}

function useOf(counts: ReadonlyMap<string, number>): OutboundUse {
  let flows = 0;
  let used = 0;
  let busiest = '';
  for (const [destination, count] of counts) {
    flows += count;
    if (count <= used) continue;
    used = count;
    busiest = destination;
  }
  return { flows, used, busiest };
}

/** Of a member whose rule is for both protocols, each has all the ports: the fuller one counts. */
export function together(uses: readonly OutboundUse[]): OutboundUse {
  const flows = uses.reduce((sum, use) => sum + use.flows, 0);
  const fullest = uses.reduce((one, other) => (other.used > one.used ? other : one), unused);
  return { ...fullest, flows };
}

/** `low` from 75 % on, `exhausted` when all ports are in use towards one destination. */
export type OutboundLevel = 'normal' | 'low' | 'exhausted';

/** Falls later than it rises, so that a flow that comes and goes is no news each time. */
export function levelOf(used: number, ports: number, before: OutboundLevel): OutboundLevel {
  if (used >= ports || (before === 'exhausted' && used >= 0.95 * ports)) return 'exhausted';
  const isLow = used >= 0.75 * ports || (before !== 'normal' && used >= 0.7 * ports);
  return isLow ? 'low' : 'normal';
}
