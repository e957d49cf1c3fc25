// The filters of queries, checked.
import type { FlowFilter, MappingFilter, OutboundFilter } from '../gateway/contract.ts';
import { parseAddress } from '../resources/address.ts';
import { refuseIfAny, type Violation } from '../resources/refusal.ts';
import type { Answer } from '../wire/client.ts';

/** Fields that are empty or 0 select everything. Throws a Refusal that names every field that cannot be meant. */
export function mappingFilter(request: Answer<'ListPortMappingsRequest'>): MappingFilter {
  const violations: Violation[] = [];
  const address = addressReader(violations);
  const { loadBalancer, rule, backendPool, member, memberAddress, frontendAddress, frontendPort } = request;
  checkAtMost(frontendPort, 65_535, 'frontend_port', violations);
  const filter = {
    ...(loadBalancer && { loadBalancer }),
    ...(rule && { rule }),
    ...(backendPool && { backendPool }),
    ...(member && { member }),
    ...(memberAddress && { memberAddress: address('member_address', memberAddress) }),
    ...(frontendAddress && { frontendAddress: address('frontend_address', frontendAddress) }),
    ...(frontendPort && { frontendPort }),
  };
  refuseIfAny(violations);
  return filter;
}

/** The same for flows. */
export function flowFilter(request: Answer<'ListFlowsRequest'>): FlowFilter {
  const violations: Violation[] = [];
  const address = addressReader(violations);
  const { loadBalancer, rule, backendPool, member, memberAddress, frontendAddress, peerAddress } = request;
  const { frontendPort, limit } = request;
  checkAtMost(frontendPort, 65_535, 'frontend_port', violations);
  checkAtMost(limit, flowsAtMost, 'limit', violations);
  const filter = {
    ...(loadBalancer && { loadBalancer }),
    ...(rule && { rule }),
    ...(backendPool && { backendPool }),
    ...(member && { member }),
    ...(memberAddress && { memberAddress: address('member_address', memberAddress) }),
    ...(frontendAddress && { frontendAddress: address('frontend_address', frontendAddress) }),
    ...(frontendPort && { frontendPort }),
    ...(peerAddress && { peerAddress: address('peer_address', peerAddress) }),
  };
  refuseIfAny(violations);
  return filter;
}

/** The same for ports of outbound rules. */
export function outboundFilter(request: Answer<'ListOutboundPortsRequest'>): OutboundFilter {
  const violations: Violation[] = [];
  const address = addressReader(violations);
  const { loadBalancer, rule, member, memberAddress, frontendAddress } = request;
  const filter = {
    ...(loadBalancer && { loadBalancer }),
    ...(rule && { rule }),
    ...(member && { member }),
    ...(memberAddress && { memberAddress: address('member_address', memberAddress) }),
    ...(frontendAddress && { frontendAddress: address('frontend_address', frontendAddress) }),
  };
  refuseIfAny(violations);
  return filter;
}

/** Flows that one answer holds: some ten megabytes. */
export const flowsAtMost = 100_000;

function addressReader(violations: Violation[]): (field: string, text: string) => string {
  return (field, text) => {
    const parsed = parseAddress(text);
    if (parsed === undefined) {
      const description = `${JSON.stringify(text)} is not an IPv4 or IPv6 address`;
      violations.push({ field, reason: 'ADDRESS_INVALID', description });
    }
    return parsed ?? text;
  };
}

function checkAtMost(value: number, most: number, field: string, violations: Violation[]): void {
  if (value <= most) return;
  const description = `${field} ${value}: must be at most ${most}`;
  violations.push({ field, reason: 'VALUE_OUT_OF_RANGE', description });
}
