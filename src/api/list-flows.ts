// ListFlows: the flows that are live now, at most so many as were asked for.
import type { GatewayContract } from '../gateway/contract.ts';
import type { Answer } from '../wire/client.ts';
import { penstock } from '../wire/generated/proto.js';
import { inChunks } from './chunk.ts';
import { flowFilter } from './filters.ts';
import { type Sent, toFlow } from './to-proto.ts';

/** Where the request does not say. */
const flowsUsually = 1_000;

/** At least one message; whether there are more is said on the last. */
export async function* listFlows(
  gateway: GatewayContract,
  request: Answer<'ListFlowsRequest'>,
): AsyncGenerator<Sent<'ListFlowsResponse'>, void, undefined> {
  const { flows, more } = await gateway.flows(flowFilter(request), request.limit || flowsUsually);
  const messages = Iterator.from(flows).map(toFlow);
  for (const chunk of inChunks(messages, (flow) => penstock.v1.Flow.encode(flow).len)) {
    yield { flows: [...chunk] };
  }
  yield { more };
}
