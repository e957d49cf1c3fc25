// ListLoadBalancers: what is declared, in chunks of one revision.
import type { GatewayContract } from '../gateway/contract.ts';
import { byName } from '../gateway/snapshot.ts';
import type { LoadBalancer } from '../resources/model.ts';
import { Refusal } from '../resources/refusal.ts';
import type { Answer } from '../wire/client.ts';
import { penstock } from '../wire/generated/proto.js';
import { ChunkSize } from './chunk.ts';
import {
  type Sent,
  toFrontend,
  toInboundNatRule,
  toLimitCounters,
  toLoadBalancingRule,
  toMember,
  toMemberCounters,
  toOutboundRule,
  toProbe,
  toRuleCounters,
} from './to-proto.ts';

const v1 = penstock.v1;

/** At least one chunk, so that the revision is told even where there is nothing. */
export async function* listLoadBalancers(
  gateway: GatewayContract,
  { name, withCounters }: Answer<'ListLoadBalancersRequest'>,
): AsyncGenerator<Sent<'ListLoadBalancersResponse'>, void, undefined> {
  const { revision, configuration } = gateway.snapshot();
  let chunk = new ResponseChunk(revision);
  for (const loadBalancer of name ? [named(configuration.get(name), name)] : byName(configuration)) {
    chunk.begin(loadBalancer.name);
    for (const piece of piecesOf(loadBalancer)) {
      if (chunk.size.isFullFor(piece.bytes)) {
        yield chunk.message;
        chunk = new ResponseChunk(revision);
        chunk.begin(loadBalancer.name);
      }
      chunk.add(piece);
    }
    if (!withCounters) continue;
    for (const [rule, counters] of await gateway.ruleCounters(loadBalancer)) {
      const message = toRuleCounters(loadBalancer.name, rule, counters);
      const bytes = v1.RuleCounters.encode(message).len;
      if (chunk.size.isFullFor(bytes)) {
        yield chunk.message;
        chunk = new ResponseChunk(revision);
      }
      chunk.addCounters(message, bytes);
    }
    for (const refused of await gateway.limitRefusals(loadBalancer)) {
      const message = toLimitCounters(loadBalancer.name, refused);
      const bytes = v1.LimitCounters.encode(message).len;
      if (chunk.size.isFullFor(bytes)) {
        yield chunk.message;
        chunk = new ResponseChunk(revision);
      }
      chunk.addLimitCounters(message, bytes);
    }
    for (const counters of await gateway.memberCounters(loadBalancer)) {
      const message = toMemberCounters(loadBalancer.name, counters);
      const bytes = v1.MemberCounters.encode(message).len;
      if (chunk.size.isFullFor(bytes)) {
        yield chunk.message;
        chunk = new ResponseChunk(revision);
      }
      chunk.addMemberCounters(message, bytes);
    }
  }
  yield chunk.message;
}

function named(loadBalancer: LoadBalancer | undefined, name: string): LoadBalancer {
  if (loadBalancer !== undefined) return loadBalancer;
  throw new Refusal([
    { field: 'name', reason: 'NOT_FOUND', description: `there is no load balancer ${JSON.stringify(name)}` },
  ]);
}

/** The smallest parts that a load balancer can be sent in. */
type Piece = { readonly bytes: number } & (
  | { readonly kind: 'frontend'; readonly message: Sent<'Frontend'> }
  | { readonly kind: 'pool'; readonly pool: string }
  | { readonly kind: 'member'; readonly pool: string; readonly message: Sent<'Member'> }
  | { readonly kind: 'probe'; readonly message: Sent<'Probe'> }
  | { readonly kind: 'nat-rule'; readonly message: Sent<'InboundNatRule'> }
  | { readonly kind: 'balancing-rule'; readonly message: Sent<'LoadBalancingRule'> }
  | { readonly kind: 'outbound-rule'; readonly message: Sent<'OutboundRule'> }
);

