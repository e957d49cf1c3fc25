// Cuts a whole configuration into messages that a stream carries: parts of one name are joined at the other end.
import type { Message } from '../wire/client.ts';

type LoadBalancer = Message<'LoadBalancer'>;

/** Members, rules and client ranges in one message: a few hundred kilobytes, far below gRPC's limit of 4 MiB. */
const elementsPerChunk = 4_000;

export interface Progress {
  readonly sent: number;
  readonly total: number;
}

/** The chunks that replace everything; the last one commits. `onProgress` hears of each chunk that was taken. */
export function* replaceAllChunks(
  loadBalancers: readonly LoadBalancer[],
  commit: Message<'Commit'>,
  onProgress: (progress: Progress) => void = () => {},
): Generator<Message<'ReplaceAllRequest'>> {
  const total = loadBalancers.reduce((sum, loadBalancer) => sum + elementsOf(loadBalancer), 0);
  let sent = 0;
  let chunk: LoadBalancer[] = [];
  let filled = 0;
  for (const loadBalancer of loadBalancers) {
    for (const part of partsOf(loadBalancer)) {
      const elements = elementsOf(part);
      if (chunk.length > 0 && filled + elements > elementsPerChunk) {
        yield { loadBalancers: chunk };
        sent += filled;
        onProgress({ sent, total });
        chunk = [];
        filled = 0;
      }
      chunk.push(part);
      filled += elements;
    }
  }
  yield { loadBalancers: chunk, commit };
  onProgress({ sent: total, total });
}

function elementsOf(loadBalancer: LoadBalancer): number {
  const pools = loadBalancer.backendPools ?? [];
  return (
    1 +
    pools.reduce((sum, pool) => sum + 1 + (pool.members?.length ?? 0), 0) +
    (loadBalancer.frontends?.length ?? 0) +
    elementsOfRules(loadBalancer.inboundNatRules) +
    elementsOfRules(loadBalancer.loadBalancingRules)
  );
}

type Rule = Message<'InboundNatRule'> | Message<'LoadBalancingRule'>;

function elementsOfRules(rules: readonly Rule[] = []): number {
  return rules.reduce((sum, rule) => sum + elementsOfRule(rule), 0);
}

function elementsOfRule({ limits }: Rule): number {
  return 1 + (limits?.allowedClients?.length ?? 0);
}

/** A load balancer in parts of bounded size, in the order of its lists. */
function* partsOf(loadBalancer: LoadBalancer): Generator<LoadBalancer> {
  if (elementsOf(loadBalancer) <= elementsPerChunk) {
    yield loadBalancer;
    return;
  }
  const { name, backendPools = [], inboundNatRules = [], loadBalancingRules = [], ...rest } = loadBalancer;
  const named = name === undefined ? {} : { name };
  yield { ...named, ...rest };
  for (const rules of slices(inboundNatRules, elementsOfRule)) yield { ...named, inboundNatRules: rules };
  for (const rules of slices(loadBalancingRules, elementsOfRule))
    yield { ...named, loadBalancingRules: rules };
  for (const { members = [], ...pool } of backendPools) {
    if (members.length === 0) yield { ...named, backendPools: [pool] };
    for (const slice of slices(members)) yield { ...named, backendPools: [{ ...pool, members: slice }] };
  }
}

/** Lists of as many elements as fit into a chunk, one item at least. */
function* slices<T>(items: readonly T[], elementsOf: (item: T) => number = () => 1): Generator<T[]> {
  let slice: T[] = [];
  let filled = 0;
  for (const item of items) {
    const elements = elementsOf(item);
    if (slice.length > 0 && filled + elements > elementsPerChunk) {
      yield slice;
      slice = [];
      filled = 0;
    }
    slice.push(item);
    filled += elements;
  }
  if (slice.length > 0) yield slice;
}
