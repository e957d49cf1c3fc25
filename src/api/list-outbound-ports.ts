// ListOutboundPorts: which ports the members of outbound rules have, and how many of them are in use now.
import type { GatewayContract } from '../gateway/contract.ts';
import type { Answer } from '../wire/client.ts';
import { penstock } from '../wire/generated/proto.js';
import { inChunks } from './chunk.ts';
import { outboundFilter } from './filters.ts';
import { type Sent, toOutboundPorts } from './to-proto.ts';

/** At least one chunk, so that the revision is told even where there is nothing. */
export async function* listOutboundPorts(
  gateway: GatewayContract,
  request: Answer<'ListOutboundPortsRequest'>,
): AsyncGenerator<Sent<'ListOutboundPortsResponse'>, void, undefined> {
  const found = await gateway.outboundPorts(outboundFilter(request));
  const { revision } = gateway.snapshot();
  const messages = Iterator.from(found).map(toOutboundPorts);
  let empty = true;
  for (const chunk of inChunks(messages, (one) => penstock.v1.OutboundPorts.encode(one).len)) {
    yield { revision, members: [...chunk] };
    empty = false;
  }
  if (empty) yield { revision };
}