function* piecesOf(loadBalancer: LoadBalancer): Generator<Piece> {
  for (const frontend of loadBalancer.frontends) {
    const message = toFrontend(frontend);
    yield { kind: 'frontend', message, bytes: v1.Frontend.encode(message).len };
  }
  for (const { name: pool, members } of loadBalancer.backendPools) {
    yield { kind: 'pool', pool, bytes: pool.length };
    for (const member of members) {
      const message = toMember(member);
      yield { kind: 'member', pool, message, bytes: v1.Member.encode(message).len };
    }
  }
  for (const probe of loadBalancer.probes) {
    const message = toProbe(probe);
    yield { kind: 'probe', message, bytes: v1.Probe.encode(message).len };
  }
  for (const rule of loadBalancer.inboundNatRules) {
    const message = toInboundNatRule(rule);
    yield { kind: 'nat-rule', message, bytes: v1.InboundNatRule.encode(message).len };
  }
  for (const rule of loadBalancer.loadBalancingRules) {
    const message = toLoadBalancingRule(rule);
    yield { kind: 'balancing-rule', message, bytes: v1.LoadBalancingRule.encode(message).len };
  }
  for (const rule of loadBalancer.outboundRules) {
    const message = toOutboundRule(rule);
    yield { kind: 'outbound-rule', message, bytes: v1.OutboundRule.encode(message).len };
  }
}

interface Part {
  readonly name: string;
  readonly frontends: Sent<'Frontend'>[];
  readonly backendPools: { readonly name: string; readonly members: Sent<'Member'>[] }[];
  readonly probes: Sent<'Probe'>[];
  readonly inboundNatRules: Sent<'InboundNatRule'>[];
  readonly loadBalancingRules: Sent<'LoadBalancingRule'>[];
  readonly outboundRules: Sent<'OutboundRule'>[];
}

/** One response while it is filled. */
class ResponseChunk {
  readonly size = new ChunkSize();
  readonly message: Sent<'ListLoadBalancersResponse'>;
  readonly #parts: Part[] = [];
  readonly #counters: Sent<'RuleCounters'>[] = [];
  readonly #memberCounters: Sent<'MemberCounters'>[] = [];
  readonly #limitCounters: Sent<'LimitCounters'>[] = [];

  constructor(revision: number) {
    this.message = {
      revision,
      loadBalancers: this.#parts,
      ruleCounters: this.#counters,
      memberCounters: this.#memberCounters,
      limitCounters: this.#limitCounters,
    };
  }

  /** What is added from now on belongs to this load balancer. */
  begin(name: string): void {
    this.#parts.push({
      name,
      frontends: [],
      backendPools: [],
      probes: [],
      inboundNatRules: [],
      loadBalancingRules: [],
      outboundRules: [],
    });
    this.size.add(name.length);
  }

  add(piece: Piece): void {
    const part = this.#parts.at(-1);
    if (part === undefined) return;
    this.size.add(piece.bytes);
    switch (piece.kind) {
      case 'frontend':
        part.frontends.push(piece.message);
        break;
      case 'pool':
        part.backendPools.push({ name: piece.pool, members: [] });
        break;
      case 'member':
        poolOf(part, piece.pool).members.push(piece.message);
        break;
      case 'probe':
        part.probes.push(piece.message);
        break;
      case 'nat-rule':
        part.inboundNatRules.push(piece.message);
        break;
      case 'balancing-rule':
        part.loadBalancingRules.push(piece.message);
        break;
      case 'outbound-rule':
        part.outboundRules.push(piece.message);
        break;
    }
  }

  addCounters(message: Sent<'RuleCounters'>, bytes: number): void {
    this.#counters.push(message);
    this.size.add(bytes);
  }

  addLimitCounters(message: Sent<'LimitCounters'>, bytes: number): void {
    this.#limitCounters.push(message);
    this.size.add(bytes);
  }

  addMemberCounters(message: Sent<'MemberCounters'>, bytes: number): void {
    this.#memberCounters.push(message);
    this.size.add(bytes);
  }
}

/** The pool that the part is at; begun anew where the chunk before ended in the middle of it. */
function poolOf(part: Part, name: string): { readonly members: Sent<'Member'>[] } {
  const last = part.backendPools.at(-1);
  if (last?.name === name) return last;
  const pool = { name, members: [] };
  part.backendPools.push(pool);
  return pool;
}
