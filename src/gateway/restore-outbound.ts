// Rows of the store back into the blocks of outbound rules.
import type { LoadBalancerOutbound, Outbound, OutboundBlock } from '../ports/outbound.ts';
import { noOutbound } from '../ports/outbound.ts';
import { sourcesOf } from '../ports/outbound-owners.ts';
import type { LoadBalancer } from '../resources/model.ts';

interface CollectedBlock extends OutboundBlock {
  readonly rule: string;
  readonly backendPool: string;
}

/** By load balancer, in any order. */
export type CollectedBlocks = Map<string, CollectedBlock[]>;

/** In the order of rules and pools, as they were given out. */
export function restoredOutbound(blocks: CollectedBlocks, loadBalancers: readonly LoadBalancer[]): Outbound {
  const declaring = loadBalancers.filter(({ outboundRules }) => outboundRules.length > 0);
  if (declaring.length === 0) return noOutbound;
  const ports = noOutbound.ports.withMutations((all) => {
    for (const loadBalancer of declaring) {
      const restored = blocksOf(loadBalancer, blocks.get(loadBalancer.name) ?? []);
      if (restored.size > 0) all.set(loadBalancer.name, restored);
    }
  });
  const owners = noOutbound.owners.withMutations((all) => {
    for (const loadBalancer of declaring) {
      for (const [key, [owner]] of sourcesOf(loadBalancer)) if (owner !== undefined) all.set(key, owner);
    }
  });
  return { ports, owners };
}

function blocksOf(
  { outboundRules, backendPools }: LoadBalancer,
  collected: readonly CollectedBlock[],
): LoadBalancerOutbound {
  const byRule = Map.groupBy(collected, ({ rule }) => rule);
  return new Map(
    outboundRules.flatMap(({ name, backendPool }) => {
      const known = new Map(byRule.get(name)?.map((block) => [block.member, block]));
      const members = backendPools.find((pool) => pool.name === backendPool)?.members ?? [];
      const blocks = members.flatMap(({ id }): [string, OutboundBlock][] => {
        const block = known.get(id);
        if (block === undefined) return [];
        const { member, address, first, last, since } = block;
        return [[id, { member, address, first, last, since }]];
      });
      return blocks.length === 0 ? [] : [[name, { backendPool, blocks: new Map(blocks) }]];
    }),
  );
}
