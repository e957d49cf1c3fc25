// What the tests ask an agent over gRPC, in one line each.
import { type Answer, GatewayClient, type Message } from '../../../src/wire/client.ts';
import { CallFailed } from '../../../src/wire/errors.ts';
import type { Lab } from '../../lab/lab.ts';

export type Mapping = Answer<'PortMapping'>;

export function connect(lab: Lab): GatewayClient {
  return new GatewayClient(lab.address);
}

/** Puts load balancers. */
export async function put(
  client: GatewayClient,
  ...putLoadBalancers: Message<'LoadBalancer'>[]
): Promise<Answer<'ApplyResponse'>> {
  return await client.apply({ changes: { putLoadBalancers } });
}

export async function listMappings(
  client: GatewayClient,
  request: Message<'ListPortMappingsRequest'> = {},
): Promise<readonly Mapping[]> {
  const mappings: Mapping[] = [];
  for await (const chunk of client.listPortMappings(request)) mappings.push(...chunk.mappings);
  return mappings;
}

export async function listRanges(client: GatewayClient): Promise<readonly Answer<'PortRange'>[]> {
  const ranges: Answer<'PortRange'>[] = [];
  for await (const chunk of client.listPortMappings({ skipCounters: true })) ranges.push(...chunk.ranges);
  return ranges;
}

/** `member:frontend port`, in the order of the answer. */
export function ports(mappings: readonly Mapping[]): readonly string[] {
  return mappings.map(({ member, frontendPort }) => `${member}:${frontendPort}`);
}

export async function listLoadBalancers(
  client: GatewayClient,
  request: Message<'ListLoadBalancersRequest'> = {},
): Promise<readonly Answer<'LoadBalancer'>[]> {
  const found: Answer<'LoadBalancer'>[] = [];
  for await (const chunk of client.listLoadBalancers(request)) found.push(...chunk.loadBalancers);
  return found;
}

export async function revisionOf(client: GatewayClient): Promise<number> {
  return (await client.getStatus()).revision;
}

/** The failure of a call; an error when it succeeds, or fails in another way. */
export async function failureOf(call: Promise<unknown>): Promise<CallFailed> {
  try {
    await call;
  } catch (error) {
    if (error instanceof CallFailed) return error;
    throw error;
  }
  throw new Error('the call succeeded');
}

export async function listFlows(
  client: GatewayClient,
  request: Message<'ListFlowsRequest'> = {},
): Promise<readonly Answer<'Flow'>[]> {
  const found: Answer<'Flow'>[] = [];
  for await (const { flows } of client.listFlows(request)) found.push(...flows);
  return found;
}

export async function listOutbound(
  client: GatewayClient,
  request: Message<'ListOutboundPortsRequest'> = {},
): Promise<readonly Answer<'OutboundPorts'>[]> {
  const found: Answer<'OutboundPorts'>[] = [];
  for await (const { members } of client.listOutboundPorts(request)) found.push(...members);
  return found;
}
