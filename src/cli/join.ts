// Puts load balancers together that came in parts: parts of one name are joined, and so are pools of one name.
import type { Answer } from '../wire/client.ts';

type LoadBalancer = Answer<'LoadBalancer'>;
type Chunk = Answer<'ListLoadBalancersResponse'>;

export interface Listed {
  readonly revision: number;
  readonly loadBalancers: readonly LoadBalancer[];
  readonly ruleCounters: readonly Answer<'RuleCounters'>[];
  readonly memberCounters: readonly Answer<'MemberCounters'>[];
  readonly limitCounters: readonly Answer<'LimitCounters'>[];
}

/** Reads the whole answer of ListLoadBalancers. */
export async function collectLoadBalancers(chunks: AsyncIterable<Chunk>): Promise<Listed> {
  const byName = new Map<string, LoadBalancer>();
  const ruleCounters: Answer<'RuleCounters'>[] = [];
  const memberCounters: Answer<'MemberCounters'>[] = [];
  const limitCounters: Answer<'LimitCounters'>[] = [];
  let revision = 0;
  for await (const chunk of chunks) {
    revision = chunk.revision;
    ruleCounters.push(...chunk.ruleCounters);
    memberCounters.push(...chunk.memberCounters);
    limitCounters.push(...chunk.limitCounters);
    for (const part of chunk.loadBalancers) {
      const before = byName.get(part.name);
      if (before === undefined) byName.set(part.name, part);
      else append(before, part);
    }
  }
  return { revision, loadBalancers: [...byName.values()], ruleCounters, memberCounters, limitCounters };
}

/** Both have just been read from the wire and belong to nobody else. */
function append(whole: LoadBalancer, part: LoadBalancer): void {
  // Assigned anew, as an empty list of a decoded message is shared by all.
  whole.frontends = [...whole.frontends, ...part.frontends];
  whole.probes = [...whole.probes, ...part.probes];
  whole.inboundNatRules = [...whole.inboundNatRules, ...part.inboundNatRules];
  whole.loadBalancingRules = [...whole.loadBalancingRules, ...part.loadBalancingRules];
  whole.outboundRules = [...whole.outboundRules, ...part.outboundRules];
  for (const pool of part.backendPools) {
    const before = whole.backendPools.find((one) => one.name === pool.name);
    if (before === undefined) whole.backendPools = [...whole.backendPools, pool];
    else before.members = [...before.members, ...pool.members];
  }
}
