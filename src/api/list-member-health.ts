// ListMemberHealth: how each member of each probed rule fares.
import type { GatewayContract } from '../gateway/contract.ts';
import type { Answer } from '../wire/client.ts';
import { penstock } from '../wire/generated/proto.js';
import { inChunks } from './chunk.ts';
import { type Sent, toMemberHealth } from './to-proto.ts';

/** Nothing at all where no rule that is asked for is probed. */
export function* listMemberHealth(
  gateway: GatewayContract,
  { loadBalancer, rule }: Answer<'ListMemberHealthRequest'>,
): Generator<Sent<'ListMemberHealthResponse'>, void, undefined> {
  const filter = { ...(loadBalancer && { loadBalancer }), ...(rule && { rule }) };
  const members = Iterator.from(gateway.snapshot().memberHealth(filter)).map(toMemberHealth);
  for (const chunk of inChunks(members, (one) => penstock.v1.MemberHealth.encode(one).len)) {
    yield { members: [...chunk] };
  }
}
